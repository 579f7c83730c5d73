//! Mode fastcgi, with a real PHP-FPM and with servers that are none.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;

use crate::fpm::Fpm;
use crate::server::Server;

fn start(fpm: &Fpm, arguments: &[&str]) -> Server {
    let address = ["--fastcgi", fpm.socket()];
    Server::start("fastcgi", &[&address, arguments].concat())
}

#[test]
fn fpm_answers_as_the_workers_do() {
    let directory = tempfile::tempdir().unwrap();
    let fpm = Fpm::start(directory.path(), 2, "", &[]);
    // Over connections of their own, and over ones that stay open.
    for arguments in [&[][..], &["--workers", "2"]] {
        let server = start(&fpm, arguments);
        let answer = super::json(&server.request("POST", "/a/b?c=d", b"hello"));
        assert_eq!(answer["uri"], "/a/b?c=d");
        assert_eq!(answer["query"]["c"], "d");
        assert_eq!(answer["body"], "hello");
        assert_eq!(answer["script"], "/index.php");
        let large = vec![b'x'; 3 << 20];
        let answer = super::json(&server.request("POST", "/length", &large));
        assert_eq!(answer["length"], large.len());
        assert_eq!(server.get("/long").body.len(), 4 << 20);
        assert_eq!(server.request("HEAD", "/x", b"").status, 200);
        let wrong = server.get("/wrong-length");
        assert_eq!((wrong.status, &wrong.body[..]), (200, &b"abcdef"[..]));
        server.stop();
    }
}

/// A script may write megabytes before it reads megabytes: neither side waits for the other.
#[test]
fn a_script_may_answer_before_it_reads() {
    let directory = tempfile::tempdir().unwrap();
    let fpm = Fpm::start(directory.path(), 1, "", &[]);
    let server = start(&fpm, &["--workers", "1"]);
    let large = vec![b'x'; 8 << 20];
    for _ in 0..3 {
        assert_eq!(server.request("POST", "/long", &large).body.len(), 4 << 20);
        assert_eq!(super::json(&server.get("/next"))["uri"], "/next");
    }
    server.stop();
}

/// PHP-FPM ends its processes now and then; a connection that was kept is then no longer one.
#[test]
fn kept_connections_may_be_gone() {
    let directory = tempfile::tempdir().unwrap();
    let fpm = Fpm::start(directory.path(), 2, "pm.max_requests = 2", &[]);
    let server = start(&fpm, &["--workers", "2"]);
    for _ in 0..20 {
        assert_eq!(super::json(&server.get("/next"))["uri"], "/next");
    }
    let answer = server.request("POST", "/die", b"");
    assert_eq!(answer.status, 502, "{answer:?}");
    assert_eq!(super::json(&server.get("/next"))["uri"], "/next");
    server.stop();
}

#[test]
fn a_request_has_its_time() {
    let directory = tempfile::tempdir().unwrap();
    let fpm = Fpm::start(directory.path(), 2, "", &[]);
    let server = start(&fpm, &["--request-timeout", "1"]);
    assert_eq!(server.get("/loop").status, 504);
    server.stop();
}

#[test]
fn what_php_says_on_its_standard_error_is_in_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let fpm = Fpm::start(directory.path(), 1, "php_admin_value[error_log] =", &[]);
    let server = start(&fpm, &[]);
    server.get("/log");
    let line = server.log_line("PHP message: a line of the log");
    assert_eq!(line["level"], "warn");
    server.stop();
}

#[test]
fn a_server_that_is_not_there_is_a_502() {
    let server = Server::start("fastcgi", &["--fastcgi", "/nowhere/fpm.sock"]);
    assert_eq!(server.get("/x").status, 502);
    server.log_line("cannot connect to PHP-FPM at `/nowhere/fpm.sock`");
    server.stop();
}

/// Each answers one request in its own wrong way.
#[test]
fn what_is_no_fastcgi_is_a_502() {
    let no_head = [&[1, 6, 0, 1, 0, 2, 0, 0, b'h', b'i'][..], END].concat();
    let endless = [1, 6, 0, 1, 0xff, 0xf8, 0, 0]
        .into_iter()
        .chain(vec![b'x'; 0xfff8])
        .collect::<Vec<u8>>()
        .repeat(8);
    for (answer, status) in [
        (&b"HTTP/1.1 200 OK\r\n\r\n"[..], 502),
        (b"", 502),
        (END, 502),
        (&no_head, 502),
        (&endless, 502),
        (&[1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0], 503),
        (&[1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0], 502),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("fpm.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = Server::start("fastcgi", &["--fastcgi", socket.to_str().unwrap()]);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                // The front closes the connection when it has heard enough.
                let mut request = [0; 1024];
                assert!(stream.read(&mut request).unwrap() > 0);
                stream.write_all(answer).ok();
            });
            assert_eq!(
                server.get("/x").status,
                status,
                "{:?}",
                answer.first_chunk::<16>()
            );
        });
        server.stop();
    }
}

const END: &[u8] = &[1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
