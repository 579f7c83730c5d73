//! A running `howdah serve` on a port that the kernel chose, with an application of its own.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::Value;

use crate::http::{self, Response};

/// What the worker script and the classic one do for a path.
const APPLICATION: &str = r#"<?php
function answer(): void {
    $path = strtok($_SERVER['REQUEST_URI'], '?');
    $directory = dirname(__DIR__);
    switch ($path) {
        case '/long': for ($i = 0; $i < 64; $i++) { echo str_repeat('x', 65536); flush(); } return;
        case '/length': echo json_encode(['length' => strlen(file_get_contents('php://input'))]); return;
        case '/wrong-length': header('Content-Length: 3'); echo 'abcdef'; return;
        case '/bad-status': http_response_code(999); echo 'x'; return;
        case '/tls': echo implode(' ', [$_SERVER['HTTPS'], $_SERVER['SSL_PROTOCOL'], $_SERVER['SSL_CIPHER']]); return;
        case '/upload': echo json_encode(array_column($_FILES, 'error')); return;
        case '/loop': for (;;);
        case '/log': error_log('a line of the log'); break;
        case '/die': exec('kill -9 ' . getmypid()); for (;;);
        case '/die-once': if (!file_exists("$directory/died")) { touch("$directory/died"); exec('kill -9 ' . getmypid()); for (;;); } break;
        case '/hints':
            header('Link: </a.css>; rel=preload');
            headers_send(103);
            headers_send(101);
            while (file_exists("$directory/slow")) { clearstatcache(); usleep(10000); }
            header('Link: </b.css>; rel=preload');
            break;
        case '/reset': opcache_reset(); break;
        case '/count': file_put_contents("$directory/counted", $_GET['id'] . "\n", FILE_APPEND); break;
        case '/wait': touch("$directory/waiting"); while (!file_exists("$directory/go")) { clearstatcache(); usleep(10000); } break;
    }
    echo json_encode(['uri' => $_SERVER['REQUEST_URI'], 'query' => $_GET, 'body' => file_get_contents('php://input'),
        'script' => $_SERVER['SCRIPT_NAME'], 'pid' => getmypid()]);
}
"#;
/// Files beside the document root make it behave badly.
const WORKER: &str = r"<?php
require __DIR__ . '/application.php';
$directory = dirname(__DIR__);
if (file_exists($directory . '/broken')) { exit(1); }
if (file_exists($directory . '/database')) { $database = stream_socket_client(file_get_contents($directory . '/database')); }
try { while (frankenphp_handle_request('answer')); } finally {
    error_log('the loop has ended');
    while (file_exists($directory . '/stuck')) { clearstatcache(); usleep(10000); }
}
";

/// The socket of the administration.
const ADMIN: &str = "admin.sock";

/// See the module's head.
pub(crate) struct Server {
    process: Mutex<Child>,
    /// The plain one, and the one of TLS if it was asked for.
    addresses: Vec<SocketAddr>,
    log: Arc<Mutex<Vec<Value>>>,
    directory: tempfile::TempDir,
}

/// Runs a closure when it is dropped, be it by a panic.
pub(crate) struct OnDrop<F: Fn()>(pub(crate) F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Where `make php` puts it.
pub(crate) fn howdah_php() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/php/howdah-php8.2")
}

impl Server {
    pub(crate) fn start(mode: &str, arguments: &[&str]) -> Server {
        Self::start_with(mode, arguments, |_| {})
    }

    /// `prepare`: is given the directory of the application, beside whose document root it may put files.
    pub(crate) fn start_with(
        mode: &str,
        arguments: &[&str],
        prepare: impl FnOnce(&Path),
    ) -> Server {
        let program = Command::new(env!("CARGO_BIN_EXE_howdah"));
        Self::start_by(program, mode, arguments, prepare)
    }

    /// `command`: the program, or one that becomes it when its arguments are added.
    pub(crate) fn start_by(
        mut command: Command,
        mode: &str,
        arguments: &[&str],
        prepare: impl FnOnce(&Path),
    ) -> Server {
        let directory = tempfile::tempdir().unwrap();
        let public = directory.path().join("public");
        fs_err::create_dir(&public).unwrap();
        let index = "<?php require __DIR__ . '/application.php'; answer();";
        for (name, text) in [
            ("application.php", APPLICATION),
            ("worker.php", WORKER),
            ("index.php", index),
        ] {
            fs_err::write(public.join(name), text).unwrap();
        }
        prepare(directory.path());
        add_arguments(&mut command, mode, &public);
        command.args(arguments);
        if mode == "worker" || mode == "fork" {
            command.arg("--worker").arg(public.join("worker.php"));
        }
        Server::spawn(command, directory)
    }

    /// `howdah serve`, to be given more arguments.
    pub(crate) fn command(mode: &str, public: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_howdah"));
        add_arguments(&mut command, mode, public);
        command
    }

