<?php

// A Laravel application whose requests leave behind whatever they can, and tell what they found.

declare(strict_types=1);

namespace App;

use Illuminate\Auth\GenericUser;
use Illuminate\Contracts\Auth\UserProvider;
use Illuminate\Contracts\Console\Kernel as ConsoleKernelContract;
use Illuminate\Contracts\Debug\ExceptionHandler;
use Illuminate\Contracts\Http\Kernel as HttpKernelContract;
use Illuminate\Database\Eloquent\Builder;
use Illuminate\Database\Eloquent\Model;
use Illuminate\Foundation\Application;
use Illuminate\Http\Request;
use Illuminate\Pagination\Paginator;
use Illuminate\Support\Carbon;
use Illuminate\Support\Facades;
use Illuminate\Support\ServiceProvider;
use Illuminate\Support\Str;

final class Kernel extends \Illuminate\Foundation\Http\Kernel
{
    protected $middlewareGroups = ['web' => [
        \Illuminate\Cookie\Middleware\EncryptCookies::class,
        \Illuminate\Cookie\Middleware\AddQueuedCookiesToResponse::class,
        \Illuminate\Session\Middleware\StartSession::class,
        \Illuminate\View\Middleware\ShareErrorsFromSession::class,
        \Illuminate\Foundation\Http\Middleware\VerifyCsrfToken::class,
        \Illuminate\Routing\Middleware\SubstituteBindings::class,
    ]];
}

final class Users implements UserProvider
{
    public function retrieveById($identifier)
    {
        return new GenericUser(['id' => $identifier, 'remember_token' => '']);
    }

    public function retrieveByToken($identifier, $token)
    {
        return null;
    }

    public function updateRememberToken(\Illuminate\Contracts\Auth\Authenticatable $user, $token)
    {
    }

    public function retrieveByCredentials(array $credentials)
    {
        return null;
    }

    public function validateCredentials(\Illuminate\Contracts\Auth\Authenticatable $user, array $credentials)
    {
        return false;
    }
}

/** A service with a state, be it a singleton of the boot or of a request. */
class Registry
{
    public ?string $who = null;

    public array $seen = [];
}

class LazyRegistry extends Registry
{
}

class ScopedRegistry extends Registry
{
}

final class Statics
{
    public static ?string $who = null;

    private static array $seen = [];

    public static function see(string $who): int
    {
        self::$seen[] = $who;

        return count(self::$seen);
    }
}

class Item extends Model
{
    public $timestamps = false;

    public static int $created = 0;

    protected $guarded = [];

    protected static function booted(): void
    {
        static::creating(function (): void {
            self::$created++;
        });
    }
}

final class Controller
{
    private ?string $who = null;

    public function __construct(private Request $request)
    {
    }

    public function __invoke(): \Illuminate\Http\JsonResponse
    {
        $who = (string) Facades\Auth::id();
        $before = $this->who;
        $this->who = $who;
        $found = ['controller' => $before, 'injected' => $this->request->query('n') === request()->query('n')] + found($who);
        leave($who);
        if (request()->query('how') === 'exit') {
            echo json_encode($found);
            exit;
        }

        return response()->json($found);
    }
}

function found(string $who): array
{
    event('leak');
    Item::query()->create(['name' => $who]);

    return [
        'user' => $who,
        'name' => session('name'),
        'flash' => session('flash'),
        'old' => request()->old('field'),
        'locale' => [app()->getLocale(), Carbon::getLocale(), Facades\Lang::get('messages.hello')],
        'config' => [config('app.name'), config('new.key'), config('database.connections.other')],
        'view' => array_keys(Facades\View::getShared()),
        'bound' => [app()->bound('leak'), app()->resolved(LazyRegistry::class)],
        'registry' => [app(Registry::class)->who, app(LazyRegistry::class)->who, app(ScopedRegistry::class)->who],
        'seen' => count(app(Registry::class)->seen),
        'statics' => [Statics::$who, Statics::see($who), Item::$created, Later::$who, strlen(serialize(Later::$seen))],
        'laravel' => [Model::isUnguarded(), Paginator::$defaultView, Str::hasMacro('leak'), Facades\Gate::has('leak')],
        'now' => [Carbon::hasTestNow(), date_default_timezone_get(), setlocale(LC_ALL, '0')],
        'url' => [url('/x'), config('session.cookie'), parse_url(url()->current(), PHP_URL_PATH)],
        'queued' => count(Facades\Cookie::getQueuedCookies()),
        'environment' => [getenv('WHO'), $_ENV['WHO'] ?? null, env('OF_FILE'), $GLOBALS['who'] ?? null],
        'ini' => [ini_get('precision'), error_reporting(), mb_internal_encoding(), libxml_use_internal_errors()],
        'process' => [umask(), basename((string) getcwd()), ob_get_level() > 1, headers_list() === []],
        'handlers' => [handler('error'), handler('exception')],
        'database' => [Facades\DB::transactionLevel(), Facades\DB::logging(), count(Facades\DB::getQueryLog()), Item::query()->count()],
        'log' => logContext(),
        'rules' => count(Facades\Validator::make([], [])->extensions ?? []),
    ];
}

