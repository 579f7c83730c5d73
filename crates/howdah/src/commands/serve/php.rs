//! What `howdah serve` is told about PHP.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use howdah_serve::cgi::Constants;
use howdah_serve::config::Site;
use howdah_serve::fastcgi::{Address, FastCgi, FastCgiConfig};
use howdah_serve::log::{Level, Log};
use howdah_serve::pool::{Mode, Pool, PoolConfig, Size, StartError};
use howdah_serve::routes::{Route, Routes};
use howdah_serve::{Backend, ServeConfig};
use serde_json::json;

use super::file::PoolSection;
use super::mode::{self, ModeArg};
use crate::commands::CommandError;

/// The pool for requests that no other pool is for.
pub(super) const REST: &str = "php";

/// How PHP answers requests.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "PHP")]
pub(crate) struct PhpArgs {
    /// How requests are shared out to PHP processes.
    #[arg(long, value_enum, env = "HOWDAH_MODE", default_value = "auto")]
    mode: ModeArg,
    /// Where PHP-FPM listens, for mode fastcgi: the path of its socket, or ADDRESS:PORT.
    #[arg(long, value_name = "ADDRESS", env = "HOWDAH_FASTCGI")]
    fastcgi: Option<Address>,
    /// The `howdah-php` to run; without it the one beside this program, or in PATH.
    #[arg(long, value_name = "FILE", env = "HOWDAH_PHP")]
    php: Option<PathBuf>,
    /// The worker script: a PHP file that calls `frankenphp_handle_request()` in a loop.
    #[arg(long, value_name = "FILE", env = "HOWDAH_WORKER")]
    worker: Option<PathBuf>,
    /// Worker processes, or the least and the most of them; without it as processors and memory allow. In mode fastcgi the
    /// requests that PHP-FPM is given at a time, over connections that stay open: it must have as many processes.
    #[arg(short = 'n', long, value_name = "COUNT|LEAST-MOST", env = "HOWDAH_WORKERS", value_parser = size)]
    workers: Option<Size>,
    /// A php.ini to read instead of the usual one.
    #[arg(short = 'c', long, value_name = "FILE", env = "HOWDAH_PHP_INI")]
    php_ini: Option<PathBuf>,
    /// A setting of PHP, as in php.ini; may be repeated.
    #[arg(long = "php-setting", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Requests that may wait for a worker; a further one gets a 503.
    #[arg(
        long,
        value_name = "COUNT",
        env = "HOWDAH_QUEUE",
        default_value_t = 1024
    )]
    queue: usize,
    /// Seconds that a request waits for a worker before it gets a 503.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "HOWDAH_MAX_WAIT",
        default_value_t = 30
    )]
    max_wait: u32,
    /// Seconds that a request may take before its worker is killed and the client gets a 504; 0 for no limit.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "HOWDAH_REQUEST_TIMEOUT",
        default_value_t = 0
    )]
    request_timeout: u32,
    /// Seconds after which a request is logged with PHP's backtrace; 0 for never.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "HOWDAH_SLOW_AFTER",
        default_value_t = 0
    )]
    slow_after: u32,
    /// Requests after which a worker is replaced; 0 for never.
    #[arg(
        long,
        value_name = "COUNT",
        env = "HOWDAH_MAX_REQUESTS",
        default_value_t = 0
    )]
    max_requests: u64,
    /// Megabytes of PHP's memory beyond which a worker is replaced; 0 for any amount.
    #[arg(
        long,
        value_name = "MEGABYTES",
        env = "HOWDAH_WORKER_MEMORY",
        default_value_t = 0
    )]
    worker_memory: u64,
}

/// Beyond this a number of workers is a mistake.
const MOST_WORKERS: usize = 10_000;

impl PhpArgs {
    /// The `howdah-php` that the environment names, for a command line without an option for it.
    pub(crate) fn program_of_environment() -> Option<PathBuf> {
        std::env::var_os("HOWDAH_PHP").map(PathBuf::from)
    }
}