    /// Starts it and waits until it listens. `directory` is kept as long as it runs.
    pub(crate) fn spawn(mut command: Command, directory: tempfile::TempDir) -> Server {
        command
            .current_dir(directory.path())
            .arg("--admin")
            .arg(directory.path().join(ADMIN))
            .env("HOWDAH_ROOT", directory.path().join("root"))
            .stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let has_tls = command
            .get_args()
            .any(|argument| argument == "--listen-tls");
        let expected = 1 + usize::from(has_tls);
        let mut addresses = Vec::new();
        while addresses.len() < expected {
            let line = lines.next().expect("the server ended").unwrap();
            let line: Value = serde_json::from_str(&line).expect(&line);
            log.lock().unwrap().push(line.clone());
            if line["msg"] == "listening" && line["logger"] == "http" {
                addresses.push(line["address"].as_str().unwrap().parse().unwrap());
            }
        }
        let sink = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                sink.lock()
                    .unwrap()
                    .extend(serde_json::from_str::<Value>(&line));
            }
        });
        Server {
            process: Mutex::new(process),
            addresses,
            log,
            directory,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub(crate) fn tls_address(&self) -> SocketAddr {
        self.addresses[1]
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.lock().unwrap().id()
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.request("GET", path, b"")
    }

    pub(crate) fn request(&self, method: &str, path: &str, body: &[u8]) -> Response {
        self.send(method, path, &[("Host", "localhost")], body)
    }

    /// With these header fields.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let head = http::head(method, path, fields);
        http::exchange(&mut self.connect(), head, body)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(super::DEADLINE)).unwrap();
        stream
    }

    /// Asks at the socket of the administration. `fields`: further header fields, each with its end of line.
    pub(crate) fn admin(&self, method: &str, path: &str, fields: &str) -> Response {
        let mut stream = UnixStream::connect(self.admin_socket()).unwrap();
        stream.set_read_timeout(Some(super::DEADLINE)).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}");
        http::exchange(&mut stream, head, b"")
    }

    pub(crate) fn admin_socket(&self) -> PathBuf {
        self.directory.path().join(ADMIN)
    }

    /// What the server says of its first pool.
    pub(crate) fn pool(&self) -> Value {
        self.pools().swap_remove(0)
    }

    pub(crate) fn pools(&self) -> Vec<Value> {
        let status: Value = serde_json::from_slice(&self.admin("GET", "/status", "").body).unwrap();
        status["pools"].as_array().unwrap().clone()
    }

    /// The value of a metric; `name` with its labels.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let page = String::from_utf8(self.admin("GET", "/metrics", "").body).unwrap();
        let value = page
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map(|value| value.parse().unwrap())
    }

    pub(crate) fn wait_until(&self, condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(
                start.elapsed() < super::DEADLINE,
                "log: {:?}",
                self.log.lock().unwrap()
            );
            std::thread::yield_now();
        }
    }

    pub(crate) fn log_count(&self, message: &str) -> usize {
        let log = self.log.lock().unwrap();
        log.iter().filter(|line| line["msg"] == message).count()
    }

    /// The first line with this message, once it is there.
    pub(crate) fn log_line(&self, message: &str) -> Value {
        self.wait_until(|| self.log_count(message) > 0);
        let log = self.log.lock().unwrap();
        log.iter()
            .find(|line| line["msg"] == message)
            .unwrap()
            .clone()
    }

    /// Of a file of the application.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Is there a file of this name beside the document root?
    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    pub(crate) fn remove(&self, name: &str) {
        fs_err::remove_file(self.path(name)).unwrap();
    }

    /// A file beside the document root.
    pub(crate) fn read(&self, name: &str) -> String {
        fs_err::read_to_string(self.directory.path().join(name)).unwrap()
    }

    pub(crate) fn create(&self, name: &str) {
        fs_err::write(self.directory.path().join(name), "").unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        kill(name, &self.pid().to_string());
    }

    /// Stops it; it must end by itself, without a fault.
    pub(crate) fn stop(&self) {
        self.signal("TERM");
        self.wait();
    }

    /// Until it has ended, without a fault.
    pub(crate) fn wait(&self) {
        assert_eq!(self.wait_for_code(), Some(0));
    }

    /// Until it has ended, by itself.
    pub(crate) fn wait_for_code(&self) -> Option<i32> {
        self.process.lock().unwrap().wait().unwrap().code()
    }
}

fn add_arguments(command: &mut Command, mode: &str, public: &Path) {
    command
        .args(["serve", "--listen", "0", "--mode", mode, "--document-root"])
        .arg(public)
        .arg("--php")
        .arg(howdah_php());
}

/// Of a test that failed.
impl Drop for Server {
    fn drop(&mut self) {
        let mut process = self
            .process
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        process.kill().ok();
        process.wait().ok();
    }
}

pub(crate) fn kill(signal: &str, pid: &str) {
    let status = Command::new("kill")
        .args(["-s", signal, pid])
        .stderr(Stdio::null())
        .status();
    // A worker may have ended by itself.
    status.unwrap();
}
