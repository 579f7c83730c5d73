//! `howdah serve` with a real `howdah-php`, driven over HTTP from outside.

#![cfg(test)]

mod acme;
mod admin;
mod caddyfile;
mod client;
mod edge;
mod ending;
mod fastcgi;
mod file;
mod fpm;
mod frankenphp;
mod greeting;
mod h2spec;
mod http;
mod http2;
mod interim;
mod invoices;
mod leaks;
mod mistakes;
mod php;
mod pool;
mod proxied;
mod server;
mod service;
mod slow;
mod soak;
mod symfony;
mod usage;

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use http::Response;
use server::Server;

const MODES: [&str; 3] = ["classic", "worker", "fork"];

/// Generous: the machine may be slow and busy.
const DEADLINE: Duration = Duration::from_mins(1);

fn json(response: &Response) -> serde_json::Value {
    assert_eq!(response.status, 200, "{response:?}");
    serde_json::from_slice(&response.body).unwrap()
}

#[test]
fn php_answers_in_every_mode() {
    for mode in MODES {
        let server = Server::start(mode, &["--workers", "2"]);
        let answer = json(&server.request("POST", "/a/b?c=d", b"hello"));
        assert_eq!(answer["uri"], "/a/b?c=d", "{mode}");
        assert_eq!(answer["query"]["c"], "d", "{mode}");
        assert_eq!(answer["body"], "hello", "{mode}");
        assert_eq!(answer["script"], "/index.php", "{mode}");
        let large = vec![b'x'; 3 << 20];
        let answer = json(&server.request("POST", "/length", &large));
        assert_eq!(answer["length"], large.len(), "{mode}");
        let long = server.get("/long");
        assert_eq!(long.body.len(), 4 << 20, "{mode}");
        server.stop();
    }
}

#[test]
fn what_a_script_says_of_its_length_disturbs_nobody() {
    let server = Server::start("worker", &["--workers", "1"]);
    for _ in 0..3 {
        let wrong = server.get("/wrong-length");
        assert_eq!((wrong.status, &wrong.body[..]), (200, &b"abcdef"[..]));
        assert_eq!(server.get("/bad-status").status, 500);
        assert_eq!(json(&server.get("/next"))["uri"], "/next");
    }
    server.stop();
}

#[test]
fn a_body_that_no_script_reads_disturbs_nobody() {
    let server = Server::start("worker", &["--workers", "1"]);
    let large = vec![b'x'; 3 << 20];
    // More than it takes until the worker says beforehand that it is ready.
    for _ in 0..30 {
        // It is answered and closed while the client still writes, who may or may not see the answer.
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let head =
            "POST /wrong-length HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3145728\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&large).ok();
        drop(stream);
        assert_eq!(json(&server.get("/next"))["uri"], "/next");
    }
    server.stop();
}

/// A request that is given to a worker at the end of its loop goes to another one, also if its body is more than is kept.
#[test]
fn a_loop_that_ends_costs_no_request() {
    const LOOP: &str = r"<?php
        require __DIR__ . '/application.php';
        for ($request = 0; $request < 20; $request++) frankenphp_handle_request('answer');
    ";
    let server = Server::start_with("worker", &["--workers", "2"], |directory| {
        fs_err::write(directory.join("public/worker.php"), LOOP).unwrap();
    });
    let large = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        let answer = json(&server.request("POST", "/length", &large));
        assert_eq!(answer["length"], large.len());
    }
    server.stop();
}

#[test]
fn a_worker_that_dies_costs_its_request_and_the_log_says_so() {
    let server = Server::start("worker", &["--workers", "2"]);
    assert_eq!(server.request("POST", "/die", b"").status, 502);
    assert_eq!(json(&server.get("/next"))["uri"], "/next");
    let line = server.log_line("worker killed by a signal, restarting");
    assert_eq!(
        (&line["signal"], &line["uri"]),
        (&"SIGKILL".into(), &"/die".into())
    );
    // Safe to repeat: another worker answers it.
    assert_eq!(json(&server.get("/die-once"))["uri"], "/die-once");
    server.stop();
}

#[test]
fn a_request_that_takes_too_long_is_killed_and_its_backtrace_logged() {
    let server = Server::start("worker", &["--workers", "1", "--request-timeout", "2"]);
    assert_eq!(server.get("/loop").status, 504);
    let line = server.log_line("request killed: it took too long");
    let trace = line["backtrace"].as_str().unwrap();
    assert!(trace.contains("worker.php"), "{trace}");
    assert_eq!(json(&server.get("/next"))["uri"], "/next");
    server.stop();
}

#[test]
fn a_full_queue_is_a_503() {
    let server = Server::start("worker", &["--workers", "1", "--queue", "0"]);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| server.get("/wait"));
        server.wait_until(|| server.exists("waiting"));
        let refused = server.get("/next");
        assert_eq!(refused.status, 503);
        assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
        server.create("go");
        assert_eq!(first.join().unwrap().status, 200);
    });
    server.stop();
}

#[test]
fn the_end_of_the_server_runs_what_the_application_has_for_it() {
    let server = Server::start("worker", &["--workers", "1"]);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| server.get("/wait"));
        server.wait_until(|| server.exists("waiting"));
        server.signal("TERM");
        server.create("go");
        assert_eq!(first.join().unwrap().status, 200);
    });
    server.log_line("the loop has ended");
    server.stop();
}
