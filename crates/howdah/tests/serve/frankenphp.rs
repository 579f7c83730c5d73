//! The executable called as `frankenphp`, as Octane and others call it.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;

use serde_json::{Value, json};

use super::DEADLINE;
use super::http::{Response, exchange};
use super::server::howdah_php;

/// A server that was started by `frankenphp run`, or in another way that serves.
pub(crate) struct FrankenPhp {
    process: Child,
    pub(crate) address: SocketAddr,
    admin: Option<SocketAddr>,
    log: mpsc::Receiver<Value>,
    directory: tempfile::TempDir,
}

/// A command in a directory that has a link of this name.
pub(crate) fn command(directory: &Path, arguments: &[&str]) -> Command {
    let link = directory.join("frankenphp");
    if !link.exists() {
        symlink(env!("CARGO_BIN_EXE_howdah"), &link).unwrap();
    }
    let mut command = Command::new(link);
    command
        .args(arguments)
        .env("HOWDAH_PHP", howdah_php())
        .env("HOWDAH_ROOT", directory.join("store"))
        .current_dir(directory);
    command
}

pub(crate) fn output(directory: &Path, arguments: &[&str]) -> Output {
    command(directory, arguments).output().unwrap()
}

impl FrankenPhp {
    /// `files`: of the application, by their paths. Addresses have port 0.
    pub(crate) fn start(
        files: &[(&str, &str)],
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> FrankenPhp {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = directory.path().join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        let mut command = command(directory.path(), arguments);
        command.envs(environment.iter().copied());
        command.env("APP_PUBLIC_PATH", directory.path().join("public"));
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let wants_admin = environment
            .iter()
            .any(|(name, _)| *name == "CADDY_SERVER_ADMIN_PORT");
        let (mut address, mut admin) = (None, None);
        while address.is_none() || (wants_admin && admin.is_none()) {
            let line = lines.next().expect("the server ended").unwrap();
            let line: Value = serde_json::from_str(&line).expect(&line);
            if line["msg"] == "listening" {
                let bound: SocketAddr = line["address"].as_str().unwrap().parse().unwrap();
                // Whatever it is bound to, it is there.
                let bound = SocketAddr::new([127, 0, 0, 1].into(), bound.port());
                match line["logger"].as_str().unwrap() {
                    "admin" => admin = Some(bound),
                    _ => address = address.or(Some(bound)),
                }
            }
        }
        let (sender, log) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let line = serde_json::from_str(&line).expect(&line);
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        FrankenPhp {
            process,
            address: address.unwrap(),
            admin,
            log,
            directory,
        }
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.request("GET", path, "localhost", "", b"")
    }

    /// `fields`: further header fields, each with its end of line.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        host: &str,
        fields: &str,
        body: &[u8],
    ) -> Response {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}");
        exchange(&mut stream, head, body)
    }

    /// What the worker script answers.
    fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{answer:?}");
        let text = String::from_utf8(answer.body).unwrap();
        serde_json::from_str(&text).expect(&text)
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where else it listens, in the order of the Caddyfile.
    pub(crate) fn next_address(&self) -> SocketAddr {
        let line = self.line("listening");
        let bound: SocketAddr = line["address"].as_str().unwrap().parse().unwrap();
        SocketAddr::new([127, 0, 0, 1].into(), bound.port())
    }

    pub(crate) fn admin(&self, method: &str, path: &str, host: &str, body: &[u8]) -> Response {
        let mut stream = TcpStream::connect(self.admin.unwrap()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nCache-Control: must-revalidate\r\n"
        );
        exchange(&mut stream, head, body)
    }

    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin.unwrap()
    }

    /// Sends another Caddyfile.
    pub(crate) fn load(&self, caddyfile: &str) -> Response {
        let mut stream = TcpStream::connect(self.admin.unwrap()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let head = "POST /load HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/caddyfile\r\n";
        exchange(&mut stream, head.to_owned(), caddyfile.as_bytes())
    }

    /// Stops as Octane does; the answer comes when everything has ended.
    pub(crate) fn stop(mut self) {
        assert_eq!(
            self.admin("POST", "/stop", "localhost:2019", b"").status,
            200
        );
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}");
        assert!(self.has_said("FrankenPHP stopped"));
    }

    pub(crate) fn terminate(mut self) {
        let pid = self.process.id().to_string();
        Command::new("kill").arg(pid).status().unwrap();
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}");
    }

    /// Waits for a line of the log.
    pub(crate) fn has_said(&self, message: &str) -> bool {
        self.line(message)["msg"] == message
    }

    /// Waits for a line of the log; null if there is none.
    pub(crate) fn line(&self, message: &str) -> Value {
        let lines = std::iter::from_fn(|| self.log.recv_timeout(DEADLINE).ok());
        let mut said = lines.filter(|line| line["msg"] == message);
        said.next().unwrap_or_default()
    }
}

