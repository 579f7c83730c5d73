//! Load that goes on while workers are killed, all are replaced, and the server ends; and load that goes on for long. Short here;
//! `make soak` (`HOWDAH_SOAK=1`) does it in full.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use crate::client::Client;
use crate::server::{OnDrop, Server, kill};

/// Clients of each sort.
const CLIENTS: usize = 4;
/// Requests that must be answered between two disturbances: what one of them hit has then come to its end.
const BETWEEN: u64 = 16;
/// Growth that is no leak: allocators keep what they were given, and tables grow to their size.
const FLAT_KILOBYTES: u64 = 4096;

fn amount(short: u64, full: u64) -> u64 {
    // Which one is asked of the environment by `make soak` alone.
    if std::env::var_os("HOWDAH_SOAK").is_some() {
        full
    } else {
        short
    }
}

/// What the clients saw.
#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    /// No new connections, as when a balancer has seen that the server is not ready any more.
    leaving: AtomicBool,
    answered: AtomicU64,
    /// Requests that must not be repeated: by their number, whether they were answered.
    posts: Mutex<BTreeMap<u64, bool>>,
    next_post: AtomicU64,
}

impl Seen {
    /// Requests that may be repeated: none may be lost.
    fn read(&self, server: &Server) {
        let mut client = Client::new(server.address());
        while self.goes_on(&client) {
            let answer = client.request("GET", "/load").expect("a request was lost");
            assert_eq!(answer.status, 200);
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn goes_on(&self, client: &Client) -> bool {
        let is_over = self.leaving.load(Ordering::Relaxed) && !client.is_connected();
        !is_over && !self.stop.load(Ordering::Relaxed)
    }

    /// Requests that may not: one is lost with its own worker only.
    fn write(&self, server: &Server) {
        let mut client = Client::new(server.address());
        while self.goes_on(&client) {
            let id = self.next_post.fetch_add(1, Ordering::Relaxed);
            let answer = client.request("POST", &format!("/count?id={id}"));
            let answer = answer.expect("a request was lost");
            assert!(matches!(answer.status, 200 | 502), "{answer:?}");
            self.posts.lock().unwrap().insert(id, answer.status == 200);
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn load_goes_on(&self, server: &Server) {
        let before = self.answered.load(Ordering::Relaxed);
        server.wait_until(|| self.answered.load(Ordering::Relaxed) > before + BETWEEN);
    }
}

#[test]
fn kills_reloads_and_a_drain_lose_what_they_must() {
    let (kills, reloads) = (amount(60, 1000), amount(6, 100));
    let arguments = ["--workers", "4", "--no-access-log", "--drain-delay", "1"];
    let server = Server::start("worker", &arguments);
    let seen = Seen::default();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| seen.read(&server));
            scope.spawn(|| seen.write(&server));
        }
        // A client that fails ends the test: the others must then end, too.
        let _guard = OnDrop(|| seen.stop.store(true, Ordering::Relaxed));
        for kill_number in 1..=kills {
            kill_one(&server, kill_number);
            seen.load_goes_on(&server);
            let due = kill_number * reloads / kills;
            if due > (kill_number - 1) * reloads / kills {
                server.signal("HUP");
                let due = usize::try_from(due).unwrap();
                server.wait_until(|| server.log_count("reloaded") == due);
                seen.load_goes_on(&server);
            }
        }
        seen.leaving.store(true, Ordering::Relaxed);
        server.signal("TERM");
        // Nobody tells the clients to stop: the server does.
        server.wait();
    });
    let posts = seen.posts.into_inner().unwrap();
    let counted = server.counted();
    for (id, is_answered) in &posts {
        let times = counted.get(id).copied().unwrap_or(0);
        assert!(times <= 1, "request {id} was run {times} times");
        assert!(times == 1 || !is_answered, "request {id} was not run");
    }
    let lost = posts.values().filter(|is_answered| !**is_answered).count() as u64;
    assert!(lost <= kills, "{kills} kills cost {lost} requests");
    eprintln!(
        "{kills} kills, {reloads} reloads, one drain: {} requests, of {} that may not be repeated {lost} lost",
        seen.answered.into_inner(),
        posts.len()
    );
}

/// Any worker, whatever it does.
fn kill_one(server: &Server, number: u64) {
    let pids = server.worker_pids();
    if let Some(count) = u64::try_from(pids.len()).ok().filter(|count| *count > 0) {
        let index = usize::try_from(number % count).unwrap();
        kill("KILL", &pids[index].to_string());
    }
}

#[test]
fn memory_and_descriptors_stay_flat() {
    let requests = amount(8000, 1_000_000);
    let server = Server::start("worker", &["--workers", "2", "--no-access-log"]);
    let load = |requests: u64| {
        let left = AtomicU64::new(requests);
        let failed = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    let mut client = Client::new(server.address());
                    while take_one(&left) {
                        let status = client.request("GET", "/load").map(|answer| answer.status);
                        failed
                            .fetch_add(usize::from(!matches!(status, Ok(200))), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(failed.into_inner(), 0);
    };
    load(requests / 4);
    let (before, start) = (server.usage(), Instant::now());
    load(requests - requests / 4);
    let after = server.usage();
    eprintln!(
        "{requests} requests, {:?} for the last three quarters\nbefore {before:?}\nafter {after:?}",
        start.elapsed()
    );
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.pid, after.pid);
        // Of a connection that its client has closed the server may not know yet.
        assert!(after.descriptors <= before.descriptors + CLIENTS);
        assert!(after.resident_kilobytes <= before.resident_kilobytes + FLAT_KILOBYTES);
    }
    server.stop();
}

fn take_one(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(1)
    })
    .is_ok()
}
