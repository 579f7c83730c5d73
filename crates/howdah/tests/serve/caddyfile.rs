//! What Caddyfiles say besides PHP: who may come in, what is logged, certificates, and another Caddyfile while a server runs.

use std::path::Path;
use std::process::Command;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::DEADLINE;
use super::frankenphp::{FrankenPhp, command, output};

const INDEX: (&str, &str) = (
    "public/index.php",
    "<?php echo 'php ', $_SERVER['REQUEST_URI'], ' ', $_SERVER['QUERY_STRING'];",
);

#[test]
fn passwords_expressions_queries_and_the_access_log() {
    let hash = bcrypt_of("hiccup");
    let caddyfile = format!(
        r#"{{
	admin off
}}
http://:0 {{
	log {{
		format filter {{
			fields {{
				request>client_ip ip_mask 8
				request>user_agent delete
				request>uri query {{
					replace token X
				}}
			}}
		}}
	}}
	root public
	@quiet path /up /favicon.ico
	log_skip @quiet
	respond /up "fine"
	basic_auth /secret/* {{
		bob {hash}
	}}
	@bad `path('*.sql', '*/.git/*') && !path('/ok/*')`
	respond @bad 404
	uri /query/* query {{
		-utm_source
		+lang en
		a 2
		old>new
	}}
	uri /regexp/* path_regexp /{{2,}} /
	metrics /metrics
	respond /secret/who {{http.auth.user.id}}
	php_server
}}
"#
    );
    let server = FrankenPhp::start(&[("Caddyfile", &caddyfile), INDEX], &["run"], &[]);
    let ask = |path: &str, fields: &str| server.request("GET", path, "localhost", fields, b"");
    let none = ask("/secret/x", "");
    assert_eq!(none.status, 401);
    assert!(
        none.head
            .contains("www-authenticate: basic realm=\"restricted\""),
        "{none:?}"
    );
    // bob:hiccup, bob:wrong, eve:hiccup
    for (credentials, status) in [
        ("Ym9iOmhpY2N1cA==", 200),
        ("Ym9iOmhpY2N1cA==", 200),
        ("Ym9iOndyb25n", 401),
        ("ZXZlOmhpY2N1cA==", 401),
        ("!", 401),
    ] {
        let fields = format!("Authorization: Basic {credentials}\r\n");
        let answer = ask("/secret/who", &fields);
        assert_eq!(answer.status, status, "{credentials}: {answer:?}");
        assert_eq!(answer.body == b"bob", status == 200);
    }
    assert_eq!(ask("/a.sql", "").status, 404);
    assert_eq!(ask("/ok/a.sql", "").status, 200);
    let query = ask("/query/x?utm_source=m&b=1&a=1&old=%20", "").text();
    assert!(query.ends_with(" b=1&new=%20&lang=en&a=2"), "{query}");
    assert!(
        ask("/metrics", "")
            .text()
            .contains("frankenphp_total_workers")
    );
    assert_eq!(ask("/up", "").body, b"fine");
    ask("/x?token=abc&b=c", "User-Agent: me\r\n");
    // The line of the last request comes next but for those before it that are logged: `/up` has none.
    let uris = std::iter::from_fn(|| Some(server.line("handled request")["request"].clone()));
    let mut seen = Vec::new();
    for request in uris {
        let uri = request["uri"].as_str().unwrap_or("none").to_owned();
        assert_eq!(request["client_ip"], "127.0.0.0");
        assert!(request.get("user_agent").is_none());
        seen.push(uri);
        if seen.last().is_some_and(|uri| uri.starts_with("/x")) {
            break;
        }
    }
    assert_eq!(seen.last().unwrap(), "/x?token=X&b=c");
    assert!(!seen.iter().any(|uri| uri == "/up"), "{seen:?}");
    server.terminate();
}

/// As people make one.
fn bcrypt_of(password: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let made = output(
        directory.path(),
        &["hash-password", "--plaintext", password, "--cost", "4"],
    );
    assert!(made.status.success(), "{made:?}");
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

#[test]
fn certificates_by_name() {
    let files = tempfile::tempdir().unwrap();
    let (certificate, key) = (files.path().join("c.pem"), files.path().join("k.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ])
        .args([
            "-subj",
            "/CN=files.localhost",
            "-addext",
            "subjectAltName=DNS:files.localhost",
        ])
        .args([
            "-out".as_ref(),
            certificate.as_os_str(),
            "-keyout".as_ref(),
            key.as_os_str(),
        ])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let caddyfile = format!(
        "{{\n\tadmin off\n\thttp_port 0\n\thttps_port 0\n}}\nown.localhost {{\n\troot public\n\tphp_server\n}}\n\
         files.localhost {{\n\ttls {} {}\n\trespond \"{{host}} {{scheme}}\"\n}}\n",
        certificate.display(),
        key.display()
    );
    let server = FrankenPhp::start(&[("Caddyfile", &caddyfile), INDEX], &["run"], &[]);
    let root = server.directory().join("store/authority/root.crt");
    let ask = |host: &str, authority: &Path| {
        let address = server.address;
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "60", "--cacert"])
            .arg(authority)
            .args([
                "--resolve",
                &format!("{host}:{}:{}", address.port(), address.ip()),
            ])
            .arg(format!("https://{host}:{}/a", address.port()))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr)
    };
    assert_eq!(ask("own.localhost", &root), "php /a ");
    assert_eq!(
        ask("files.localhost", &certificate),
        "files.localhost https"
    );
    let wrong = ask("own.localhost", &certificate);
    assert!(wrong.contains("certificate"), "{wrong}");
    // Plain HTTP leads to it.
    let plain = server.next_address();
    let head = super::http::head("GET", "/a?b", &[("Host", "own.localhost")]);
    let mut stream = std::net::TcpStream::connect(plain).unwrap();
    let moved = super::http::exchange(&mut stream, head, b"");
    assert_eq!(moved.status, 308, "{moved:?}");
    assert!(
        moved.head.contains("location: https://own.localhost"),
        "{moved:?}"
    );
    server.terminate();
}

/// A Caddyfile whose only site answers this.
fn answering(text: &str) -> String {
    format!(
        "{{\n\tadmin localhost:{{$CADDY_SERVER_ADMIN_PORT}}\n}}\nhttp://:0 {{\n\timport more/*/site\n\trespond /php 404\n\troot public\n\thandle /text {{\n\t\trespond {text}\n\t}}\n\tphp_server\n}}\n"
    )
}