/// Of a test that failed.
impl Drop for FrankenPhp {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// In the manner of Octane's: boots once, answers until it has answered enough, and has something to do at its end.
const WORKER: &str = r"<?php
if (! ($_SERVER['FRANKENPHP_WORKER'] ?? false) || ! function_exists('frankenphp_handle_request')) {
    echo 'FrankenPHP must be in worker mode to use this script.';
    exit(1);
}
ignore_user_abort(true);
set_time_limit((int) ($_SERVER['REQUEST_MAX_EXECUTION_TIME'] ?? 30));
$boot = getmypid();
$count = 0;
try {
    $handler = static function () use (&$count, $boot) {
        if ($_SERVER['REQUEST_URI'] === '/fail') { http_response_code(500); header('Status: 500 Internal Server Error'); echo 'failed'; return; }
        if ($_SERVER['REQUEST_URI'] === '/exit') { echo 'bye'; exit(1); }
        header('Content-Type: application/json');
        echo json_encode(['boot' => $boot, 'count' => $count, 'uri' => $_SERVER['REQUEST_URI'], 'query' => $_GET,
            'script' => $_SERVER['SCRIPT_NAME'], 'file' => $_SERVER['SCRIPT_FILENAME'], 'root' => $_SERVER['DOCUMENT_ROOT'],
            'octane' => $_SERVER['LARAVEL_OCTANE'] ?? null, 'software' => $_SERVER['SERVER_SOFTWARE'],
            'body' => file_get_contents('php://input'), 'tenant' => $_SERVER['TENANT'] ?? null]);
    };
    while ($count < ($_SERVER['MAX_REQUESTS'] ?? 1000) && frankenphp_handle_request($handler)) { $count++; }
} finally {
    error_log('the worker terminates');
}
";
const OCTANE: &str = include_str!("../../../howdah-caddyfile/tests/corpus/octane");
/// What Octane sets, but for ports that the kernel chooses.
const ENVIRONMENT: [(&str, &str); 12] = [
    ("APP_ENV", "production"),
    ("LARAVEL_OCTANE", "1"),
    ("MAX_REQUESTS", "3"),
    ("REQUEST_MAX_EXECUTION_TIME", "30"),
    ("CADDY_GLOBAL_OPTIONS", "auto_https disable_redirects"),
    ("CADDY_SERVER_ADMIN_HOST", "localhost"),
    ("CADDY_SERVER_ADMIN_PORT", "0"),
    ("CADDY_SERVER_LOG_LEVEL", "INFO"),
    ("CADDY_SERVER_LOGGER", "json"),
    ("CADDY_SERVER_SERVER_NAME", "http://:0"),
    ("CADDY_SERVER_WORKER_COUNT", "1"),
    ("CADDY_SERVER_WORKER_DIRECTIVE", "num 1"),
];

fn octane() -> FrankenPhp {
    FrankenPhp::start(
        &[
            ("Caddyfile", OCTANE),
            ("public/frankenphp-worker.php", WORKER),
            (
                "public/other.php",
                "<?php echo 'other ', $_SERVER['PATH_INFO'] ?? '';",
            ),
            ("public/a.css", "body {}"),
        ],
        &["run", "-c", "Caddyfile"],
        &ENVIRONMENT,
    )
}

#[test]
fn the_caddyfile_of_octane_serves_a_worker() {
    let server = octane();
    let first = server.json("/a/b?c=d");
    let public = server.directory.path().join("public");
    assert_eq!(
        (&first["uri"], &first["query"]["c"]),
        (&json!("/a/b?c=d"), &json!("d"))
    );
    assert_eq!(first["file"], json!(public.join("frankenphp-worker.php")));
    assert_eq!(first["root"], json!(public));
    assert_eq!(
        (&first["octane"], &first["software"]),
        (&json!("1"), &json!("FrankenPHP"))
    );
    let second = server.json("/");
    assert_eq!(
        (&second["boot"], &second["count"]),
        (&first["boot"], &json!(1))
    );
    // The third one is its last: another worker takes its place.
    server.json("/");
    assert!(server.has_said("the worker terminates"));
    assert_eq!(server.json("/")["count"], 0);
    assert_eq!(server.get("/a.css").body, b"body {}");
    let none = server.get("/none.css");
    assert_eq!(
        (
            none.status,
            none.body.starts_with(b"<!doctype") || none.body.starts_with(b"<h1>404 Not Found")
        ),
        (404, true)
    );
    // A script of its own is run anew each time.
    assert_eq!(server.get("/other.php").body, b"other ");
    let failed = server.get("/fail");
    assert_eq!((failed.status, &failed.body[..]), (500, &b"failed"[..]));
    assert!(
        failed.head.contains("status: 500 internal server error"),
        "{}",
        failed.head
    );
    assert_eq!(server.get("/exit").body, b"bye");
    assert!(server.has_said("unexpected termination, restarting"));
    assert_eq!(server.json("/next")["uri"], "/next");
    server.stop();
}

#[test]
fn the_admin_api_is_that_of_octane() {
    const CONFIG: &str = "/config/apps/frankenphp";
    let server = octane();
    let config = server.admin("GET", CONFIG, "localhost:2019", b"");
    let workers: Value = serde_json::from_slice(&config.body).unwrap();
    assert_eq!(workers["workers"][0]["num"], 1);
    let before = server.json("/")["boot"].clone();
    let reloaded = server.admin("PATCH", CONFIG, "localhost:2019", &config.body);
    assert_eq!(reloaded.status, 200);
    assert_ne!(server.json("/")["boot"], before);
    let restarted = server.admin("POST", "/frankenphp/workers/restart", "localhost:2019", b"");
    assert_eq!(restarted.body, b"workers restarted successfully\n");
    let refused = server.admin("GET", "/frankenphp/workers/restart", "localhost:2019", b"");
    assert_eq!(refused.status, 405);
    let other = server.admin("PATCH", CONFIG, "localhost:2019", b"{}");
    assert_eq!(other.status, 400);
    let threads = server.admin("GET", "/frankenphp/threads", "localhost:2019", b"");
    let threads: Value = serde_json::from_slice(&threads.body).unwrap();
    assert_eq!(threads["ThreadDebugStates"][0]["State"], "ready");
    let metrics = server.admin("GET", "/metrics", "localhost:2019", b"");
    assert!(String::from_utf8_lossy(&metrics.body).contains("frankenphp_total_workers"));
    // A page in a browser, whose name was made to lead here.
    let stranger = server.admin("POST", "/stop", "evil.example", b"");
    assert_eq!(stranger.status, 403);
    server.stop();
}

#[test]
fn routes_of_a_caddyfile() {
    const CADDYFILE: &str = r#"{
	admin off
	frankenphp {
		worker {
			file worker.php
			num 1
		}
	}
}
http://:0 {
	root * public
	encode gzip
	header X-Site "{host}"
	header -X-Powered-By
	redir /old /new?from={path} permanent
	@private {
		path /private/*
		not header X-Key secret
	}
	handle @private {
		respond "no" 403
	}
	handle_path /files/* {
		root * files
		file_server {
			hide *.bak
		}
	}
	handle /api/* {
		request_body {
			max_size 10
		}
		php_server {
			root .
			index worker.php
			try_files worker.php
			env TENANT "{http.request.header.X-Tenant}"
		}
	}
	handle {
		php_server
	}
	handle_errors 404 {
		root * public
		rewrite * /404.html
		file_server
	}
}
"#;
    let server = FrankenPhp::start(
        &[
            ("Caddyfile", CADDYFILE),
            ("worker.php", WORKER),
            (
                "public/index.php",
                "<?php header('X-Powered-By: x'); echo 'index ', $_SERVER['REQUEST_URI'], ' ', $_SERVER['QUERY_STRING'];",
            ),
            (
                "public/dir/index.php",
                "<?php echo 'dir ', $_SERVER['SCRIPT_NAME'], $_SERVER['PATH_INFO'] ?? '';",
            ),
            ("public/404.html", "not here"),
            ("files/a.txt", "a file"),
            ("files/a.bak", "hidden"),
        ],
        &["run"],
        &[],
    );
    let text = |path: &str| String::from_utf8(server.get(path).body).unwrap();
    assert_eq!(text("/x/y?z=1"), "index /x/y?z=1 z=1");
    let index = server.get("/");
    assert!(index.head.contains("x-site: localhost") && !index.head.contains("x-powered-by"));
    assert_eq!(text("/dir/"), "dir /dir/index.php");
    let slash = server.get("/dir?a=b");
    assert!(slash.status == 308 && slash.head.contains("location: /dir/?a=b"));
    assert_eq!(text("/dir/index.php/info"), "dir /dir/index.php/info");
    let moved = server.get("/old");
    assert!(moved.status == 301 && moved.head.contains("location: /new?from=/old"));
    let private = server.get("/private/x");
    assert_eq!((private.status, &private.body[..]), (403, &b"no"[..]));
    assert_eq!(text("/files/a.txt"), "a file");
    let hidden = server.get("/files/a.bak");
    assert_eq!((hidden.status, &hidden.body[..]), (404, &b"not here"[..]));
    let small = server.request("POST", "/api/x?a=b", "localhost", "", b"0123456789");
    let small: Value = serde_json::from_slice(&small.body).unwrap();
    assert_eq!(
        (&small["body"], &small["script"]),
        (&json!("0123456789"), &json!("/worker.php"))
    );
    assert_eq!(
        (&small["uri"], &small["tenant"]),
        (&json!("/api/x?a=b"), &json!(""))
    );
    let large = server.request("POST", "/api/x", "localhost", "", b"0123456789a");
    assert_eq!(large.status, 413);
    server.terminate();
}

#[test]
fn what_programs_read_of_the_command_line() {
    let directory = tempfile::tempdir().unwrap();
    let text = |arguments: &[&str]| {
        let output = output(directory.path(), arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let info = text(&["build-info"]);
    let line = info
        .lines()
        .find(|line| line.starts_with("dep") && line.contains("github.com/dunglas/frankenphp"));
    let version = line.unwrap().rsplit('v').next().unwrap();
    assert!(
        version
            .split('.')
            .all(|number| number.parse::<u32>().is_ok()),
        "{version}"
    );
    for arguments in [&["version"][..], &["-v"], &["--version"]] {
        assert!(text(arguments).starts_with("FrankenPHP v1."));
    }
    assert!(text(&["list-modules"]).contains("http.handlers.php"));
    assert!(text(&["environ"]).contains("HOWDAH_ROOT="));
    fs_err::write(
        directory.path().join("a.php"),
        "<?php echo PHP_SAPI, ini_get('precision'), $argv[1];",
    )
    .unwrap();
    assert_eq!(
        text(&["php-cli", "-d", "precision=7", "a.php", "-x"]),
        "cli7-x"
    );
    fs_err::write(
        directory.path().join("Caddyfile"),
        ":80 {\n\tphp_server\n}\n",
    )
    .unwrap();
    assert!(text(&["validate"]).contains("Valid configuration"));
    let json: Value = serde_json::from_str(&text(&["adapt"])).unwrap();
    assert_eq!(json["apps"]["http"]["sites"][0]["addresses"][0]["port"], 80);
    fs_err::write(
        directory.path().join("Caddyfile"),
        ":80 {\n\tphp_fastcgi a\n}\n",
    )
    .unwrap();
    let refused = output(directory.path(), &["run"]);
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(
        !refused.status.success() && told.contains("Caddyfile:2: `php_fastcgi` is not supported"),
        "{told}"
    );
    let mercure = output(directory.path(), &["php-server", "--mercure"]);
    assert!(!mercure.status.success());
}

#[test]
fn a_directory_without_a_caddyfile() {
    let server = FrankenPhp::start(
        &[
            ("public/index.php", "<?php echo 'index';"),
            ("public/w.php", WORKER),
        ],
        &[
            "php-server",
            "-r",
            "public",
            "--listen",
            "127.0.0.1:0",
            "--worker",
            "public/w.php,1",
            "-a",
        ],
        &[],
    );
    assert_eq!(server.get("/").body, b"index");
    assert_eq!(server.json("/w.php/info")["script"], "/w.php");
    server.terminate();
}
