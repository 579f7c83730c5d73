//! `reverse_proxy` of a Caddyfile, to servers that these tests are themselves.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::DEADLINE;
use super::frankenphp::FrankenPhp;

/// A server that answers each connection once, with what it was asked; as a WebSocket it gives bytes back.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It ends with the process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || answer(stream.unwrap()));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap() == 0 {
            return;
        }
    }
    let head = head.to_ascii_lowercase();
    if head.contains("upgrade: websocket") {
        let accepted =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        stream.write_all(accepted.as_bytes()).unwrap();
        let mut bytes = [0; 4];
        reader.read_exact(&mut bytes).unwrap();
        stream.write_all(&bytes).unwrap();
        return;
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    let content = format!("{head}{}", String::from_utf8_lossy(&body));
    let answer = format!(
        "HTTP/1.1 202 Accepted\r\nX-Sendfile: /etc/passwd\r\nX-Secret: x\r\nX-Hop: 1\r\nConnection: close, x-hop\r\n\
         Content-Length: {}\r\n\r\n{content}",
        content.len()
    );
    stream.write_all(answer.as_bytes()).unwrap();
}

/// Nobody listens there.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn server() -> FrankenPhp {
    let caddyfile = format!(
        r#"{{
	admin off
	servers {{
		trusted_proxies static 127.0.0.1
		client_ip_headers X-Client X-Forwarded-For
	}}
}}
http://:0 {{
	root public
	@other expression `path('/app/*') || ({{method}} == "PUT" && {{query}}.contains('x=1'))`
	reverse_proxy @other {} {} {{
		lb_policy first
		header_up X-Up "{{http.request.host}}"
		header_up Host {{upstream_hostport}}
		header_up -X-Gone
		header_down -X-Secret
		header_down +X-Down {{path}}
	}}
	handle_path /none/* {{
		reverse_proxy {}
	}}
	handle_path /strip/* {{
		reverse_proxy {}
	}}
	php_server
	handle_errors 502 {{
		respond "nobody is there" 502
	}}
}}
"#,
        nobody(),
        upstream(),
        nobody(),
        upstream(),
    );
    FrankenPhp::start(
        &[
            ("Caddyfile", &caddyfile),
            ("public/index.php", "<?php echo 'php';"),
        ],
        &["run"],
        &[],
    )
}

#[test]
fn another_server_answers_by_a_caddyfile() {
    let server = server();
    let fields = "X-Gone: 1\r\nX-Client: 192.0.2.9\r\nX-Forwarded-Proto: https\r\nTE: trailers\r\n";
    let answer = server.request("POST", "/app/a%20b?c=d", "example.org", fields, b"content");
    let text = answer.text();
    assert_eq!(answer.status, 202, "{answer:?}");
    assert!(
        text.starts_with("post /app/a%20b?c=d http/1.1\r\n"),
        "{text}"
    );
    for expected in [
        "\r\nhost: 127.0.0.1:",
        "x-forwarded-host: example.org\r\n",
        "x-forwarded-for: 192.0.2.9\r\n",
        "x-forwarded-proto: https\r\n",
        "x-up: example.org\r\n",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(text.ends_with("\r\n\r\ncontent"), "{text}");
    assert!(
        !text.contains("x-gone") && !text.contains("\r\nte:"),
        "{text}"
    );
    assert!(answer.head.contains("x-down: /app/a%20b"), "{answer:?}");
    for gone in ["x-secret", "x-sendfile", "x-hop"] {
        assert!(!answer.head.contains(gone), "{gone}: {answer:?}");
    }
    let put = server.request("PUT", "/?x=1", "localhost", "", b"");
    assert_eq!(put.status, 202, "{put:?}");
    assert_eq!(
        server.request("PUT", "/", "localhost", "", b"").body,
        b"php"
    );
    assert_eq!(server.get("/x").body, b"php");
    let none = server.request("POST", "/none/x", "localhost", "", b"content");
    assert_eq!(
        (none.status, &none.body[..]),
        (502, &b"nobody is there"[..])
    );
    assert!(
        server
            .get("/strip/a?b")
            .text()
            .starts_with("get /a?b http/1.1")
    );
    server.terminate();
}

#[test]
fn a_websocket_of_another_server_by_a_caddyfile() {
    let server = server();
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let handshake = "GET /app/key HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(handshake.as_bytes()).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    stream.write_all(b"ping").unwrap();
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"ping");
    server.terminate();
}
