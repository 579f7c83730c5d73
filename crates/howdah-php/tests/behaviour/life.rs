//! Birth, faults and death of zygotes and workers.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use howdah_wire::Kind;
use howdah_wire::control::{Event, Exit};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::cases::Case;
use crate::front::Front;

/// A worker script that does what the query says.
const SCRIPT: &str = r"<?php
register_shutdown_function(function () { error_log('shutdown of the boot'); });
try {
    while (frankenphp_handle_request(function () {
        switch ($_SERVER['QUERY_STRING']) {
            case 'fault': posix_kill(getmypid(), SIGSEGV); break;
            case 'random': echo mt_rand(), ' ', lcg_value(); break;
            case 'stream':
                while (!connection_aborted()) { echo 'x'; flush(); usleep(1000); }
                error_log('stopped'); break;
            case 'spin': echo 'spinning'; flush(); while (true); break;
            case 'reload': opcache_reset(); break;
            default: echo 'ok';
        }
    })) {
    }
} finally {
    error_log('finally');
}
";

pub(crate) struct Application {
    pub(crate) directory: TempDir,
    pub(crate) script: PathBuf,
}

impl Application {
    pub(crate) fn new(script: &str) -> Application {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("worker.php");
        fs_err::write(&path, script).unwrap();
        Application {
            directory,
            script: path,
        }
    }

    fn launch(&self, arguments: &[&str]) -> Front {
        Front::launch(arguments, &self.script, self.directory.path())
    }

    pub(crate) fn worker_mode(&self) -> Front {
        let mut front = self.launch(&["--mode", "worker"]);
        front.booted();
        front
    }
}

pub(crate) fn get(query: &str) -> Case {
    Case::get(&format!("/?{query}"))
}

/// The next event that is neither a greeting nor a log line.
fn outcome(front: &Front) -> Event {
    loop {
        let (event, _) = front.event();
        if !matches!(event, Event::Hello { .. } | Event::Log(_)) {
            return event;
        }
    }
}

#[test]
fn a_drained_worker_runs_to_its_end() {
    let application = Application::new(SCRIPT);
    let mut front = application.worker_mode();
    let mut worker = front.fork();
    worker.tell(Kind::Drain);
    let answer = worker.answer();
    assert_eq!(
        answer.log, "[0] finally\n[0] shutdown of the boot\n",
        "{answer:?}"
    );
    assert_eq!(front.exit(), Exit::Code(0));
}

#[test]
fn a_crash_is_told_and_counted() {
    let application = Application::new(SCRIPT);
    let mut front = application.worker_mode();
    let mut worker = front.fork();
    assert_eq!(worker.begun(), 0);
    assert_eq!(worker.ask(&get(""), &application.script).body, "ok");
    let answer = worker.ask(&get("fault"), &application.script);
    assert!(!answer.ready && answer.status == 0, "{answer:?}");
    assert_eq!(worker.begun(), 2);
    assert_eq!(front.exit(), Exit::Signal(11));
    assert_eq!(front.fork().ask(&get(""), &application.script).body, "ok");
}

#[test]
fn signals_that_mean_the_front_end_no_request() {
    let application = Application::new(SCRIPT);
    let mut front = application.worker_mode();
    let mut worker = front.fork();
    let pid = Pid::from_raw(worker.pid).unwrap();
    for signal in [Signal::TERM, Signal::INT] {
        kill_process(pid, signal).unwrap();
    }
    assert_eq!(worker.ask(&get(""), &application.script).body, "ok");
}

#[test]
fn the_backtrace_names_the_line() {
    let application = Application::new(SCRIPT);
    let mut front = application.worker_mode();
    let mut worker = front.fork();
    worker.send(&get("spin"), &application.script, Kind::BodyEnd);
    worker.until(Kind::Body);
    let pid = Pid::from_raw(worker.pid).unwrap();
    kill_process(pid, Signal::USR2).unwrap();
    let text = String::from_utf8(worker.until(Kind::Backtrace)).unwrap();
    assert!(text.contains("worker.php:11 {closure"), "{text}");
    assert!(text.contains("frankenphp_handle_request()"), "{text}");
    kill_process(pid, Signal::KILL).unwrap();
    assert_eq!(front.exit(), Exit::Signal(9));
}

