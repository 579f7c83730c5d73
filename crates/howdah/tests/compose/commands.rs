//! exec, run, logs, ps and config as Compose has them.

use crate::scene::{Scene, eventually, wait};

const ONE: &str = "services:\n  app:\n    image: busybox\n    command: sh -c 'echo one; sleep 0.2; echo two >&2; sleep 0.2; echo three; exec sleep 1000'\n    init: true\n    environment: {WHO: app}\n";

#[test]
fn exec_has_the_environment_and_passes_the_exit_code() {
    let scene = Scene::new(ONE);
    scene.ok(&["up", "-d"]);
    assert_eq!(scene.sh("app", "echo $WHO"), "app\n");
    assert_eq!(
        scene.ok(&[
            "exec",
            "-T",
            "-e",
            "WHO=me",
            "-w",
            "/tmp",
            "-u",
            "5:6",
            "app",
            "sh",
            "-c",
            "echo $WHO $PWD $(id -u):$(id -g)"
        ]),
        "me /tmp 5:6\n"
    );
    assert_eq!(
        scene
            .run(&["exec", "-T", "app", "sh", "-c", "exit 42"])
            .code,
        42
    );
    assert_eq!(
        scene
            .run(&["exec", "-T", "app", "sh", "-c", "kill -9 $$"])
            .code,
        137
    );
    assert_eq!(
        scene.run(&["exec", "-T", "app", "no-such-command"]).code,
        127
    );
    scene.ok(&["exec", "-d", "app", "touch", "/tmp/made"]);
    eventually("it was made", || {
        scene
            .run(&["exec", "-T", "app", "test", "-e", "/tmp/made"])
            .code
            == 0
    });
    let said = scene.run(&["exec", "-T", "nope", "true"]);
    assert!(
        said.code == 1 && said.err.contains("no such service: nope"),
        "{}",
        said.err
    );
}

#[test]
fn run_starts_dependencies_and_leaves_nothing() {
    let scene = Scene::new(
        "services:\n  db: {image: busybox, init: true, healthcheck: {test: 'true', interval: 1s}}\n  tool: {image: busybox, entrypoint: [sh, -c], command: ['exit 1'], depends_on: {db: {condition: service_healthy}}}\n",
    );
    let said = scene.run(&[
        "run",
        "--rm",
        "-T",
        "-e",
        "X=5",
        "tool",
        "nslookup db > /dev/null && echo $X; exit 9",
    ]);
    assert_eq!((said.code, said.out.as_str()), (9, "5\n"), "{}", said.err);
    assert_eq!(scene.containers().len(), 1);
    assert_eq!(
        scene
            .run(&["run", "--rm", "-T", "--entrypoint", "echo", "tool", "hi"])
            .out,
        "hi\n"
    );
    let mut child = scene.spawn(&["run", "--rm", "-T", "--no-deps", "tool", "sleep 1000"]);
    eventually("it runs", || scene.containers().len() == 2);
    // Killed: the container ends with its command, and the keeper clears it away.
    child.kill().unwrap();
    wait(child);
    eventually("it is gone", || scene.containers().len() == 1);
}

#[test]
fn logs_are_merged_bounded_and_followed() {
    let scene = Scene::new(ONE);
    scene.ok(&["up", "-d"]);
    eventually("it has said all", || {
        scene.run(&["logs"]).out.contains("three")
    });
    assert_eq!(
        scene.ok(&["logs", "--no-color"]),
        "app-1  | one\napp-1  | two\napp-1  | three\n"
    );
    assert_eq!(
        scene.ok(&["logs", "--tail", "1", "--no-log-prefix"]),
        "three\n"
    );
    assert_eq!(scene.ok(&["logs", "--since", "2100-01-01T00:00:00Z"]), "");
    let follow = scene.spawn(&["logs", "-f", "--no-log-prefix"]);
    scene.ok(&["stop", "-t", "0"]);
    assert_eq!(wait(follow).out, "one\ntwo\nthree\n");
}

