//! What a request changes is gone with it: a Laravel application that leaves everything behind, served by one worker to users in
//! turn, answers each as if every request had a process of its own.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::http::{Jar, Response};
use crate::server::Server;
use crate::service::succeeds;

const SECTIONS: [&str; 8] = [
    "app",
    "auth",
    "cache",
    "database",
    "filesystems",
    "logging",
    "session",
    "view",
];

/// The application of `laravel/app`, laid out as Laravel's are.
fn application(directory: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/serve/laravel/app");
    for name in [
        "app",
        "bootstrap/cache",
        "config",
        "public",
        "storage/framework",
        "vendor",
    ] {
        fs_err::create_dir_all(directory.join(name)).unwrap();
    }
    for (from, to) in [
        ("bootstrap.php", "bootstrap/app.php"),
        ("Later.php", "app/Later.php"),
        ("autoload.php", "vendor/autoload.php"),
        ("config.php", "config.php"),
        (
            "../../../../../../examples/invoices/public/index.php",
            "public/index.php",
        ),
    ] {
        fs_err::copy(source.join(from), directory.join(to)).unwrap();
    }
    for section in SECTIONS {
        let text = format!("<?php return (require dirname(__DIR__) . '/config.php')['{section}'];");
        fs_err::write(directory.join(format!("config/{section}.php")), text).unwrap();
    }
    fs_err::write(directory.join("artisan"), "").unwrap();
    fs_err::write(directory.join(".env"), "OF_FILE=yes\n").unwrap();
    fs_err::write(directory.join("composer.json"), "{}").unwrap();
    let table = "(new PDO('sqlite:storage/database.sqlite'))->exec('create table items (id integer primary key, name text)');";
    succeeds(
        Command::new("php8.2")
            .args(["-r", table])
            .current_dir(directory),
    );
}

fn start(mode: &str) -> Server {
    let directory = tempfile::tempdir().unwrap();
    application(directory.path());
    let mut command = Server::command(mode, &directory.path().join("public"));
    command.args(["--workers", "1", "--no-access-log"]);
    Server::spawn(command, directory)
}

/// Somebody with a browser.
struct User {
    name: &'static str,
    jar: Jar,
    token: String,
}

impl User {
    fn new(server: &Server, name: &'static str) -> User {
        let mut user = User {
            name,
            jar: Jar::default(),
            token: String::new(),
        };
        user.token = user.get(server, &format!("/login/{name}")).text();
        user
    }

    fn get(&mut self, server: &Server, path: &str) -> Response {
        self.send(server, "GET", path, "")
    }

    fn send(&mut self, server: &Server, method: &str, path: &str, body: &str) -> Response {
        let cookie = self.jar.cookie();
        let form = ("content-type", "application/x-www-form-urlencoded");
        let fields = [("host", "localhost"), ("cookie", cookie.as_str()), form];
        let response = server.send(method, path, &fields, body.as_bytes());
        self.jar.keep(&response);
        response
    }

    /// What the application finds, but for the number of rows, which grows.
    fn found(&mut self, server: &Server, path: &str) -> Value {
        let response = self.get(server, path);
        assert_eq!(response.status, 200, "{}", response.text());
        let others: Vec<_> = response
            .values("x-who")
            .filter(|who| *who != self.name)
            .collect();
        assert_eq!(others, [""; 0]);
        let mut found: Value = serde_json::from_slice(&response.body).unwrap();
        found["database"][3] = Value::Null;
        found
    }
}

/// The requests of two users in turn, and what each found.
fn run(server: &Server, rounds: usize) -> Vec<Value> {
    let mut users = [User::new(server, "alice"), User::new(server, "bob")];
    assert_ne!(users[0].token, users[1].token);
    let mut found = Vec::new();
    for round in 0..rounds {
        for user in &mut users {
            // Now and then one ends in the middle of it.
            let how = if round % 7 == 3 { "exit" } else { "" };
            found.push(user.found(server, &format!("/me?n={round}&how={how}")));
        }
        let tokens = [users[1].token.clone(), users[0].token.clone()];
        for (user, other) in users.iter_mut().zip(tokens) {
            assert_eq!(user.get(server, "/token").text(), user.token);
            let own = format!("_token={}", user.token);
            assert_eq!(user.send(server, "POST", "/act", &own).text(), user.name);
            let foreign = format!("_token={other}");
            assert_eq!(user.send(server, "POST", "/act", &foreign).status, 419);
        }
        let mut nobody = User {
            name: "",
            jar: Jar::default(),
            token: String::new(),
        };
        assert_eq!(nobody.get(server, "/user").text(), "");
    }
    found
}

#[test]
fn state_does_not_leak_between_users() {
    const ROUNDS: usize = 8;
    let classic = start("classic");
    let expected = run(&classic, ROUNDS);
    classic.stop();
    for mode in ["worker", "fork"] {
        let server = start(mode);
        let found = run(&server, ROUNDS);
        for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found, expected, "request {number} of mode {mode}");
        }
        server.stop();
    }
}

/// Hundreds of requests more, for what adds up.
#[test]
fn one_worker_serves_many_users_for_long() {
    let server = start("auto");
    let line = server.log_line("mode");
    assert_eq!(line["mode"], "worker");
    let pid = server.get("/pid").text();
    let first = run(&server, 2);
    let again = run(&server, 80);
    // Rounds of their own sessions begin alike.
    assert_eq!(first[..], again[..first.len()]);
    let steady = server.get("/memory").text();
    run(&server, 40);
    assert_eq!(server.get("/pid").text(), pid);
    let after: i64 = server.get("/memory").text().parse().unwrap();
    let steady: i64 = steady.parse().unwrap();
    assert!(
        (after - steady).abs() < 256 << 10,
        "{steady} bytes became {after}"
    );
    server.stop();
}

/// A mode that cannot be is an error when it was asked for, and another mode when it was not.
#[test]
fn an_application_that_does_not_boot_is_served_by_classic() {
    let directory = tempfile::tempdir().unwrap();
    application(directory.path());
    let cache = directory.path().join("bootstrap/app.php");
    let text = fs_err::read_to_string(&cache).unwrap();
    let only_with_a_request = "if (($_SERVER['REQUEST_URI'] ?? '') === '/') { throw new \\Exception('not now'); }\nreturn $app;";
    fs_err::write(&cache, text.replace("return $app;", only_with_a_request)).unwrap();
    let public = directory.path().join("public");
    let output = Server::command("worker", &public).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains("Howdah's worker script for Laravel"),
        "{error}"
    );
    assert!(error.contains("not now"), "{error}");
    let mut command = Server::command("auto", &public);
    command.args(["--workers", "1"]);
    let server = Server::spawn(command, directory);
    server.log_line("the application does not boot as a worker: every request boots it");
    assert_eq!(server.get("/user").status, 200);
    server.stop();
}
