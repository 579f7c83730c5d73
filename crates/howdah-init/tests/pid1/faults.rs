//! Health checks, and a control socket that is used badly.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::thread;

use howdah_init::control::{ControlError, query};

use crate::world::{Mode, PID1, World};

#[test]
fn health_is_that_of_essential_programs_and_their_checks() {
    let text = "[programs.good]\ncommand = 'sleep 1000'\nhealth = ['test', '-e', 'well']\n\
        [programs.side]\ncommand = 'sleep 1000'\nhealth = 'false'\nessential = false\n\
        [programs.slow]\ncommand = 'sleep 1000'\nhealth = 'sh -c \"test -e fast || sleep 1000\"'\nhealth_timeout = 1\n";
    let mut world = World::init("howdah.toml", text);
    world.until("3 programs of howdah.toml");
    let starting = world.health(None);
    assert!(!starting.healthy);
    world.until("all programs are up");
    let report = world.health(None);
    let details: Vec<_> = report
        .processes
        .iter()
        .map(|process| process.detail.clone().unwrap_or_default())
        .collect();
    assert_eq!(
        details,
        [
            "check exited with code 1",
            "check exited with code 1",
            "check did not end in time"
        ]
    );
    assert!(!report.healthy);
    fs_err::write(world.path().join("well"), "").unwrap();
    fs_err::write(world.path().join("fast"), "").unwrap();
    assert!(world.health(None).healthy);
    assert!(!world.health(Some("side")).healthy);
    assert!(world.health(Some("good")).healthy);
    assert_eq!(world.stop(), 0);
}

#[test]
fn an_http_check_asks_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        for answer in ["HTTP/1.1 503 Busy\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).unwrap() > 0);
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    let text = format!(
        "[programs.web]\ncommand = 'sleep 1000'\nstartsecs = 0\nhealth = 'http://{address}/up'\n"
    );
    let mut world = World::init("howdah.toml", &text);
    world.until("all programs are up");
    assert!(!world.health(None).healthy);
    assert!(world.health(None).healthy);
    server.join().unwrap();
    assert_eq!(world.stop(), 0);
}

#[test]
fn rude_clients_harm_nobody() {
    let mut world = World::init("Procfile", "a: sleep 1000\n");
    world.until("all programs are up");
    let socket = world.path().join("s.sock");
    let mut kept = Vec::new();
    for _ in 0..10 {
        kept.push(UnixStream::connect(&socket).unwrap());
    }
    UnixStream::connect(&socket)
        .unwrap()
        .write_all(b"nonsense\n")
        .unwrap();
    UnixStream::connect(&socket)
        .unwrap()
        .write_all(&[b'x'; 4096])
        .ok();
    UnixStream::connect(&socket)
        .unwrap()
        .write_all(b"health\n")
        .unwrap();
    assert!(world.health(None).healthy);
    drop(kept);
    assert_eq!(world.stop(), 0, "{:#?}", world.seen);
    assert!(matches!(
        query(&[socket], None, std::time::Duration::from_secs(5)),
        Err(ControlError::Connect { .. })
    ));
}

#[test]
fn a_second_supervisor_does_not_take_the_socket() {
    let mut world = World::init("Procfile", "a: sleep 1000\n");
    world.until("all programs are up");
    let second = std::process::Command::new(PID1)
        .args(["Procfile", "s.sock"])
        .current_dir(world.path())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(world.health(None).healthy);
    assert_eq!(world.stop(), 0);
}

#[test]
fn a_socket_left_by_a_killed_supervisor_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    // Not by bind(2): a neighbouring test that forks at that moment would hold the listener for a while.
    nix::sys::stat::mknod(
        &directory.path().join("s.sock"),
        nix::sys::stat::SFlag::S_IFSOCK,
        nix::sys::stat::Mode::S_IRWXU,
        0,
    )
    .unwrap();
    let mut world = World::start_in(directory, Mode::Plain, "Procfile", "a: sleep 1000\n", &[]);
    world.until("all programs are up");
    assert!(world.health(None).healthy);
    assert_eq!(world.stop(), 0);
}
