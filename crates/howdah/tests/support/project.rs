//! A copy of `examples/invoices` in a directory of its own, with ports of its own, built and run by this `howdah`.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{output, wait_for};

/// The copy; dropped, its stack and volumes are taken down.
pub(crate) struct Project {
    directory: tempfile::TempDir,
    // Beside the project, because everything in it is build context.
    cookies: tempfile::TempDir,
    root: PathBuf,
    program: PathBuf,
    name: String,
    web_port: u16,
    mail_port: u16,
}

impl Project {
    /// Copies the example and makes sure the base images are in the store below `root`.
    pub(crate) fn new(name: &str, root: &Path) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("howdah-e2e-")
            .tempdir()
            .unwrap();
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/invoices");
        output(
            Command::new("cp")
                .arg("-aT")
                .arg(example)
                .arg(directory.path()),
        );
        let (web_port, mail_port) = (free_port(), free_port());
        let project = Self {
            directory,
            cookies: tempfile::tempdir().unwrap(),
            root: root.to_owned(),
            program: PathBuf::from(env!("CARGO_BIN_EXE_howdah")),
            name: name.to_owned(),
            web_port,
            mail_port,
        };
        let environment = fs_err::read_to_string(project.path(".env.example")).unwrap();
        let ports = format!("\nWEB_PORT={web_port}\nMAIL_PORT={mail_port}\n");
        fs_err::write(project.path(".env"), environment + &ports).unwrap();
        project.howdah(&["image", "bootstrap", "debian:bookworm-slim"]);
        project.howdah(&["image", "bootstrap", "howdah", "--force"]);
        project
    }

    /// The example's second packaging, behind `howdah serve`, with the `howdah-php` that `make php` built.
    pub(crate) fn served(name: &str, root: &Path) -> Self {
        let mut project = Self::new(name, root);
        // An image `howdah` has the `howdah-php` beside the program.
        let php = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/php/howdah-php8.4");
        let programs = project.cookies.path();
        output(
            Command::new("cp")
                .args([&project.program, &php])
                .arg(programs),
        );
        project.program = programs.join("howdah");
        let environment = fs_err::read_to_string(project.path(".env")).unwrap();
        let file = "COMPOSE_FILE=compose.serve.yaml\n";
        fs_err::write(project.path(".env"), environment + file).unwrap();
        project.howdah(&["image", "bootstrap", "debian:trixie-slim"]);
        project.howdah(&["image", "bootstrap", "howdah", "--force"]);
        project
    }

    /// A path inside the copy.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().join(relative)
    }

    /// A `howdah` command line in the project's directory, on the test's own store.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(self.directory.path())
            .env("HOWDAH_ROOT", &self.root);
        command
            .env("COMPOSE_PROJECT_NAME", &self.name)
            .args(arguments);
        command
    }

    /// Runs `howdah …`, which must succeed, and returns its stdout.
    pub(crate) fn howdah(&self, arguments: &[&str]) -> String {
        output(&mut self.command(arguments))
    }

    /// Runs a command in a service's container and returns its stdout.
    pub(crate) fn exec(&self, service: &str, arguments: &[&str]) -> String {
        self.howdah(&[&["exec", "-T", service], arguments].concat())
    }

    /// Fetches a page of the web application; `arguments` are curl's.
    pub(crate) fn web(&self, path: &str, arguments: &[&str]) -> String {
        let cookies = self.cookies.path().join("cookies.txt");
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--fail",
            "--location",
            "--max-time",
            "20",
        ]);
        curl.arg("--cookie")
            .arg(&cookies)
            .arg("--cookie-jar")
            .arg(&cookies)
            .args(arguments);
        output(curl.arg(format!("http://127.0.0.1:{}{path}", self.web_port)))
    }

    /// Creates an invoice through the form, as a browser would, and returns the page that follows.
    pub(crate) fn create_invoice(&self, description: &str) -> String {
        let form = self.web("/invoices/create", &[]);
        let token =
            between(&form, "name=\"_token\" value=\"", "\"").expect("the form has a CSRF token");
        self.web(
            "/invoices",
            &[
                "--data-urlencode",
                &format!("_token={token}"),
                "--data-urlencode",
                "customer_id=1",
                "--data-urlencode",
                "issued_on=2030-01-01",
                "--data-urlencode",
                "due_on=2030-01-31",
                "--data-urlencode",
                "tax_basis_points=0",
                "--data-urlencode",
                &format!("lines[0][description]={description}"),
                "--data-urlencode",
                "lines[0][quantity]=2",
                "--data-urlencode",
                "lines[0][unit_price]=12.50",
            ],
        )
    }

    /// The mail catcher's list of messages, as JSON text.
    pub(crate) fn mails(&self) -> String {
        output(Command::new("curl").args([
            "-sSf",
            "--max-time",
            "20",
            &format!("http://127.0.0.1:{}/email", self.mail_port),
        ]))
    }

    /// One value from the database.
    pub(crate) fn query(&self, sql: &str) -> String {
        self.exec(
            "db",
            &["psql", "-U", "invoices", "-d", "invoices", "-At", "-c", sql],
        )
        .trim()
        .to_owned()
    }

    /// Waits until `sql` gives `expected`.
    pub(crate) fn wait_for_query(&self, sql: &str, expected: &str, limit: Duration) {
        wait_for(&format!("{sql} = {expected}"), limit, || {
            (self.query(sql) == expected).then_some(())
        });
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        drop(self.command(&["down", "-v", "-t", "5"]).output());
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// The text between two marks.
pub(crate) fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let start = text.find(before)? + before.len();
    let end = text[start..].find(after)?;
    Some(&text[start..start + end])
}
