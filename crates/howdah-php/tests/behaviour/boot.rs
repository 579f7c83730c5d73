//! What an application sets while it boots counts for all its requests, whenever it boots.

use crate::front::Worker;
use crate::life::{Application, get};

/// Settings as applications make them: boot code, and what a request sees of it.
const SETTINGS: [(&str, &str, &str); 11] = [
    ("ini_set('precision', '7');", "ini_get('precision')", "7"),
    ("error_reporting(E_ERROR);", "error_reporting()", "1"),
    (
        "date_default_timezone_set('Asia/Tokyo');",
        "date_default_timezone_get()",
        "Asia/Tokyo",
    ),
    (
        "setlocale(LC_TIME, 'C.UTF-8');",
        "setlocale(LC_TIME, 0)",
        "C.UTF-8",
    ),
    ("umask(027);", "decoct(umask())", "27"),
    ("chdir('/usr');", "getcwd()", "/usr"),
    (
        "mb_internal_encoding('ISO-8859-1');",
        "mb_internal_encoding()",
        "ISO-8859-1",
    ),
    (
        "mb_substitute_character('none');",
        "mb_substitute_character()",
        "none",
    ),
    (
        "mb_detect_order(['ASCII', 'SJIS']);",
        "join(',', mb_detect_order())",
        "ASCII,SJIS",
    ),
    ("mb_language('ja');", "mb_language()", "Japanese"),
    (
        "libxml_use_internal_errors(true);",
        "var_export(libxml_use_internal_errors(), true)",
        "true",
    ),
];

/// Answers with what the settings are; `?change` makes others of them first.
fn report() -> String {
    let told: Vec<_> = SETTINGS.iter().map(|setting| setting.1).collect();
    format!(
        "if ($_SERVER['QUERY_STRING'] === 'change') {{
            ini_set('precision', '3'); error_reporting(E_ALL); date_default_timezone_set('UTC'); setlocale(LC_ALL, 'C');
            umask(0); chdir('/'); mb_internal_encoding('UTF-8'); mb_substitute_character(0x3f); mb_detect_order('auto');
            mb_language('uni');
        }}
        echo json_encode([{}], JSON_UNESCAPED_SLASHES);",
        told.join(", ")
    )
}

fn boot() -> String {
    SETTINGS.iter().map(|setting| setting.0).collect()
}

fn expected() -> String {
    let told: Vec<_> = SETTINGS.iter().map(|setting| setting.2).collect();
    let text = serde_json::to_string(&told).unwrap();
    // The level of errors is a number.
    text.replace("\"1\"", "1")
}

fn ask(worker: &mut Worker, application: &Application, query: &str) -> String {
    let answer = worker.ask(&get(query), &application.script);
    assert!(answer.ready, "{answer:?}");
    answer.body
}

#[test]
fn settings_of_the_boot_stay() {
    let application = Application::new(&format!(
        "<?php {} while (frankenphp_handle_request(function () {{ {} }})) {{ }}",
        boot(),
        report()
    ));
    let mut front = application.worker_mode();
    let mut worker = front.fork();
    for query in ["", "change", "", ""] {
        let said = ask(&mut worker, &application, query);
        assert_eq!(said == expected(), query.is_empty(), "{said}");
    }
}

/// As Octane did before 2026: the worker's first request boots the application.
#[test]
fn settings_of_a_boot_in_the_first_request_stay() {
    let classes: Vec<_> = (0..100)
        .map(|index| format!("class OfTheApplication{index} {{ }}"))
        .collect();
    let classes = classes.join("\n");
    let application = Application::new(&format!(
        "<?php while (frankenphp_handle_request(function () {{
            if (!class_exists('OfTheApplication1', false)) {{ require __DIR__ . '/application.php'; }}
            {}
        }})) {{ }}",
        report()
    ));
    let file = application.directory.path().join("application.php");
    fs_err::write(file, format!("<?php {classes} {}", boot())).unwrap();
    let mut front = application.worker_mode();
    let mut worker = front.fork();
    for query in ["", "", "change", ""] {
        let said = ask(&mut worker, &application, query);
        assert_eq!(said == expected(), query.is_empty(), "{said}");
    }
}

