//! Coming up in order, health, restarts, stopping in time, going down.

use nix::sys::signal::Signal;

use crate::scene::{Scene, eventually, signal, wait};

const CHAIN: &str = r#"
services:
  web:
    image: busybox
    command: sh -c 'mkdir /www; echo hello > /www/index.html; exec httpd -f -p 80 -h /www'
    init: true
    ports: ["${PORT}:80"]
    depends_on:
      db: {condition: service_healthy}
      migrate: {condition: service_completed_successfully}
  migrate:
    image: busybox
    command: sh -c 'test -e /shared/ready && echo migrated >> /shared/log'
    volumes: [shared:/shared]
    depends_on: {db: {condition: service_healthy}}
  db:
    image: busybox
    command: sh -c 'sleep 1; touch /shared/ready; exec sleep 1000'
    init: true
    volumes: [shared:/shared]
    healthcheck: {test: test -e /shared/ready, interval: 1s}
volumes: {shared: {}}
"#;

#[test]
fn comes_up_in_order_and_goes_down_to_nothing() {
    let scene = Scene::new(CHAIN);
    let said = scene.run(&["up", "-d"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(
        said.err
            .contains(&format!("http://localhost:{}", scene.port)),
        "{}",
        said.err
    );
    assert!(scene.get().ends_with("hello\n"));
    assert_eq!(scene.container("t-db-1")["Health"], "healthy");
    assert_eq!(scene.container("t-migrate-1")["State"], "exited");
    assert_eq!(
        scene.ok(&["up", "--dry-run"]),
        "keep container t-db-1\nstart container t-migrate-1\nkeep container t-web-1\n"
    );

    let before = scene.container("t-web-1")["ID"].clone();
    scene.ok(&["up", "-d"]);
    assert_eq!(scene.container("t-web-1")["ID"], before);
    scene.ok(&["down"]);
    assert_eq!(scene.containers(), [] as [serde_json::Value; 0]);
    eventually("nothing is left", || scene.leftovers().is_empty());
    assert_eq!(
        fs_err::read_to_string(scene.root().join("volumes/t_shared/log")).unwrap(),
        "migrated\nmigrated\n"
    );
    scene.ok(&["down", "-v"]);
    assert!(!scene.root().join("volumes/t_shared").exists());
}

#[test]
fn only_what_changed_is_replaced() {
    let scene = Scene::new("services:\n  a: {image: busybox}\n  b: {image: busybox}\n");
    scene.ok(&["up", "-d", "-t", "0"]);
    let id = |name: &str| scene.container(name)["ID"].clone();
    let (a, b) = (id("t-a-1"), id("t-b-1"));
    scene.write("services:\n  a: {image: busybox, restart: always}\n  b: {image: busybox, environment: {X: '1'}}\n");
    scene.ok(&["up", "-d", "-t", "0"]);
    assert_eq!(id("t-a-1"), a);
    assert_ne!(id("t-b-1"), b);
    scene.ok(&["up", "-d", "-t", "0", "--scale", "a=3"]);
    assert_eq!(scene.containers().len(), 4);
    scene.ok(&["up", "-d", "-t", "0", "--force-recreate", "a"]);
    assert_ne!(id("t-a-1"), a);
    assert_eq!(scene.containers().len(), 2);
}

#[test]
fn what_does_not_stop_in_time_is_killed_and_it_is_said() {
    let scene = Scene::new(
        "services:\n  deaf:\n    image: busybox\n    command: sh -c 'trap \"\" TERM; while :; do sleep 1; done'\n    stop_grace_period: 1s\n  polite:\n    image: busybox\n    command: sh -c 'trap \"echo bye; exit 0\" QUIT; while :; do sleep 0.1; done'\n    stop_signal: SIGQUIT\n",
    );
    scene.ok(&["up", "-d"]);
    let said = scene.run(&["stop"]);
    assert!(
        said.err
            .contains("t-deaf-1  did not stop within 1s, killed"),
        "{}",
        said.err
    );
    assert!(
        !said.err.contains("t-polite-1  did not stop"),
        "{}",
        said.err
    );
    assert_eq!(scene.container("t-deaf-1")["ExitCode"], 137);
    assert_eq!(scene.container("t-polite-1")["ExitCode"], 0);
    assert_eq!(scene.ok(&["logs", "--no-log-prefix", "polite"]), "bye\n");
    scene.ok(&["start", "polite"]);
    assert_eq!(scene.container("t-polite-1")["State"], "running");
}

#[test]
fn policies_restart_and_a_stop_by_hand_does_not() {
    let scene = Scene::new(
        "services:\n  tries:\n    image: busybox\n    command: sh -c 'echo again; exit 3'\n    restart: on-failure:2\n  stays:\n    image: busybox\n    command: sleep 1000\n    init: true\n    restart: always\n",
    );
    let said = scene.run(&["up", "-d"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("`t-tries-1` exited (3)"), "{}", said.err);
    assert!(said.err.contains("| again"), "{}", said.err);
    assert_eq!(
        scene.ok(&["logs", "--no-log-prefix", "tries"]),
        "again\nagain\nagain\n"
    );

    scene.sh("stays", "kill -9 -1; true");
    eventually("it runs again", || {
        scene.container("t-stays-1")["State"] == "running"
    });
    scene.ok(&["stop", "-t", "0", "stays"]);
    assert_eq!(scene.container("t-stays-1")["State"], "exited");
}

#[test]
fn an_unhealthy_service_fails_the_start_with_what_its_check_said() {
    let scene = Scene::new(
        "services:\n  sick:\n    image: busybox\n    healthcheck: {test: 'echo no fever; exit 1', interval: 1s, retries: 1}\n  waits:\n    image: busybox\n    depends_on: {sick: {condition: service_healthy}}\n",
    );
    let said = scene.run(&["up", "-d"]);
    assert_eq!(said.code, 1);
    assert!(
        said.err
            .contains("container `t-sick-1` is unhealthy: no fever"),
        "{}",
        said.err
    );
    assert_eq!(scene.container("t-waits-1")["State"], "dead");
}

#[test]
fn attached_shows_output_and_ctrl_c_stops() {
    let scene = Scene::new(
        "services:\n  one:\n    image: busybox\n    command: sh -c 'echo from one; exec sleep 1000'\n    init: true\n  two:\n    image: busybox\n    command: sh -c 'trap \"echo stopping; exit 7\" TERM; echo from two; while :; do sleep 0.1; done'\n",
    );
    let up = scene.spawn(&["up", "--no-color"]);
    eventually("both have spoken", || {
        scene.run(&["logs"]).out.matches("from").count() == 2
    });
    signal(up.id(), Signal::SIGINT);
    let said = wait(up);
    assert_eq!(said.code, 0, "{}", said.err);
    for line in [
        "one-1  | from one\n",
        "two-1  | from two\n",
        "two-1  | stopping\n",
        "t-two-1 exited with code 7\n",
    ] {
        assert!(said.out.contains(line), "{line:?} in {}", said.out);
    }
    assert!(
        scene
            .containers()
            .iter()
            .all(|container| container["State"] == "exited")
    );
}

#[test]
fn the_exit_code_of_one_service_ends_the_stack() {
    let scene = Scene::new(
        "services:\n  tests:\n    image: busybox\n    command: sh -c 'sleep 0.5; exit 5'\n  other:\n    image: busybox\n    init: true\n",
    );
    let said = scene.run(&["up", "--exit-code-from", "tests"]);
    assert_eq!(said.code, 5, "{}", said.err);
    assert_eq!(scene.container("t-other-1")["State"], "exited");
}
