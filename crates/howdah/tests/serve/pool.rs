//! How a pool keeps its workers: as many as are needed, replaced when they should be, in spite of all accidents.

use std::collections::BTreeSet;
use std::net::TcpListener;

use serde_json::Value;

use crate::server::{Server, kill};
use crate::{MODES, json};

fn workers(server: &Server) -> Vec<Value> {
    server.pool()["workers"].as_array().unwrap().clone()
}

#[test]
fn a_script_that_resets_opcache_reads_the_code_anew() {
    let server = Server::start("worker", &["--workers", "2"]);
    let before = json(&server.get("/reset"))["pid"].clone();
    server.log_line("opcache_reset() was called: all workers are replaced");
    server.wait_until(|| {
        let workers = workers(&server);
        workers.len() == 2 && workers.iter().all(|worker| worker["generation"] == 2)
    });
    assert_ne!(json(&server.get("/next"))["pid"], before);
    server.stop();
}

#[test]
fn there_are_more_workers_while_requests_wait() {
    let server = Server::start("worker", &["--workers", "1-3"]);
    assert_eq!(workers(&server).len(), 1);
    std::thread::scope(|scope| {
        let requests: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| server.get("/wait")))
            .collect();
        let busy = || {
            let workers = workers(&server);
            workers
                .iter()
                .filter(|worker| worker["state"] == "busy")
                .count()
        };
        server.wait_until(|| busy() == 3 && server.pool()["waiting"] == 1);
        server.create("go");
        for request in requests {
            assert_eq!(request.join().unwrap().status, 200);
        }
    });
    assert_eq!(workers(&server).len(), 3);
    server.stop();
}

#[test]
fn a_connection_made_at_boot_is_not_shared() {
    let database = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = database.local_addr().unwrap().to_string();
    let server = Server::start_with("worker", &["--workers", "2"], |directory| {
        fs_err::write(directory.join("database"), format!("tcp://{address}")).unwrap();
    });
    let line = server.log_line(
        "the worker script opens connections while it boots, which workers cannot share: each worker boots for itself",
    );
    assert!(line["peers"].to_string().contains(&address), "{line}");
    assert_eq!(json(&server.get("/next"))["uri"], "/next");
    assert_eq!(workers(&server).len(), 2);
    server.stop();
}

#[test]
fn a_dead_zygote_is_replaced_and_requests_that_wait_are_served() {
    let server = Server::start("worker", &["--workers", "1"]);
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| server.get("/wait"));
        server.wait_until(|| server.exists("waiting"));
        let waiting = scope.spawn(|| server.get("/next"));
        server.wait_until(|| server.pool()["waiting"] == 1);
        let worker = workers(&server)[0]["pid"].to_string();
        kill("KILL", &parent(&worker));
        server.log_line("the PHP zygote is gone, starting another");
        server.create("go");
        assert_eq!(busy.join().unwrap().status, 200);
        assert_eq!(waiting.join().unwrap().status, 200);
    });
    // Both at once: nobody is left who could answer.
    server.wait_until(|| {
        let workers = workers(&server);
        workers.len() == 1 && workers[0]["generation"] == 2
    });
    let worker = workers(&server)[0]["pid"].to_string();
    let zygote = parent(&worker);
    kill("KILL", &zygote);
    kill("KILL", &worker);
    assert_eq!(json(&server.get("/next"))["uri"], "/next");
    server.stop();
}

/// The process that forked this one (proc(5)).
fn parent(pid: &str) -> String {
    let status = fs_err::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    parent.unwrap().trim().to_owned()
}

#[test]
fn used_up_workers_are_replaced_under_load() {
    const THREADS: usize = 4;
    const REQUESTS: usize = 60;
    let server = Server::start("worker", &["--workers", "2", "--max-requests", "20"]);
    let pids: BTreeSet<String> = std::thread::scope(|scope| {
        let load = || {
            let pid = |_| json(&server.get("/load"))["pid"].to_string();
            (0..REQUESTS).map(pid).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(load)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    // Each has served at most 20.
    assert!(pids.len() >= THREADS * REQUESTS / 20, "{pids:?}");
    let ended = r#"howdah_pool_worker_ends_total{pool="php",reason="requests"}"#;
    server.wait_until(|| server.metric(ended).unwrap() >= 10.0);
    assert_eq!(server.log_count("worker killed: it did not end in time"), 0);
    server.stop();
}

/// Also by a worker that has served before: PHP sets up its signals for each request.
#[test]
fn a_slow_request_is_told_and_goes_on() {
    for mode in MODES {
        let server = Server::start(mode, &["--workers", "1", "--slow-after", "1"]);
        assert_eq!(json(&server.get("/next"))["uri"], "/next");
        std::thread::scope(|scope| {
            let slow = scope.spawn(|| server.get("/wait"));
            let line = server.log_line("slow request");
            let trace = line["backtrace"].as_str().unwrap();
            assert!(trace.contains("application.php"), "{mode}: {trace}");
            server.create("go");
            assert_eq!(slow.join().unwrap().status, 200, "{mode}");
        });
        let died = server.log_count("worker killed by a signal, restarting");
        assert_eq!(died, 0, "{mode}");
        server.stop();
    }
}

#[test]
fn changed_code_is_read_anew() {
    let server = Server::start("worker", &["--workers", "2", "--watch"]);
    let application = server.path("public/application.php");
    let code = fs_err::read_to_string(&application).unwrap();
    fs_err::write(
        &application,
        code.replace("'uri' =>", "'changed' => true, 'uri' =>"),
    )
    .unwrap();
    let line = server.log_line("changed, reloading");
    assert!(
        line["file"].as_str().unwrap().ends_with("/application.php"),
        "{line}"
    );
    server.wait_until(|| server.log_count("reloaded") > 0);
    assert_eq!(json(&server.get("/next"))["changed"], true);
    // What does not start is no harm, and mended it is read.
    fs_err::write(server.path("public/worker.php"), "<?php syntax error").unwrap();
    server.log_line("the reload failed, the workers from before go on");
    assert_eq!(json(&server.get("/next"))["changed"], true);
    server.stop();
}

#[test]
fn workers_that_do_not_end_are_killed_in_time() {
    let server = Server::start("worker", &["--workers", "1", "--drain-timeout", "1"]);
    assert_eq!(json(&server.get("/next"))["uri"], "/next");
    server.create("stuck");
    server.stop();
    server.log_line("worker killed: it did not end in time");
}
