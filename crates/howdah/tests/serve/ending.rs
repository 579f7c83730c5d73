//! Ends of connections that must not take from clients what they have been sent, and ends of the server.

use std::io::{ErrorKind, Read as _, Write as _};
use std::process::{Command, Stdio};

use super::server::Server;

/// The server closes while the client still sends what no script wants: the answer gets there all the same.
#[test]
fn a_client_that_is_still_sending_has_its_answer() {
    const REST: usize = 32 << 20;
    let server = Server::start("classic", &["--workers", "1"]);
    for _ in 0..5 {
        let mut stream = server.connect();
        let head = format!(
            "POST /wrong-length HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {REST}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&vec![b'x'; REST]).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nabc"), "{answer}");
    }
    server.stop();
}

/// A client of HTTP/2 acknowledges what it reads to the last byte, also when the server has sent everything and ends.
#[test]
fn the_end_of_the_server_cuts_no_download_short() {
    const LENGTH: usize = 24 << 20;
    let server = Server::start_with("classic", &["--workers", "1"], |directory| {
        fs_err::write(directory.join("public/large.bin"), vec![b'x'; LENGTH]).unwrap();
    });
    let mut curl = Command::new("curl")
        .args(["--silent", "--http2-prior-knowledge", "--max-time", "60"])
        .args(["--limit-rate", "12M"])
        .arg(format!("http://{}/large.bin", server.address()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = curl.stdout.take().unwrap();
    output.read_exact(&mut [0]).unwrap();
    server.signal("TERM");
    let mut rest = Vec::new();
    output.read_to_end(&mut rest).unwrap();
    let status = curl.wait().unwrap();
    assert_eq!((rest.len() + 1, status.code()), (LENGTH, Some(0)));
    server.wait();
}

/// Who asks twice does not want to wait.
#[test]
fn a_second_interrupt_ends_at_once() {
    let server = Server::start("classic", &["--workers", "1", "--drain-timeout", "3600"]);
    let mut stream = server.connect();
    let request = "GET /loop HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    server.wait_until(|| server.pool()["workers"][0]["state"] == "busy");
    server.signal("INT");
    server.wait_until(|| server.admin("GET", "/readyz", "").status == 503);
    server.signal("INT");
    assert_eq!(server.wait_for_code(), Some(3));
    let end = stream.read(&mut [0]);
    let is_cut = |error: &std::io::Error| error.kind() == ErrorKind::ConnectionReset;
    assert!(
        matches!(end, Ok(0)) || end.as_ref().is_err_and(is_cut),
        "{end:?}"
    );
}