#[test]
fn a_client_that_left_is_noticed() {
    let application = Application::new(SCRIPT);
    let mut front = application.worker_mode();
    let mut worker = front.fork();
    worker.send(&get("stream"), &application.script, Kind::BodyEnd);
    worker.until(Kind::Body);
    worker.tell(Kind::Aborted);
    let answer = worker.answer();
    assert!(answer.ready && answer.log.contains("stopped"), "{answer:?}");
    assert_eq!(worker.ask(&get(""), &application.script).body, "ok");
}

#[test]
fn a_body_that_broke_off_is_passed_over() {
    let application = Application::new(SCRIPT);
    let mut front = application.worker_mode();
    let mut worker = front.fork();
    let mut case = get("");
    case.body = "half of it".to_owned();
    worker.send(&case, &application.script, Kind::Aborted);
    assert!(worker.answer().ready);
    assert_eq!(worker.ask(&get(""), &application.script).body, "ok");
}

#[test]
fn siblings_have_random_numbers_of_their_own() {
    let application = Application::new(&SCRIPT.replace("try {", "mt_rand(); lcg_value(); try {"));
    let mut front = application.worker_mode();
    let mut said = || front.fork().ask(&get("random"), &application.script).body;
    assert_ne!(said(), said());
}

#[test]
fn opcache_reset_asks_for_a_reload() {
    let application = Application::new(SCRIPT);
    let mut front = application.worker_mode();
    let mut worker = front.fork();
    worker.send(&get("reload"), &application.script, Kind::BodyEnd);
    worker.until(Kind::Reload);
}

#[test]
fn a_boot_that_fails_says_why() {
    let application = Application::new("<?php error_log('no database'); exit(9);");
    let front = application.launch(&["--mode", "worker"]);
    let Event::BootFailed { status, message } = outcome(&front) else {
        panic!("it booted");
    };
    assert_eq!((status, message.as_str()), (9, "no database"));
}

#[test]
fn a_worker_script_that_asks_for_nothing_failed() {
    let application = Application::new("<?php echo 'done';");
    let front = application.launch(&["--mode", "worker"]);
    assert!(matches!(
        outcome(&front),
        Event::BootFailed { status: 1, .. }
    ));
}

#[test]
fn connections_of_the_boot_are_not_shared() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("peer");
    let _listener = UnixListener::bind(&socket).unwrap();
    let connect = format!(
        "$c = stream_socket_client('unix://{}'); try {{",
        socket.display()
    );
    let application = Application::new(&SCRIPT.replacen("try {", &connect, 1));
    let front = application.launch(&["--mode", "worker"]);
    let peers = vec![socket.to_str().unwrap().to_owned()];
    assert_eq!(outcome(&front), Event::Connections { peers });
    let mut front = application.launch(&["--mode", "worker", "--no-preboot"]);
    front.booted();
    assert_eq!(front.fork().ask(&get(""), &application.script).body, "ok");
}

#[test]
fn connections_of_the_warm_up_are_not_shared() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("peer");
    let _listener = UnixListener::bind(&socket).unwrap();
    let connect = format!(
        "default: $GLOBALS['c'] ??= stream_socket_client('unix://{}');",
        socket.display()
    );
    let application = Application::new(&SCRIPT.replace("default:", &connect));
    let mut front = application.launch(&["--mode", "fork"]);
    let events = [front.event().0, front.event().0];
    let [Event::Hello { .. }, event] = events else {
        panic!("{events:?}");
    };
    assert!(matches!(event, Event::Log(line) if line.message.contains("starting again")));
    front.booted();
    let answer = front.fork().ask(&get(""), &application.script);
    assert!(answer.body == "ok" && !answer.ready, "{answer:?}");
}

