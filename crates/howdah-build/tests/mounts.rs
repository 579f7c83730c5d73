//! `RUN --mount`, secrets, the network, and stopping.
#![expect(
    clippy::tests_outside_test_module,
    clippy::unwrap_used,
    reason = "the whole program is a test"
)]

mod support;

use howdah_build::{BuildError, Network, RunError, Secret, StepError};
use support::{Project, explain};

#[test]
fn a_cache_mount_persists_and_is_not_in_the_image() {
    let project = Project::new(&[]);
    let run = |line: &str| {
        format!("FROM busybox:test\nRUN --mount=type=cache,target=/cache,id=c {line}\n")
    };
    project.build(&run("echo kept > /cache/file")).image();
    let report = project.build(&run("cat /cache/file > /found"));
    assert_eq!(
        project.read(report.image(), "found").as_deref(),
        Some("kept\n")
    );
    project.inspect(report.image(), |root| assert!(!root.join("cache").exists()));
    let locked = "FROM busybox:test\nRUN --mount=type=cache,target=/c,sharing=locked,mode=0700,uid=1000 stat -c '%a %u' /c > /found\n";
    assert_eq!(
        project
            .read(project.build(locked).image(), "found")
            .as_deref(),
        Some("700 1000\n")
    );
}

#[test]
fn a_secret_is_seen_by_its_step_and_by_nothing_else() {
    let mut project = Project::new(&[]);
    project
        .options
        .secrets
        .insert("token".into(), Secret::Value(b"hunter2".to_vec()));
    let dockerfile = "FROM busybox:test\n\
        RUN --mount=type=secret,id=token,mode=0440 cat /run/secrets/token | head -c 3 > /seen && stat -c %a /run/secrets/token >> /seen\n\
        RUN --mount=type=secret,id=token,env=TOKEN echo ${#TOKEN} > /length\n\
        RUN --mount=type=secret,id=none,target=/none test ! -e /none\n";
    let first = project.build(dockerfile);
    let image = first.image();
    assert_eq!(project.read(image, "seen").as_deref(), Some("hun440\n"));
    assert_eq!(project.read(image, "length").as_deref(), Some("7\n"));
    project.inspect(image, |root| {
        assert!(!root.join("run").exists() && !root.join("none").exists());
    });
    // Not in the key.
    project
        .options
        .secrets
        .insert("token".into(), Secret::Value(b"other".to_vec()));
    assert_eq!(project.build(dockerfile).executed.len(), 0);
    let mut found = Vec::new();
    find_bytes(
        &project.directory.path().join("store"),
        b"hunter2",
        &mut found,
    );
    assert!(found.is_empty(), "{found:?}");
    let required = "FROM busybox:test\nRUN --mount=type=secret,id=missing,required=true true\n";
    assert_eq!(
        explain(project.build(required).error()),
        "Dockerfile:2 failed: no secret `missing` was given"
    );
}

fn find_bytes(directory: &std::path::Path, needle: &[u8], found: &mut Vec<std::path::PathBuf>) {
    for entry in fs_err::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let kind = fs_err::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            find_bytes(&path, needle, found);
        } else if kind.is_file()
            && fs_err::read(&path)
                .unwrap()
                .windows(needle.len())
                .any(|window| window == needle)
        {
            found.push(path);
        }
    }
}

#[test]
fn bind_mounts_show_the_context_and_stages_and_throw_writes_away() {
    let project = Project::new(&[
        ("src/a", "1"),
        ("src/ignored", "2"),
        (".dockerignore", "src/ignored\n"),
    ]);
    let dockerfile = "FROM busybox:test AS other\nRUN mkdir /data && echo stage > /data/x\nFROM busybox:test\n\
        RUN --mount=type=bind,source=src,target=/src ls /src > /list && ! touch /src/b\n\
        RUN --mount=type=bind,source=src,target=/src,rw touch /src/b && ls /src > /list-rw\n\
        RUN --mount=type=bind,from=other,source=/data,target=/data cat /data/x > /found\n\
        RUN --mount=type=tmpfs,target=/mem echo gone > /mem/x\n";
    let report = project.build(dockerfile);
    let image = report.image();
    assert_eq!(project.read(image, "list").as_deref(), Some("a\n"));
    assert_eq!(project.read(image, "list-rw").as_deref(), Some("a\nb\n"));
    assert_eq!(project.read(image, "found").as_deref(), Some("stage\n"));
    assert!(!project.path("src/b").exists());
    project.inspect(image, |root| {
        assert!(!root.join("mem").exists() && !root.join("src").exists());
    });
    // The content is in the key; what stands on the two lists does not run, since they come out the same.
    project.write("src/a", "changed");
    assert_eq!(project.build(dockerfile).executed.len(), 2);
}

#[test]
fn steps_reach_the_network_unless_told_otherwise() {
    let project = Project::new(&[]);
    let mut target = project.target("FROM busybox:test\nRUN ls /sys/class/net > /interfaces\nRUN --network=none ls /sys/class/net > /none\n");
    target.network = Network::Default;
    let report = project.build_all(&[target]);
    assert_eq!(
        project.read(report.image(), "interfaces").as_deref(),
        Some("eth0\nlo\n")
    );
    assert_eq!(
        project.read(report.image(), "none").as_deref(),
        Some("lo\n")
    );
}

#[test]
fn cancelling_ends_the_container_and_leaves_nothing() {
    let project = Project::new(&[]);
    let report = std::thread::scope(|scope| {
        let build =
            scope.spawn(|| project.build("FROM busybox:test\nRUN echo started; sleep 1000\n"));
        let started = std::time::Instant::now();
        // The container is there when its overlay is.
        let mounted = || {
            fs_err::read_dir(project.directory.path().join("store/tmp"))
                .unwrap()
                .count()
                > 1
        };
        while !mounted() {
            assert!(started.elapsed().as_secs() < 60);
            std::thread::yield_now();
        }
        project.cancel.cancel();
        build.join().unwrap()
    });
    assert!(
        matches!(report.error(), BuildError::Cancelled),
        "{:?}",
        report.error()
    );
    assert!(
        fs_err::read_dir(project.directory.path().join("store/tmp"))
            .unwrap()
            .all(|entry| !entry.unwrap().path().join("upper").exists())
    );
    assert_eq!(
        project.query::<String>("SELECT outcome FROM builds"),
        "cancelled"
    );
}

#[test]
fn two_builds_at_once_execute_a_step_once() {
    let project = Project::new(&[]);
    let dockerfile = "FROM busybox:test\nRUN --mount=type=cache,target=/c echo x >> /c/count; cat /c/count > /count\n";
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| project.build(dockerfile).image().id);
        }
    });
    assert_eq!(
        project
            .read(project.build(dockerfile).image(), "count")
            .as_deref(),
        Some("x\n")
    );
}

#[test]
fn a_command_that_is_not_there_says_so() {
    let project = Project::new(&[]);
    let report = project.build("FROM busybox:test\nRUN [\"no-such-program\"]\n");
    let BuildError::Step { source, .. } = report.error() else {
        panic!()
    };
    assert!(
        matches!(**source, StepError::Run(RunError::Runtime(_))),
        "{source:?}"
    );
}
