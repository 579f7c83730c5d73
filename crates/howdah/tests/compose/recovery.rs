//! `kill -9` of the keeper, of a container's helper and of commands: nothing is lost, nothing is left.

use nix::sys::signal::Signal;

use crate::scene::{Scene, eventually, signal, wait};

const STACK: &str = r#"
services:
  web:
    image: busybox
    command: sh -c 'mkdir /www; echo hello > /www/index.html; exec httpd -f -p 80 -h /www'
    init: true
    ports: ["${PORT}:80"]
    volumes: [data:/data]
    restart: always
  db:
    image: busybox
    init: true
    healthcheck: {test: 'true', interval: 1s}
volumes: {data: {}}
"#;

#[test]
fn a_killed_keeper_is_replaced_and_the_containers_never_notice() {
    let scene = Scene::new(STACK);
    scene.ok(&["up", "-d"]);
    let before = scene.container("t-web-1")["ID"].clone();
    let started = scene.sh("web", "cat /proc/1/stat | cut -d' ' -f22");
    let keeper = scene.keeper().expect("a keeper runs");
    signal(keeper, Signal::SIGKILL);
    eventually("the keeper is gone", || {
        !std::path::Path::new(&format!("/proc/{keeper}/fd")).exists() || is_zombie(keeper)
    });

    assert_eq!(scene.container("t-web-1")["ID"], before);
    assert_eq!(
        scene.sh("web", "cat /proc/1/stat | cut -d' ' -f22"),
        started
    );
    assert!(scene.get().ends_with("hello\n"));
    assert_eq!(scene.sh("web", "nslookup db | grep -c '^Address: '"), "1\n");
    eventually("its health is known again", || {
        scene.container("t-db-1")["Health"] == "healthy"
    });
    scene.ok(&["down", "-t", "0"]);
}

#[test]
fn a_keeper_killed_at_any_moment_of_coming_up_is_followed_by_one_that_finishes() {
    let scene = Scene::new(STACK);
    for pause in [0, 20, 60, 120, 250] {
        let mut up = scene.spawn(&["up", "-d"]);
        eventually("a keeper runs", || scene.keeper().is_some());
        std::thread::park_timeout(std::time::Duration::from_millis(pause));
        if let Some(keeper) = scene.keeper() {
            signal(keeper, Signal::SIGKILL);
        }
        up.wait().unwrap();
        drop(wait(up));
        scene.ok(&["up", "-d"]);
        assert!(scene.get().ends_with("hello\n"));
        scene.ok(&["down", "-t", "0"]);
        eventually("nothing is left", || scene.leftovers().is_empty());
    }
}

#[test]
fn a_container_whose_helper_is_killed_is_started_again() {
    let scene = Scene::new(STACK);
    scene.ok(&["up", "-d"]);
    let id = scene.ok(&["ps", "-q", "web"]).trim().to_owned();
    let pid: u32 = scene.helper(&id);
    signal(pid, Signal::SIGKILL);
    eventually("it runs again", || {
        scene.container("t-web-1")["State"] == "running"
            && scene
                .run(&["exec", "-T", "web", "test", "-e", "/www/index.html"])
                .code
                == 0
    });
    eventually("it answers", || {
        std::net::TcpStream::connect(("127.0.0.1", scene.port)).is_ok()
    });
}

#[test]
fn an_interrupted_start_leaves_what_has_been_started() {
    let scene = Scene::new(
        "services:\n  slow: {image: busybox, init: true, healthcheck: {test: 'false', interval: 1s, retries: 1000}}\n  later: {image: busybox, depends_on: {slow: {condition: service_healthy}}}\n",
    );
    let up = scene.spawn(&["up", "-d"]);
    eventually("the first one runs", || {
        scene.container("t-slow-1")["State"] == "running"
    });
    signal(up.id(), Signal::SIGINT);
    let said = wait(up);
    assert_eq!(said.code, 130, "{}", said.err);
    eventually("the second one is not waited for any more", || {
        scene.container("t-later-1")["State"] == "created"
    });
    assert_eq!(scene.container("t-slow-1")["State"], "running");
}

fn is_zombie(pid: u32) -> bool {
    fs_err::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}