#[test]
fn a_first_request_that_boots_nothing_leaves_nothing() {
    let application = Application::new(&format!(
        "<?php while (frankenphp_handle_request(function () {{ {} }})) {{ }}",
        report()
    ));
    let mut front = application.worker_mode();
    let mut worker = front.fork();
    let changed = ask(&mut worker, &application, "change");
    let said = ask(&mut worker, &application, "");
    assert_ne!(changed, said);
    assert_eq!(said, ask(&mut worker, &application, ""));
}

/// Symfony's file handler says where sessions are once, when the first session is opened.
#[test]
fn the_session_store_is_the_applications() {
    let application = Application::new(
        "<?php while (frankenphp_handle_request(function () {
            static $handler;
            if ($_SERVER['QUERY_STRING'] === 'open') {
                if (!$handler) { mkdir(__DIR__ . '/s'); ini_set('session.save_path', __DIR__ . '/s'); $handler = true; }
                session_id('abcdefghijklmnopqrstuvwxyz');
                session_name('MINE');
                session_start();
                $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
                echo $_SESSION['n'], ' ';
            }
            echo basename(ini_get('session.save_path')), ' ', session_name();
        })) { }",
    );
    let mut front = application.worker_mode();
    let mut worker = front.fork();
    let base = application.directory.path().file_name().unwrap();
    let base = base.to_str().unwrap();
    let said = ["", "open", "open", ""].map(|query| ask(&mut worker, &application, query));
    let expected = [
        &*format!("{base} PHPSESSID"),
        "1 s MINE",
        "2 s MINE",
        "s PHPSESSID",
    ];
    assert_eq!(said, expected);
}

#[test]
fn a_session_handler_of_the_boot_stays() {
    let application = Application::new(
        "<?php
        class Handler extends SessionHandler {
            function read(string $id): string|false { return parent::read($id) ?: 'k|s:4:\"read\";'; }
        }
        session_set_save_handler(new Handler, true);
        while (frankenphp_handle_request(function () {
            if ($_SERVER['QUERY_STRING'] === 'open') { session_start(); echo $_SESSION['k']; }
            else { echo session_module_name(); }
        })) { }",
    );
    let mut front = application.worker_mode();
    let mut worker = front.fork();
    let said = ["open", "", "open"].map(|query| ask(&mut worker, &application, query));
    assert_eq!(said, ["read", "user", "read"]);
}

/// Other processes change files between two requests.
#[test]
fn what_is_known_of_a_file_is_forgotten() {
    let application = Application::new(
        "<?php while (frankenphp_handle_request(function () { echo is_file(__DIR__ . '/down') ? 'down' : 'up'; })) { }",
    );
    let mut front = application.worker_mode();
    let mut worker = front.fork();
    let file = application.directory.path().join("down");
    fs_err::write(&file, "").unwrap();
    assert_eq!(ask(&mut worker, &application, ""), "down");
    fs_err::remove_file(&file).unwrap();
    assert_eq!(ask(&mut worker, &application, ""), "up");
}

/// It would make an exception of a warning that no callback can catch.
#[test]
fn an_error_handler_of_the_boot_is_not_asked_before_the_callback() {
    let application = Application::new(
        "<?php
        set_error_handler(function ($level, $message) { throw new ErrorException($message); });
        while (frankenphp_handle_request(function () {
            echo count($_POST);
            try { $undefined + 1; } catch (ErrorException $e) { echo ' ', $e->getMessage(); }
        })) { }",
    );
    let mut front = application.worker_mode();
    let mut worker = front.fork();
    let mut case = get("");
    case.method = "POST".to_owned();
    case.headers = vec![(
        "Content-Type".to_owned(),
        "application/x-www-form-urlencoded".to_owned(),
    )];
    case.body = "a=".to_owned() + &"x".repeat(3 << 20);
    let answer = worker.ask(&case, &application.script);
    assert!(answer.ready && answer.status == 200, "{answer:?}");
    assert_eq!(answer.body, "0 Undefined variable $undefined");
    assert!(
        answer
            .log
            .contains("PHP Request Startup: POST Content-Length of"),
        "{answer:?}"
    );
}