/// Starts PHP and waits until it is ready. `pools`: parts of the application that have their own.
pub(super) async fn start(
    args: PhpArgs,
    pools: Vec<PoolSection>,
    server: &ServeConfig,
    log: &Log,
) -> Result<Option<Backend>, CommandError> {
    let mut routes = Vec::new();
    for section in pools {
        let args = section.over(&args)?;
        if let Some(backend) = start_one(args, &section.name, server, log).await? {
            let paths = section.paths;
            routes.push(Route { paths, backend });
        }
    }
    let rest = start_one(args, REST, server, log).await?;
    Ok(rest.map(|rest| {
        if routes.is_empty() {
            rest
        } else {
            Backend::Routes(Arc::new(Routes::new(routes, rest)))
        }
    }))
}

async fn start_one(
    args: PhpArgs,
    name: &str,
    server: &ServeConfig,
    log: &Log,
) -> Result<Option<Backend>, CommandError> {
    let site = &server.site;
    if args.mode == ModeArg::Fastcgi || (args.mode == ModeArg::Auto && args.fastcgi.is_some()) {
        return fastcgi(&args, &site.root, log).map(Some);
    }
    let is_auto = args.mode == ModeArg::Auto;
    let Some((mut config, reason)) = pool(args, site)? else {
        let message = "no `howdah-php` beside `howdah` or in PATH: scripts are not run";
        log.line(Level::Warn, "php", message, json!({}));
        return Ok(None);
    };
    name.clone_into(&mut config.name);
    config.stop_timeout = server.timeouts.drain;
    config.patient = !server.watch.is_empty();
    tell_mode(log, config.mode.name(), reason);
    let started = start_pool(config.clone(), &site.root, log).await;
    let pool = match started {
        Err(error)
            if is_auto
                && config.mode == Mode::Worker
                && !matches!(*error, StartError::OtherWire { .. }) =>
        {
            let fields = json!({ "error": error.to_string() });
            let message = "the application does not boot as a worker: every request boots it";
            log.line(Level::Error, "php", message, fields);
            config.mode = Mode::Classic;
            config.script = None;
            tell_mode(log, "classic", "mode worker failed");
            start_pool(config, &site.root, log).await
        }
        started => started,
    };
    Ok(Some(Backend::Pool(
        pool.map_err(|error| not_started(&error))?,
    )))
}

fn not_started(error: &StartError) -> CommandError {
    let told = CommandError::new(error.to_string());
    if let StartError::OtherWire { .. } = error {
        return told.hint("install both of one build: `make php install`");
    }
    told
}

fn tell_mode(log: &Log, mode: &str, reason: &str) {
    let fields = json!({ "mode": mode, "reason": reason });
    log.line(Level::Info, "php", "mode", fields);
}

async fn start_pool(config: PoolConfig, root: &Path, log: &Log) -> Result<Pool, Arc<StartError>> {
    let constants = Constants::new(root, &config.environment);
    Pool::start(config, constants, log.clone()).await
}

