//! examples/invoices, unmodified, in all modes: on `PostgreSQL` and Redis, page for page, in a browser, and its own tests.

mod browser;
mod pages;

use std::path::{Path, PathBuf};
use std::process::Command;

use browser::Browser;

use crate::fpm::Fpm;
use crate::server::{Server, howdah_php};
use crate::service::{self, Service, succeeds};

const MODES: [&str; 4] = ["classic", "worker", "fork", "fastcgi"];

/// What stands for the front end that Vite would build: the same modules, unbundled.
const MANIFEST: &str = r#"{"resources/js/app.js": {"file": "assets/app.js", "css": ["assets/app.css"], "isEntry": true}}"#;

/// The application, its database and its Redis.
struct Stack {
    directory: tempfile::TempDir,
    _postgres: Service,
    _redis: Service,
}

impl Stack {
    fn new() -> Stack {
        let directory = tempfile::tempdir().unwrap();
        let stack = Stack {
            _postgres: service::postgres(directory.path()),
            _redis: service::redis(directory.path()),
            directory,
        };
        install(stack.directory.path());
        assert!(stack.sql("create database template"));
        succeeds(
            stack
                .php("template")
                .args(["artisan", "migrate", "--force", "--seed"]),
        );
        stack
    }

    fn application(&self) -> PathBuf {
        self.directory.path().join("application")
    }

    fn manifest(&self) -> PathBuf {
        self.application().join("public/build/manifest.json")
    }

    fn environment(&self, database: &str) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.directory.path().join(name).display().to_string();
        [
            (
                "APP_KEY",
                "base64:aW52b2ljZXMtZXhhbXBsZS1kZXZlbG9wbWVudC1rZXk=",
            ),
            ("APP_ENV", "production"),
            ("DB_HOST", &path("postgres")),
            ("DB_DATABASE", database),
            ("REDIS_HOST", &path("redis.sock")),
            ("REDIS_PORT", "0"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into()
    }

    fn php(&self, database: &str) -> Command {
        let mut command = Command::new("php8.2");
        command
            .current_dir(self.application())
            .envs(self.environment(database));
        command
    }

    fn sql(&self, statement: &str) -> bool {
        let socket = self.directory.path().join("postgres");
        service::sql(&socket, "postgres", statement)
    }

    /// The application in a mode, as it was after it had been seeded.
    fn serve(&self, mode: &str) -> (Server, Option<Fpm>) {
        assert!(self.sql(&format!("create database {mode} template template")));
        let socket = self.directory.path().join("redis.sock");
        succeeds(
            Command::new("redis-cli")
                .arg("-s")
                .arg(socket)
                .arg("flushall"),
        );
        let environment = self.environment(mode);
        let mut command = Server::command(mode, &self.application().join("public"));
        command.args(["--workers", "2"]);
        let scratch = tempfile::tempdir().unwrap();
        let fpm = (mode == "fastcgi").then(|| Fpm::start(scratch.path(), 2, "", &environment));
        if let Some(fpm) = &fpm {
            command.args(["--fastcgi", fpm.socket()]);
        }
        command.envs(environment);
        (Server::spawn(command, scratch), fpm)
    }
}

/// Makes `application` in a directory, as the Dockerfiles of the example do it.
fn install(directory: &Path) {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/invoices");
    let application = directory.join("application");
    succeeds(Command::new("cp").arg("-r").arg(example).arg(&application));
    succeeds(
        Command::new("composer")
            .args(["install", "--no-interaction", "--no-plugins"])
            .current_dir(&application)
            .env("COMPOSER_ALLOW_SUPERUSER", "1")
            .env("COMPOSER_HOME", directory.join("composer")),
    );
    let assets = application.join("public/build/assets");
    fs_err::create_dir_all(&assets).unwrap();
    fs_err::write(assets.with_file_name("manifest.json"), MANIFEST).unwrap();
    let sources = application.join("resources");
    for file in ["delivery.js", "invoice-form.js", "money.js"] {
        fs_err::copy(sources.join("js").join(file), assets.join(file)).unwrap();
    }
    fs_err::copy(sources.join("css/app.css"), assets.join("app.css")).unwrap();
    let script = fs_err::read_to_string(sources.join("js/app.js")).unwrap();
    // A browser imports no style sheets.
    let script = script.replace("import '../css/app.css';\n", "");
    fs_err::write(assets.join("app.js"), script).unwrap();
}

#[test]
fn its_pages_are_the_same_in_all_modes() {
    let stack = Stack::new();
    let day = || jiff::Timestamp::now().as_second() / 86_400;
    // Forms have the date in them.
    let start = day();
    let of_mode: Vec<_> = MODES
        .map(|mode| {
            let (server, fpm) = stack.serve(mode);
            let pages = pages::visit(&server, &stack.manifest());
            server.stop();
            drop(fpm);
            pages
        })
        .into();
    if day() != start {
        return;
    }
    for (mode, pages) in MODES.iter().zip(&of_mode) {
        for (page, expected) in pages.iter().zip(&of_mode[0]) {
            assert_eq!(page, expected, "mode {mode}");
        }
        assert_eq!(pages.len(), of_mode[0].len());
    }
}

#[test]
fn a_browser_finds_it_working_in_all_modes() {
    let stack = Stack::new();
    let browser = Browser::start();
    for mode in MODES {
        let (server, _fpm) = stack.serve(mode);
        browser.visit(&format!("http://{}", server.address()), mode);
        server.stop();
    }
}

/// By the PHP that serves.
#[test]
fn its_own_tests_pass() {
    let directory = tempfile::tempdir().unwrap();
    install(directory.path());
    let mut phpunit = Command::new(howdah_php());
    phpunit.args(["cli", "/usr/bin/phpunit"]);
    succeeds(phpunit.current_dir(directory.path().join("application")));
}