#[test]
fn config_resolves_and_lists() {
    let scene = Scene::new(ONE);
    assert_eq!(scene.ok(&["config", "--services"]), "app\n");
    assert_eq!(scene.ok(&["config", "--images"]), "busybox\n");
    let yaml = scene.ok(&["config"]);
    assert!(yaml.starts_with("name: t\nservices:\n  app:\n"), "{yaml}");
    let json: serde_json::Value =
        serde_json::from_str(&scene.ok(&["config", "--format", "json"])).unwrap();
    assert_eq!(json["services"]["app"]["environment"]["WHO"], "app");
    // What is printed reads the same again.
    fs_err::write(scene.path("t/again.yaml"), &yaml).unwrap();
    assert_eq!(scene.ok(&["config", "-f", "again.yaml"]), yaml);
    scene.write("services:\n  app:\n    imag: x\n    port: []\n");
    let said = scene.run(&["config", "-q"]);
    assert_eq!(said.code, 1);
    assert!(
        said.err
            .contains("compose.yaml:3:5: services.app.imag: unknown key (did you mean `image`?)"),
        "{}",
        said.err
    );
    assert!(said.err.contains("are 3 faults"), "{}", said.err);
    scene.write(ONE);
}

#[test]
fn up_builds_what_the_project_builds() {
    let scene = Scene::new("services:\n  app: {build: ./app}\n");
    let project = scene.path("t/app");
    fs_err::create_dir_all(&project).unwrap();
    fs_err::write(
        project.join("Dockerfile"),
        "FROM busybox\nRUN echo built > /built\n",
    )
    .unwrap();
    scene.ok(&["up", "-d"]);
    assert_eq!(scene.sh("app", "cat /built"), "built\n");
    let before = scene.container("t-app-1")["ID"].clone();
    scene.ok(&["up", "-d"]);
    assert_eq!(scene.container("t-app-1")["ID"], before);
    fs_err::write(
        project.join("Dockerfile"),
        "FROM busybox\nRUN echo again > /built\n",
    )
    .unwrap();
    scene.ok(&["up", "-d", "-t", "0"]);
    assert_eq!(scene.sh("app", "cat /built"), "again\n");
}

#[test]
fn up_shows_what_this_run_writes_and_not_the_last_one() {
    let scene = Scene::new("services:\n  app: {image: busybox, command: 'date +%s.%N'}\n");
    let first = scene.ok(&["up"]);
    let second = scene.ok(&["up"]);
    let lines = |text: &str| text.lines().filter(|line| line.contains(" | ")).count();
    assert_eq!((lines(&first), lines(&second)), (1, 1), "{second}");
    assert_eq!(scene.ok(&["logs"]).lines().count(), 2);
}

#[test]
fn a_run_that_cannot_start_leaves_nothing() {
    let scene = Scene::new(
        "services:\n  tool:\n    image: busybox\n    volumes: [{type: bind, source: ./no, target: /no, bind: {create_host_path: false}}]\n",
    );
    let said = scene.run(&["run", "--rm", "-T", "tool", "true"]);
    assert!(
        said.code == 125 && said.err.contains("does not exist"),
        "{}",
        said.err
    );
    eventually("its container is removed", || scene.containers().is_empty());
}

#[test]
fn who_lives_in_a_network_that_is_replaced_is_restarted_after_it() {
    let stack = |environment: &str| {
        format!(
            "services:\n  web: {{image: busybox, init: true, environment: {{X: {environment}}}}}\n  side: {{image: busybox, init: true, network_mode: 'service:web'}}\n"
        )
    };
    let scene = Scene::new(&stack("1"));
    let address = || scene.sh("side", "ip -4 addr show eth0 | grep -o 'inet [0-9./]*'");
    scene.ok(&["up", "-d"]);
    let before = address();
    scene.ok(&["restart", "web"]);
    assert_eq!(address(), before);
    scene.write(&stack("2"));
    scene.ok(&["up", "-d"]);
    assert_eq!(address(), before);
}
