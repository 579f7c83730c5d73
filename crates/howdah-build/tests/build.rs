//! Whole builds with real containers: what runs, what is cached, what is in the images.
#![expect(
    clippy::tests_outside_test_module,
    reason = "the whole program is a test"
)]

mod support;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use howdah_build::{BuildError, NoCache, RunError, StepError};
use support::{Project, explain};

#[test]
fn from_a_dockerfile_to_an_image() {
    let project = Project::new(&[("src/a.txt", "a"), ("src/sub/b.txt", "b")]);
    let report = project.build(
        "FROM busybox:test AS base\nARG NAME=world\nENV GREETING=hello\nWORKDIR /app\nCOPY src ./\n\
         RUN echo \"$GREETING $NAME\" > greeting && id -u > uid\nUSER app\nEXPOSE 8080\nLABEL a=b\n\
         ENTRYPOINT [\"cat\"]\nCMD [\"greeting\"]\n",
    );
    let image = report.image();
    assert_eq!(
        project.read(image, "app/greeting").as_deref(),
        Some("hello world\n")
    );
    assert_eq!(project.read(image, "app/sub/b.txt").as_deref(), Some("b"));
    let config = &image.config.config;
    assert_eq!(config.env, ["PATH=/bin", "GREETING=hello"]);
    assert_eq!(
        (config.user.as_str(), config.working_dir.as_str()),
        ("app", "/app")
    );
    assert_eq!(config.entrypoint.as_deref(), Some(&["cat".to_owned()][..]));
    assert_eq!(config.cmd.as_deref(), Some(&["greeting".to_owned()][..]));
    assert!(config.exposed_ports.contains("8080/tcp"));
    let made: Vec<bool> = image
        .config
        .history
        .iter()
        .map(|step| !step.empty_layer)
        .collect();
    assert_eq!(
        made,
        [
            false, false, true, true, true, false, false, false, false, false
        ]
    );
    assert_eq!(
        image.config.history[4].created_by.as_deref(),
        Some(
            "RUN |1 NAME=world /bin/sh -c echo \"$GREETING $NAME\" > greeting && id -u > uid # howdah"
        )
    );
}

#[test]
fn nothing_changed_means_nothing_runs_and_the_same_image() {
    let project = Project::new(&[("a", "1")]);
    let dockerfile = "FROM busybox:test\nCOPY a /a\nRUN date > /made\n";
    let first = project.build(dockerfile);
    let second = project.build(dockerfile);
    assert_eq!((first.executed.len(), second.executed.len()), (2, 0));
    assert_eq!(second.image().id, first.image().id);
    // Times of files do not count.
    let hour_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(1);
    fs_err::File::options()
        .write(true)
        .open(project.path("a"))
        .unwrap()
        .set_modified(hour_ago)
        .unwrap();
    assert_eq!(project.build(dockerfile).executed.len(), 0);
    assert_eq!(
        project.query::<u32>("SELECT count(*) FROM builds WHERE outcome = 'done'"),
        3
    );
    assert_eq!(
        project.query::<u32>("SELECT count(*) FROM build_vertices WHERE outcome = 'hit'"),
        4
    );
}

#[test]
fn one_changed_file_runs_only_what_depends_on_it() {
    let project = Project::new(&[
        ("composer.json", "{}"),
        ("app/a.php", "1"),
        ("app/b.php", "2"),
        ("app/c.php", "3"),
    ]);
    let dockerfile = "FROM busybox:test AS deps\nCOPY composer.json /deps/\nRUN date > /deps/vendor\n\
        FROM busybox:test\nCOPY app /app\nCOPY --from=deps /deps/vendor /app/vendor/lib\nRUN ls /app > /list\n";
    let first = project.build(dockerfile);
    assert_eq!(first.executed.len(), 5);
    project.write("app/b.php", "changed");
    let second = project.build(dockerfile);
    assert_eq!(second.executed, ["COPY app /app", "RUN ls /app > /list"]);
    assert_eq!(
        project.read(second.image(), "app/b.php").as_deref(),
        Some("changed")
    );
    assert_eq!(
        project.read(second.image(), "app/vendor/lib"),
        project.read(first.image(), "app/vendor/lib")
    );
    // The COPY is a base and a small delta.
    assert_eq!(second.image().layers[1].snapshots.len(), 2);
    fs_err::remove_file(project.path("app/c.php")).unwrap();
    let third = project.build(dockerfile);
    assert_eq!(
        project.read(third.image(), "list").as_deref(),
        Some("a.php\nb.php\nvendor\n")
    );
}