const ADMIN: [(&str, &str); 1] = [("CADDY_SERVER_ADMIN_PORT", "0")];

#[test]
fn another_caddyfile_while_the_server_runs() {
    let server = FrankenPhp::start(
        &[
            ("Caddyfile", &answering("one")),
            INDEX,
            ("more/a/site", "header X-More 1"),
        ],
        &["run", "--config", "Caddyfile"],
        &ADMIN,
    );
    assert_eq!(server.get("/text").body, b"one");
    let path = server.directory().join("Caddyfile");
    let admin = format!("127.0.0.1:{}", server.admin_address().port());
    let reload = |text: &str| {
        fs_err::write(&path, text).unwrap();
        let arguments = [
            "reload",
            "--force",
            "--config",
            "Caddyfile",
            "--address",
            &admin,
        ];
        let mut command = command(server.directory(), &arguments);
        command.envs(ADMIN).output().unwrap()
    };
    let loaded = reload(&answering("two"));
    assert!(loaded.status.success(), "{loaded:?}");
    let answer = server.get("/text");
    assert_eq!(answer.body, b"two");
    assert!(answer.head.contains("x-more: 1"), "{answer:?}");
    assert_eq!(server.get("/x?y").body, b"php /x?y y");
    // What cannot be served changes nothing: not for the client, nor for the server.
    let faulty = reload("http://:0 {\n\tnonsense\n}\n");
    let told = String::from_utf8(faulty.stderr).unwrap();
    assert!(
        !faulty.status.success() && told.contains("`nonsense` is unknown"),
        "{told}"
    );
    let refused = server.load("http://:0 {\n\tphp_server {\n\t\tworker none.php\n\t}\n}\n");
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_eq!(server.get("/text").body, b"two");
    let by_hand = server.load(&answering("three"));
    assert_eq!(by_hand.status, 200, "{by_hand:?}");
    assert_eq!(server.get("/text").body, b"three");
    server.stop();
}

#[test]
fn a_caddyfile_is_watched() {
    let files = [("Caddyfile", &*answering("one")), INDEX];
    let server = FrankenPhp::start(&files, &["run", "--watch"], &ADMIN);
    assert_eq!(server.get("/text").body, b"one");
    let path = server.directory().join("Caddyfile");
    fs_err::write(&path, "nonsense {").unwrap();
    assert!(server.has_said("the configuration is not loaded, the one from before stays"));
    assert_eq!(server.get("/text").body, b"one");
    fs_err::write(&path, answering("two")).unwrap();
    assert!(server.has_said("configuration loaded"));
    assert_eq!(server.get("/text").body, b"two");
    server.stop();
}

#[test]
fn a_server_in_the_background() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("admin.sock");
    let caddyfile = format!(
        "{{\n\tadmin unix/{}\n}}\nhttp://:0 {{\n\trespond hello\n}}\n",
        socket.display()
    );
    fs_err::write(directory.path().join("Caddyfile"), caddyfile).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = command(directory.path(), arguments);
        // The server has the standard error of `start`.
        let error = fs_err::File::create(directory.path().join("log")).unwrap();
        let output = command.stderr(error.into_parts().0).output().unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let (is_started, told) = run(&["start", "--pidfile", "pid", "--config", "Caddyfile"]);
    assert!(
        is_started && told.starts_with("Successfully started"),
        "{told}"
    );
    let pid = fs_err::read_to_string(directory.path().join("pid")).unwrap();
    let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    let process = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    assert!(run(&["stop", "--config", "Caddyfile"]).0);
    let patience = Timespec::try_from(DEADLINE).unwrap();
    let mut ended = [PollFd::new(&process, PollFlags::IN)];
    let ended = poll(&mut ended, Some(&patience)).unwrap();
    assert_eq!(ended, 1, "the server goes on");
    assert!(!socket.exists());
    // A Caddyfile with a fault, and nobody there to stop.
    fs_err::write(directory.path().join("bad"), ":80 {\n\tnonsense\n}\n").unwrap();
    assert!(!run(&["start", "--config", "bad"]).0);
    assert!(!run(&["stop", "--config", "Caddyfile"]).0);
}
