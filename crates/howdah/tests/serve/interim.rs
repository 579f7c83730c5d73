//! Interim responses of scripts: 103 Early Hints before the response itself.

use std::io::{Read as _, Write as _};

use crate::server::Server;

const HINT: &str = "HTTP/1.1 103 Early Hints\r\n";
const LINK: &str = "link: </a.css>; rel=preload\r\n";

/// What is answered to these bytes until the server closes the connection.
fn answers(server: &Server, requests: &str) -> String {
    let mut stream = server.connect();
    stream.write_all(requests.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn hints_come_before_the_response_is_made() {
    let server = Server::start("worker", &["--workers", "1"]);
    server.create("slow");
    let mut stream = server.connect();
    stream
        .write_all(b"GET /hints HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = vec![0; 4096];
    let mut length = 0;
    while !answer[..length].ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut answer[length..]).unwrap();
        assert_ne!(count, 0);
        length += count;
    }
    let hint = String::from_utf8(answer[..length].to_vec()).unwrap();
    assert!(hint.starts_with(HINT) && hint.contains(LINK), "{hint}");
    assert_eq!(hint.matches("HTTP/1.1").count(), 1, "{hint}");
    server.remove("slow");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(
        rest.starts_with("HTTP/1.1 200 OK\r\n") && rest.contains("</b.css>"),
        "{rest}"
    );
    server.stop();
}

#[test]
fn hints_stay_with_their_response() {
    let server = Server::start("worker", &["--workers", "2"]);
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let last = "GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let all = [
        request("/hints"),
        request("/next"),
        request("/hints"),
        last.to_owned(),
    ];
    let answers = answers(&server, &all.concat());
    let statuses: Vec<&str> = answers
        .match_indices("HTTP/1.1 ")
        .map(|(at, _)| &answers[at + 9..at + 12])
        .collect();
    assert_eq!(
        statuses,
        ["103", "200", "200", "103", "200", "200"],
        "{answers}"
    );
    server.stop();
}

#[test]
fn clients_of_http_1_0_get_no_hints() {
    let server = Server::start("worker", &["--workers", "1"]);
    let answer = answers(&server, "GET /hints HTTP/1.0\r\n\r\n");
    assert!(
        answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"),
        "{answer}"
    );
    server.stop();
}