#[test]
fn a_stage_shared_by_two_dockerfiles_runs_once() {
    let project = Project::new(&[("composer.json", "{}")]);
    let shared = "FROM busybox:test AS composer-build\nWORKDIR /app\nCOPY composer.json ./\nRUN echo once; date > vendor\n";
    let mut web = project.target(&format!(
        "{shared}FROM busybox:test\nCOPY --from=composer-build /app /web\n"
    ));
    web.name = "web".into();
    let mut worker = project.target(&format!(
        "{shared}FROM busybox:test\nCOPY --from=composer-build /app /worker\n"
    ));
    worker.name = "worker".into();
    let report = project.build_all(&[web, worker]);
    let Ok(built) = &report.result else {
        panic!("{}", explain(report.error()))
    };
    assert_eq!(
        report
            .executed
            .iter()
            .filter(|text| text.contains("once"))
            .count(),
        1
    );
    assert_eq!(report.output.matches("once").count(), 1);
    assert_eq!(
        project.read(&built.images[0], "web/vendor"),
        project.read(&built.images[1], "worker/vendor")
    );
}

#[test]
fn an_input_that_comes_out_the_same_invalidates_nothing() {
    let project = Project::new(&[("seed", "1")]);
    let dockerfile = "FROM busybox:test AS deps\nCOPY seed /seed\nRUN mkdir /out && echo same > /out/result\n\
        FROM busybox:test\nCOPY --from=deps /out /out\nRUN date > /made\n";
    let first = project.build(dockerfile);
    project.write("seed", "2");
    let second = project.build(dockerfile);
    assert_eq!(
        second.executed,
        [
            "COPY seed /seed",
            "RUN mkdir /out && echo same > /out/result"
        ]
    );
    assert_eq!(
        project.read(second.image(), "made"),
        project.read(first.image(), "made")
    );
    // Also when the step itself is another one.
    let reworded = dockerfile.replace("mkdir /out &&", "mkdir /out;");
    assert_eq!(project.build(&reworded).executed.len(), 1);
}

#[test]
fn a_run_that_writes_the_same_again_invalidates_nothing() {
    let project = Project::new(&[]);
    let first = project.build("FROM busybox:test\nRUN echo a > /a\nRUN date > /made\n");
    let second = project.build("FROM busybox:test\nRUN echo 'a' > /a\nRUN date > /made\n");
    assert_eq!(second.executed, ["RUN echo 'a' > /a"]);
    assert_eq!(
        project.read(second.image(), "made"),
        project.read(first.image(), "made")
    );
}

#[test]
fn removals_are_in_the_layer_and_mount_points_are_not() {
    let project = Project::new(&[("d/a", "1"), ("d/b", "2")]);
    let report =
        project.build("FROM busybox:test\nCOPY d /d\nRUN rm /d/a && rm -r /tmp && mkdir /tmp\n");
    let image = report.image();
    project.inspect(image, |root| {
        assert!(!root.join("d/a").exists() && root.join("d/b").exists());
        let names = |path: &str| {
            let mut names: Vec<_> = fs_err::read_dir(root.join(path))
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(""), ["bin", "d", "dev", "etc", "proc", "sys", "tmp"]);
        assert_eq!(names("etc"), ["group", "passwd"]);
        assert_eq!(
            root.join("d").metadata().unwrap().permissions().mode() & 0o777,
            0o755
        );
    });
}

#[test]
fn a_step_that_changes_nothing_makes_no_layer() {
    let project = Project::new(&[]);
    let report = project.build("FROM busybox:test\nRUN true\nWORKDIR /etc\n");
    assert_eq!(report.image().layers.len(), 1);
    assert!(
        report
            .image()
            .config
            .history
            .iter()
            .all(|step| step.empty_layer)
    );
}

