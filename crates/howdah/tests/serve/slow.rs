//! Clients that send slowly: they must not hold the workers that others need.

use std::io::Write as _;
use std::net::TcpStream;

use super::http;
use super::server::Server;

const LENGTH: usize = 3 << 20;

/// Sends this part of a body, after its head.
fn begin(server: &Server, sent: &[u8]) -> TcpStream {
    let mut stream = server.connect();
    let head =
        format!("POST /length HTTP/1.1\r\nHost: localhost\r\nContent-Length: {LENGTH}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(sent).unwrap();
    stream
}

#[test]
fn slow_uploads_leave_workers_for_others() {
    let body = vec![b'x'; LENGTH];
    // Of some the beginning is awaited, of others so much is there that it is kept on the disk.
    for sent in [1000, 200 << 10] {
        let server = Server::start("classic", &["--workers", "2"]);
        let slow: Vec<TcpStream> = (0..6).map(|_| begin(&server, &body[..sent])).collect();
        server.wait_until(|| server.metric("howdah_http_requests_in_flight") >= Some(6.0));
        for _ in 0..3 {
            assert_eq!(server.get("/next").status, 200);
        }
        for mut stream in slow {
            stream.write_all(&body[sent..]).unwrap();
            let answer = http::read(&mut stream, false);
            assert_eq!(answer.text(), format!("{{\"length\":{LENGTH}}}"));
        }
        server.stop();
    }
}

/// A body that is too long, or ends too early, costs no worker either.
#[test]
fn what_is_no_body_never_gets_to_php() {
    let server = Server::start("classic", &["--workers", "1", "--max-body", "4000000"]);
    let mut stream = server.connect();
    let head = "POST /length HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let piece = [
        format!("{:x}\r\n", 1 << 20).as_bytes(),
        &vec![b'x'; 1 << 20],
        b"\r\n",
    ]
    .concat();
    for _ in 0..4 {
        stream.write_all(&piece).unwrap();
    }
    assert_eq!(http::read(&mut stream, false).status, 413);
    let mut rude = begin(&server, b"x");
    rude.write_all(b"y").unwrap();
    drop(rude);
    assert_eq!(server.get("/next").status, 200);
    server.wait_until(|| server.pool()["workers"][0]["requests"] == 1);
    server.stop();
}