/// A PHP-FPM server that somebody else starts: it may come later.
fn fastcgi(args: &PhpArgs, root: &Path, log: &Log) -> Result<Backend, CommandError> {
    let Some(address) = args.fastcgi.clone() else {
        return Err(CommandError::new("mode `fastcgi` has no PHP-FPM server")
            .hint("say where it listens with --fastcgi ADDRESS"));
    };
    tell_mode(log, "fastcgi", &format!("PHP-FPM listens at {address}"));
    let config = FastCgiConfig {
        address,
        connections: args.workers.map(Size::most),
        queue: args.queue,
        max_wait: seconds(args.max_wait),
        request_timeout: limit(args.request_timeout),
    };
    let constants = Constants::new(root, &[]);
    Ok(Backend::FastCgi(FastCgi::new(
        config,
        constants,
        log.clone(),
    )))
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

/// No seconds, no limit.
fn limit(limit: u32) -> Option<Duration> {
    Some(seconds(limit)).filter(|limit| !limit.is_zero())
}

/// A pool and why it is one of this mode. None if there is no PHP and none was asked for: a site of files alone needs none.
fn pool(args: PhpArgs, site: &Site) -> Result<Option<(PoolConfig, &'static str)>, CommandError> {
    let Some(program) = find_php(args.php)? else {
        if args.worker.is_none() && matches!(args.mode, ModeArg::Auto | ModeArg::Classic) {
            return Ok(None);
        }
        return Err(CommandError::new("no `howdah-php` is installed")
            .hint("put it beside `howdah`, or name it with --php FILE"));
    };
    let choice = mode::choose(args.mode, args.worker, &site.application, &site.root)?;
    let mut config = PoolConfig::new(choice.mode, program, &site.root);
    config.script = choice.script;
    config.environment = choice.environment;
    config.php_ini = args
        .php_ini
        .map(|file| named(&file, "--php-ini"))
        .transpose()?;
    config.settings = args.settings;
    config.size = args.workers.unwrap_or(config.size);
    config.queue = args.queue;
    config.max_wait = seconds(args.max_wait);
    config.request_timeout = limit(args.request_timeout);
    config.slow_after = limit(args.slow_after);
    config.max_requests = Some(args.max_requests).filter(|count| *count > 0);
    config.memory_limit = Some(args.worker_memory << 20).filter(|bytes| *bytes > 0);
    Ok(Some((config, choice.reason)))
}

/// `4`, or `2-16`.
fn size(text: &str) -> Result<Size, String> {
    let number = |text: &str| {
        text.parse()
            .ok()
            .filter(|count| (1..=MOST_WORKERS).contains(count))
    };
    let size = match text.split_once('-') {
        None => number(text).map(Size::Fixed),
        Some((least, most)) => number(least)
            .zip(number(most))
            .filter(|(least, most)| least <= most)
            .map(|(least, most)| Size::Between { least, most }),
    };
    size.ok_or_else(|| format!("`{text}` is no number of workers, as 4, or 2-16"))
}

/// The place of a file that a flag names; PHP need not be started where we are.
pub(super) fn named(file: &Path, flag: &str) -> Result<PathBuf, CommandError> {
    fs_err::canonicalize(file)
        .map_err(|error| CommandError::from(error).hint(format!("{flag} names the file")))
}

/// Named, beside this program, or in PATH: of several the one for the newest PHP.
pub(crate) fn find_php(named: Option<PathBuf>) -> Result<Option<PathBuf>, CommandError> {
    if let Some(named) = named {
        return self::named(&named, "--php").map(Some);
    }
    let beside = std::env::current_exe()?.parent().map(Path::to_path_buf);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = beside.into_iter().chain(std::env::split_paths(&path));
    Ok(directories
        .filter(|directory| directory.is_absolute())
        .find_map(|directory| newest_in(&directory)))
}

/// `howdah-php8.4` before `howdah-php8.2` before `howdah-php`; if it starts, which it does not where its PHP is not installed. If none
/// starts, the newest will say why.
fn newest_in(directory: &Path) -> Option<PathBuf> {
    let mut found: Vec<(Vec<u32>, PathBuf)> = fs_err::read_dir(directory)
        .ok()?
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix("howdah-php")?;
            let numbers = version.split('.').filter(|part| !part.is_empty());
            let numbers: Result<Vec<u32>, _> = numbers.map(str::parse).collect();
            Some((numbers.ok()?, entry.path()))
        })
        .collect();
    found.sort();
    let starts = |path: &Path| {
        let output = std::process::Command::new(path).arg("version").output();
        output.is_ok_and(|output| output.status.success())
    };
    let works = found.iter().rposition(|(_, path)| starts(path));
    let chosen = works.or(found.len().checked_sub(1))?;
    Some(found.swap_remove(chosen).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_a_number_or_a_range() {
        assert_eq!(size("4"), Ok(Size::Fixed(4)));
        assert_eq!(size("2-16"), Ok(Size::Between { least: 2, most: 16 }));
        for wrong in ["0", "-1", "3-2", "0-2", "2-", "a", "1000000", ""] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_newest_that_starts_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let put = |name: &str, program: &str| {
            std::os::unix::fs::symlink(program, directory.path().join(name)).unwrap();
        };
        let taken = || newest_in(directory.path()).map(|path| path.file_name().unwrap().to_owned());
        assert_eq!(taken(), None);
        put("howdah-php8.4", "/bin/false");
        assert_eq!(taken().unwrap(), "howdah-php8.4");
        put("howdah-php8.2", "/bin/true");
        put("howdah-php8.10", "/bin/false");
        assert_eq!(taken().unwrap(), "howdah-php8.2");
    }
}
