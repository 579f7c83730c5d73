//! Certificates by ACME from a real authority: Pebble (`make serve-tools` builds it), in a network of its own with the true ports.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{Value, json};

use super::h2spec::tool;

const NAMES: [&str; 2] = ["shop.example.org", "www.shop.example.org"];
const DIRECTORY: &str = "https://127.0.0.1:14000/dir";
const ISSUED: &str = "certificate issued";
const FAILED: &str = "no certificate issued, the one from before stays";

/// Ends with its owner.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A network with nothing but a loopback device, and a directory for all that runs in it.
struct World {
    network: Process,
    directory: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let script = "ip link set lo up && echo up && exec cat";
        let mut network = Command::new("unshare")
            .args(["--net", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(network.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        let world = World {
            network: Process(network),
            directory: tempfile::tempdir().unwrap(),
        };
        let public = world.path().join("public");
        fs_err::create_dir(&public).unwrap();
        fs_err::write(public.join("ten.txt"), "0123456789").unwrap();
        world
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A program of this network.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/proc/{}/ns/net", self.network.0.id()))
            .arg(program)
            .current_dir(self.path());
        for proxy in [
            "HTTPS_PROXY",
            "HTTP_PROXY",
            "ALL_PROXY",
            "https_proxy",
            "http_proxy",
        ] {
            command.env_remove(proxy);
        }
        command
    }

    fn curl(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = self.command("curl");
        command.args(["--silent", "--show-error", "--max-time", "60"]);
        for name in NAMES {
            command
                .arg("--resolve")
                .arg(format!("{name}:443:127.0.0.1"));
        }
        let output = command.args(arguments).output().unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap(),
        )
    }

    /// Pebble with names that all lead here. `validity`: seconds of a certificate.
    fn authority(&self, validity: u32) -> [Process; 2] {
        let config = json!({ "pebble": {
            "listenAddress": "127.0.0.1:14000",
            "managementListenAddress": "127.0.0.1:15000",
            "certificate": "pebble.crt",
            "privateKey": "pebble.key",
            "httpPort": 80,
            "tlsPort": 443,
            "retryAfter": { "authz": 1, "order": 1 },
            "profiles": { "default": { "description": "", "validityPeriod": validity } },
        }});
        fs_err::write(self.path().join("pebble.json"), config.to_string()).unwrap();
        let names = self
            .command(tool("pebble-challtestsrv"))
            .args(["-defaultIPv6", "", "-dnsserver", "127.0.0.1:8053"])
            .args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let names = Process(names.expect("`make serve-tools` builds Pebble"));
        let pebble = self
            .command(tool("pebble"))
            .args(["-config", "pebble.json", "-dnsserver", "127.0.0.1:8053"])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let pebble = Process(pebble.unwrap());
        let retry = ["--retry", "60", "--retry-connrefused", "--retry-delay", "1"];
        let root = [
            "--insecure",
            "--output",
            "root.pem",
            "https://127.0.0.1:15000/roots/0",
        ];
        assert!(self.curl(&[&retry[..], &root].concat()).0);
        [names, pebble]
    }

    /// The certificate by which Pebble itself is known.
    fn make_key_of_authority(&self) {
        let output = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
            ])
            .args([
                "-nodes",
                "-keyout",
                "pebble.key",
                "-out",
                "pebble.crt",
                "-days",
                "2",
            ])
            .args([
                "-subj",
                "/CN=pebble",
                "-addext",
                "subjectAltName=IP:127.0.0.1",
            ])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .current_dir(self.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    fn serve(&self) -> Serving {
        let mut command = self.command(env!("CARGO_BIN_EXE_howdah"));
        command
            .args(["serve", "--document-root", "public", "--listen", "80"])
            .args(["--listen-tls", "443", "--acme-email", "ops@example.org"])
            .args(["--acme-directory", DIRECTORY, "--acme-ca", "pebble.crt"])
            .env("HOWDAH_ROOT", self.path().join("root"))
            .stderr(Stdio::piped());
        for name in NAMES {
            command.args(["--acme-name", name]);
        }
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                sink.lock().unwrap().extend(serde_json::from_str(&line));
            }
        });
        Serving {
            process: Process(process),
            log,
        }
    }

    /// The chain that is served for a name, as PEM.
    fn chain(&self, name: &str) -> String {
        let url = format!("https://{name}/ten.txt");
        let (is_served, certificates) = self.curl(&[
            "--insecure",
            "--output",
            "got",
            "--write-out",
            "%{certs}",
            &url,
        ]);
        assert!(is_served);
        certificates
    }
}

struct Serving {
    process: Process,
    log: Arc<Mutex<Vec<Value>>>,
}

impl Serving {
    fn count(&self, message: &str) -> usize {
        let log = self.log.lock().unwrap();
        log.iter().filter(|line| line["msg"] == message).count()
    }

    fn wait_for(&self, message: &str, count: usize) {
        let start = Instant::now();
        while self.count(message) < count {
            assert!(start.elapsed() < super::DEADLINE, "{:?}", self.log);
            std::thread::yield_now();
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.process.0.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.unwrap().success());
    }

    fn stop(mut self) {
        self.signal("TERM");
        assert!(self.process.0.wait().unwrap().success());
    }
}

#[test]
fn a_certificate_is_issued_once_and_kept() {
    let world = World::new();
    world.make_key_of_authority();
    let _authority = world.authority(7_776_000);
    let server = world.serve();
    server.wait_for(ISSUED, 1);
    for name in NAMES {
        let url = format!("https://{name}/ten.txt");
        let got = world.curl(&["--cacert", "root.pem", &url]);
        assert_eq!(got, (true, "0123456789".into()));
    }
    let chain = world.chain(NAMES[0]);
    server.stop();
    let store = world.path().join("root/acme/127.0.0.1_14000_dir");
    let mut names = Vec::new();
    for entry in fs_err::read_dir(store).unwrap() {
        let entry = entry.unwrap();
        names.push(entry.file_name().into_string().unwrap());
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{names:?}");
    }
    names.sort();
    assert_eq!(names, ["account.json", "shop.example.org+1.pem"]);
    let server = world.serve();
    server.wait_for("listening", 2);
    assert_eq!(world.chain(NAMES[1]), chain);
    assert_eq!(server.count(ISSUED), 0);
    server.stop();
}

#[test]
fn a_certificate_is_renewed_before_its_end() {
    let world = World::new();
    world.make_key_of_authority();
    let _authority = world.authority(15);
    let server = world.serve();
    server.wait_for(ISSUED, 1);
    let first = world.chain(NAMES[0]);
    server.wait_for(ISSUED, 2);
    assert_ne!(world.chain(NAMES[0]), first);
    server.stop();
}

/// Without the authority there is no certificate, and all else works; when it is back, the other proof does it, too.
#[test]
fn an_authority_may_be_away() {
    let world = World::new();
    world.make_key_of_authority();
    let server = world.serve();
    server.wait_for(FAILED, 1);
    let plain = world.curl(&["http://127.0.0.1/ten.txt"]);
    assert_eq!(plain, (true, "0123456789".into()));
    assert!(
        !world
            .curl(&["--insecure", "https://shop.example.org/ten.txt"])
            .0
    );
    let _authority = world.authority(7_776_000);
    // The next attempt, by a file instead of a certificate, would be minutes away.
    server.signal("HUP");
    server.wait_for(ISSUED, 1);
    let got = world.curl(&["--cacert", "root.pem", "https://shop.example.org/ten.txt"]);
    assert_eq!(got, (true, "0123456789".into()));
    server.stop();
}