function handler(string $kind): string
{
    $handler = ("set_{$kind}_handler")(null);
    ("restore_{$kind}_handler")();

    return match (true) {
        is_array($handler) => $handler[0]::class,
        $handler instanceof \Closure => (new \ReflectionFunction($handler))->getName(),
        default => get_debug_type($handler),
    };
}

function logContext(): array
{
    $logger = Facades\Log::channel('null');

    return (fn (): array => $this->context)->call($logger);
}

function leave(string $who): void
{
    session()->put('name', $who);
    session()->flash('flash', $who . request()->query('n'));
    session()->flashInput(['field' => $who]);
    app()->setLocale("of-{$who}");
    config(['app.name' => $who, 'new.key' => $who, 'session.cookie' => $who, 'database.connections.other' => ['driver' => $who]]);
    Facades\View::share('who', $who);
    app()->instance('leak', $who);
    foreach ([Registry::class, LazyRegistry::class, ScopedRegistry::class] as $class) {
        app($class)->who = $who;
        app($class)->seen[] = $who;
    }
    Statics::$who = $who;
    Later::$who = $who;
    Later::$seen[] = $who;
    Model::unguard();
    Paginator::$defaultView = $who;
    Str::macro('leak', fn () => $who);
    Facades\Gate::define('leak', fn () => true);
    Facades\Event::listen('leak', fn () => Statics::$who = "event of {$who}");
    Facades\Lang::addLines(['messages.hello' => $who], 'en');
    Facades\Validator::extend('leak', fn () => true);
    Facades\Cookie::queue('queued', $who);
    Facades\URL::forceRootUrl("http://{$who}");
    Facades\Log::channel('null')->withContext(['who' => $who]);
    Item::addGlobalScope('leak', fn (Builder $query) => $query->where('name', 'nobody'));
    Facades\DB::enableQueryLog();
    Facades\DB::beginTransaction();
    Facades\DB::table('items')->insert(['name' => "uncommitted of {$who}"]);
    leaveInPhp($who);
}

function leaveInPhp(string $who): void
{
    header("X-Who: {$who}");
    putenv("WHO={$who}");
    $_ENV['WHO'] = $who;
    $GLOBALS['who'] = $who;
    Carbon::setTestNow('2001-01-01');
    date_default_timezone_set('Asia/Tokyo');
    setlocale(LC_ALL, 'C.UTF-8');
    ini_set('precision', '3');
    mb_internal_encoding('ISO-8859-1');
    libxml_use_internal_errors(true);
    umask(0o77);
    chdir('/');
    ob_start();
    error_reporting(0);
    set_error_handler(fn () => true);
    set_exception_handler(fn () => null);
}

final class Provider extends ServiceProvider
{
    public function register(): void
    {
        $this->app->singleton(Registry::class);
        $this->app->singleton(LazyRegistry::class);
        $this->app->scoped(ScopedRegistry::class);
        $this->app->make(Registry::class);
        $this->app->make(ScopedRegistry::class);
    }

    public function boot(): void
    {
        Facades\Auth::provider('list', fn () => new Users());
        Facades\Route::middleware('web')->group(function (): void {
            Facades\Route::get('/login/{name}', function (string $name): string {
                Facades\Auth::login(new GenericUser(['id' => $name, 'remember_token' => '']));

                return csrf_token();
            });
            Facades\Route::get('/me', Controller::class);
            Facades\Route::get('/token', fn (): string => csrf_token());
            Facades\Route::post('/act', fn (): string => (string) Facades\Auth::id());
            Facades\Route::get('/user', fn (): string => (string) Facades\Auth::id());
        });
        Facades\Route::get('/memory', fn (): string => (string) memory_get_usage());
        Facades\Route::get('/pid', fn (): string => (string) getmypid());
    }
}

$app = new Application(dirname(__DIR__));
$app->singleton(HttpKernelContract::class, Kernel::class);
$app->singleton(ConsoleKernelContract::class, \Illuminate\Foundation\Console\Kernel::class);
$app->singleton(ExceptionHandler::class, \Illuminate\Foundation\Exceptions\Handler::class);

return $app;