#[test]
fn owners_and_modes_are_as_asked_for() {
    let project = Project::new(&[("a", "1"), ("script", "#!/bin/sh\necho ran\n")]);
    let report = project.build(
        "FROM busybox:test\nCOPY --chown=app --chmod=0640 a /own/a\nCOPY --chmod=u+x,go= script /script\nRUN /script\n\
         FROM busybox:test\nCOPY --from=0 /own /kept\nUSER app\nWORKDIR /home/app\nRUN echo mine > mine\n",
    );
    project.inspect(report.image(), |root| {
        let attributes = |path: &str| {
            let metadata = fs_err::metadata(root.join(path)).unwrap();
            (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
        };
        assert_eq!(attributes("kept/a"), (1000, 1000, 0o640));
        assert_eq!(attributes("home/app"), (1000, 1000, 0o755));
        assert_eq!(attributes("home/app/mine"), (1000, 1000, 0o644));
    });
    assert_eq!(report.output, "ran\n");
}

#[test]
fn a_failing_run_names_its_line_its_code_and_its_last_words() {
    let project = Project::new(&[]);
    let report = project.build("FROM busybox:test\n\nRUN echo out; echo err >&2; \\\n    exit 7\n");
    let BuildError::Step {
        place,
        name,
        source,
        output,
    } = report.error()
    else {
        panic!("{:?}", report.error())
    };
    assert_eq!((place.line, place.file.as_str()), (3, "Dockerfile"));
    assert_eq!(name, "[stage-0 2/2] RUN echo out; echo err >&2; exit 7");
    assert!(
        matches!(
            **source,
            StepError::Run(RunError::Exit {
                code: 7,
                oom_killed: false
            })
        ),
        "{source:?}"
    );
    let mut output = output.clone();
    output.sort();
    assert_eq!(output, ["err", "out"]);
    // Nothing of it stays.
    assert!(
        fs_err::read_dir(project.directory.path().join("store/tmp"))
            .unwrap()
            .all(|entry| !entry.unwrap().path().join("upper").exists())
    );
    assert_eq!(
        project.query::<String>("SELECT outcome FROM builds"),
        "failed"
    );
}

#[test]
fn faults_say_what_and_where() {
    let project = Project::new(&[("a", "1"), (".dockerignore", "secret\n"), ("secret", "x")]);
    let told = |dockerfile: &str| explain(project.build(dockerfile).error());
    assert_eq!(
        told("FROM busybox:test\nCOPY none /x\n"),
        "Dockerfile:2 cannot be built: `none` not found in the build context"
    );
    assert_eq!(
        told("FROM busybox:test\nCOPY --from=busybox:test /none /x\n"),
        "Dockerfile:2 failed: `/none` not found in `busybox:test`"
    );
    assert_eq!(
        told("FROM a AS b\nCOPY --from=c /x /x\nFROM b AS c\n"),
        "Dockerfile:1 cannot be built: no image `a`: `a` cannot be pulled in a test"
    );
    assert_eq!(
        told(
            "FROM busybox:test AS a\nCOPY --from=b /x /x\nFROM busybox:test AS b\nCOPY --from=a /x /x\n"
        ),
        "Dockerfile:2 cannot be built: the stage `b` comes after the one that takes files from it"
    );
    assert_eq!(
        told("FROM busybox:test AS a\nCOPY --from=a /x /x\n"),
        "Dockerfile:1 cannot be built: stage `a` needs itself: a -> a"
    );
    assert!(
        matches!(project.build("FROM busybox:test\nCOPPY a b\n").error(), BuildError::Faults { faults, .. } if faults.len() == 1)
    );
    let mut target = project.target("FROM busybox:test AS one\n");
    target.stage = Some("two".into());
    assert!(
        matches!(project.build_all(&[target]).error(), BuildError::UnknownStage { stages, .. } if stages == &["one"])
    );
    assert_eq!(
        told("FROM busybox:test\nCOPY secret /x\n"),
        "Dockerfile:2 cannot be built: `secret` not found in the build context"
    );
}

#[test]
fn global_and_stage_arguments_have_their_scopes() {
    let project = Project::new(&[]);
    let mut target = project.target(
        "ARG BASE=none\nARG SHARED=global\nFROM ${BASE}\nARG SHARED\nARG OWN=default\nARG TARGETARCH\n\
         RUN echo \"$SHARED $OWN [$BASE] ${TARGETARCH:+arch} $HTTP_PROXY\" > /args\n",
    );
    target.build_args = [
        ("BASE", "busybox:test"),
        ("OWN", "given"),
        ("HTTP_PROXY", "proxy"),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .into();
    let report = project.build_all(&[target.clone()]);
    assert_eq!(
        project.read(report.image(), "args").as_deref(),
        Some("global given [] arch proxy\n")
    );
    target
        .build_args
        .insert("HTTP_PROXY".into(), "other".into());
    assert_eq!(project.build_all(&[target.clone()]).executed.len(), 0);
    target.build_args.insert("OWN".into(), "changed".into());
    assert_eq!(project.build_all(&[target]).executed.len(), 1);
}

#[test]
fn triggers_of_the_base_image_come_first() {
    let project = Project::new(&[("a", "1")]);
    let mut base =
        project.target("FROM busybox:test\nONBUILD COPY a /from-trigger\nONBUILD ENV SEEN=yes\n");
    base.tags = vec!["base:1".parse().unwrap()];
    assert!(
        project
            .build_all(&[base])
            .image()
            .config
            .config
            .on_build
            .len()
            == 2
    );
    let report = project.build("FROM base:1\nRUN echo $SEEN > /seen\n");
    assert_eq!(
        project.read(report.image(), "from-trigger").as_deref(),
        Some("1")
    );
    assert_eq!(
        project.read(report.image(), "seen").as_deref(),
        Some("yes\n")
    );
    assert!(report.image().config.config.on_build.is_empty());
}

#[test]
fn triggers_of_an_earlier_stage_come_first() {
    let project = Project::new(&[]);
    let report = project.build(
        "FROM busybox:test AS base\nONBUILD ENV SEEN=yes\nFROM base\nRUN echo $SEEN > /seen\n",
    );
    assert_eq!(
        project.read(report.image(), "seen").as_deref(),
        Some("yes\n")
    );
    assert!(report.image().config.config.on_build.is_empty());
}

#[test]
fn heredocs_and_scratch() {
    let project = Project::new(&[]);
    let report = project.build(
        "FROM busybox:test AS make\nARG WHO=world\nCOPY <<EOF <<'RAW' /made/\nhello $WHO\nEOF\nraw $WHO\nRAW\n\
         RUN <<EOF\necho one > /made/one\necho two > /made/two\nEOF\nFROM scratch\nCOPY --from=make /made /\n",
    );
    let image = report.image();
    assert_eq!(project.read(image, "EOF").as_deref(), Some("hello world\n"));
    assert_eq!(project.read(image, "RAW").as_deref(), Some("raw $WHO\n"));
    assert_eq!(project.read(image, "two").as_deref(), Some("two\n"));
    assert_eq!(image.layers.len(), 1);
    // As BuildKit's empty image has it.
    assert_eq!(image.config.config.working_dir, "/");
}

#[test]
fn added_archives_are_unpacked() {
    let project = Project::new(&[("plain.tar.txt", "no archive")]);
    for (name, archive) in [
        ("gz", &include_bytes!("archives/file.tar.gz")[..]),
        ("bz2", &include_bytes!("archives/file.tar.bz2")[..]),
        ("xz", &include_bytes!("archives/file.tar.xz")[..]),
        // Its name does not say what it is.
        ("other", &include_bytes!("archives/file.tar.xz")[..]),
    ] {
        fs_err::write(project.path(name), archive).unwrap();
        let report = project.build(&format!("FROM scratch\nADD {name} plain.tar.txt /to/\n"));
        let image = report.image();
        assert_eq!(
            project.read(image, "to/file").as_deref(),
            Some("packed\n"),
            "{name}"
        );
        assert_eq!(
            project.read(image, "to/plain.tar.txt").as_deref(),
            Some("no archive")
        );
    }
    let cut = &include_bytes!("archives/file.tar.xz")[..100];
    fs_err::write(project.path("cut.tar.xz"), cut).unwrap();
    let report = project.build("FROM scratch\nADD cut.tar.xz /to/\n");
    assert!(support::explain(report.error()).contains("cannot unpack `cut.tar.xz`"));
}

#[test]
fn the_cache_can_be_ignored() {
    let project = Project::new(&[]);
    let mut target = project.target("FROM busybox:test\nRUN date > /made\n");
    project.build_all(&[target.clone()]).image();
    target.no_cache = NoCache::Everything;
    assert_eq!(project.build_all(&[target]).executed.len(), 1);
    assert_eq!(
        project.query::<String>(
            "SELECT reason FROM build_vertices WHERE build = 2 AND outcome = 'executed'"
        ),
        "cache not asked"
    );
}