/// What a process that serves one request does at its end, and what it leaves undone.
const ONCE: &str = r"<?php
final class Told {
    public static array $all = [];
    public function __construct(public string $name) { self::$all[] = $this; }
    public function __destruct() { error_log('destructed: ' . $this->name); }
}
final class Plain {
    public static array $all = [];
    public function __construct(public array $values) { self::$all[] = $this; }
}
new Told('boot');
new Plain(['boot']);
new Plain(['never']);
register_shutdown_function(function () {
    error_log('shutdown of the boot');
    isset($GLOBALS['die']) && @trigger_error('death', E_USER_ERROR);
});
while (frankenphp_handle_request(function () {
    if ($_SERVER['QUERY_STRING'] === 'die') { $GLOBALS['die'] = true; }
    elseif ($_SERVER['QUERY_STRING'] !== 'leave') { echo count($_SERVER) > 20; return; }
    echo Plain::$all[0]->values[0];
    unset(Plain::$all[1]);
    new Told('request');
    new Plain(['request']);
    register_shutdown_function(function () { error_log('shutdown of the request'); });
    Plain::$all[] = $zip = new ZipArchive();
    $zip->open(__DIR__ . '/out.zip', ZipArchive::CREATE);
    $zip->addFromString('name', 'content');
    Plain::$all[] = $file = fopen('compress.zlib://' . __DIR__ . '/out.gz', 'wb');
    fwrite($file, 'compressed');
})) {
    error_log('after a request');
}
error_log('end of the script');
";

#[test]
fn a_process_for_one_request_ends_as_any_other() {
    let application = Application::new(ONCE);
    let mut front = application.launch(&["--mode", "fork"]);
    front.booted();
    let said = "shutdown of the request|after a request|end of the script|shutdown of the boot|";
    for (query, more) in [
        ("leave", "destructed: boot|destructed: request|"),
        ("die", "PHP Fatal error:  death in "),
        ("leave", "destructed: boot|destructed: request|"),
    ] {
        let answer = front.fork().ask(&get(query), &application.script);
        assert_eq!(answer.body, "boot", "{answer:?}");
        let log = answer.log.replace('\n', "|");
        let log = log.replace("[0] ", "").replace("[8] ", "");
        assert!(log.starts_with(&format!("{said}{more}")), "{query}: {log}");
        assert!(matches!(front.exit(), Exit::Code(0 | 255)));
        let made = |name: &str| {
            let file = application.directory.path().join(name);
            let content = fs_err::read(&file).unwrap();
            fs_err::remove_file(file).unwrap();
            content
        };
        assert!(made("out.zip").starts_with(b"PK"));
        assert!(made("out.gz").len() > 20, "nothing but a head");
    }
}

/// What a script does between two requests is not the next one's affair, nor the end of the process.
#[test]
fn between_two_requests_a_script_may_print() {
    let application = Application::new(
        r"<?php
set_exception_handler(function () { header('X-A: b'); ob_start(); echo 'handled'; ob_end_flush(); flush(); });
for ($number = 1; frankenphp_handle_request(function () { echo 'ok'; }); $number++) {
    header('X-A: b'); setcookie('c', 'd'); http_response_code(500); ob_start(); echo 'between';
    if ($number === 3) throw new Exception('thrown');
}
",
    );
    let mut front = application.worker_mode();
    let mut worker = front.fork();
    for number in 1..=3 {
        let answer = worker.ask(&get(""), &application.script);
        assert_eq!((answer.status, &answer.body[..]), (200, "ok"), "{number}");
        assert!(
            !answer.headers.iter().any(|line| line.starts_with("X-A")),
            "{number}"
        );
    }
    assert!(matches!(front.exit(), Exit::Code(_)));
}
