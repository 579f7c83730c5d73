//! `why` after real builds: it names what changed.
#![expect(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "the whole program is a test"
)]

mod support;

use howdah_build::{
    Answer, Cause, FileDifference, LineChange, NoCache, Prediction, Question, Selection, Why,
    report, why,
};
use support::Project;

const LOCK: &str = "{\n    \"packages\": [\n        {\n            \"name\": \"monolog/monolog\",\n            \
    \"version\": \"3.9.0\"\n        }\n    ]\n}\n";

/// Asks why the steps of the last build ran.
fn ask(project: &Project, question: &Question<'_>) -> Why {
    let context = project.path("");
    let question = Question {
        directory: Some(&context),
        ..*question
    };
    why(&project.store, &question).unwrap()
}

fn answer<'w>(why: &'w Why, text: &str) -> &'w Answer {
    let found = why.steps.iter().find(|step| step.name.contains(text));
    found.unwrap_or_else(|| panic!("no `{text}` in {why:#?}"))
}

fn changed_line() -> LineChange {
    LineChange {
        line: 5,
        old: Some("            \"version\": \"3.9.0\"".to_owned()),
        new: Some("            \"version\": \"3.9.1\"".to_owned()),
    }
}

#[test]
fn a_line_of_composer_lock_is_named() {
    let project = Project::new(&[("composer.json", "{}"), ("composer.lock", LOCK)]);
    let dockerfile = "FROM busybox:test\nWORKDIR /app\nCOPY composer.json composer.lock ./\nRUN cat composer.lock > out\n";
    project.build(dockerfile).image();
    let first = ask(&project, &Question::default());
    assert_eq!(first.steps.len(), 3);
    assert!(
        first
            .steps
            .iter()
            .all(|step| step.causes == [Cause::FirstTime])
    );
    project.write("composer.lock", &LOCK.replace("3.9.0", "3.9.1"));
    project.build(dockerfile).image();
    let second = ask(&project, &Question::default());
    assert_eq!((second.steps.len(), second.cached), (2, 1));
    let copy = answer(&second, "COPY");
    let [Cause::Files { files, count: 1 }] = copy.causes.as_slice() else {
        panic!("{copy:#?}");
    };
    assert_eq!(
        (files[0].path.as_str(), files[0].difference),
        ("composer.lock", FileDifference::Changed)
    );
    assert_eq!(files[0].lines, [changed_line()]);
    assert_eq!(copy.compared_with, Some(1));
    assert!(copy.cost.bytes > 0);
    let run = answer(&second, "RUN cat");
    assert!(
        matches!(run.causes.as_slice(), [Cause::Parent { step, ran: true, number: 3 }] if step.contains("COPY")),
        "{run:#?}"
    );
    // Nothing changed, nothing ran.
    project.build(dockerfile).image();
    assert_eq!(ask(&project, &Question::default()).steps.len(), 0);
    let since = Question {
        build: Some(2),
        since: Some(1),
        step: Some("composer.lock ./"),
        ..Question::default()
    };
    assert_eq!(ask(&project, &since).steps[0].causes.len(), 1);
}

#[test]
fn a_bound_file_is_named_although_no_layer_holds_it() {
    let project = Project::new(&[("composer.lock", LOCK), ("auth.json", "first")]);
    let dockerfile = "FROM busybox:test\n\
        RUN --mount=type=bind,source=composer.lock,target=/lock --mount=type=bind,source=auth.json,target=/auth cat /lock > /out\n";
    project.build(dockerfile).image();
    project.write("composer.lock", &LOCK.replace("3.9.0", "3.9.1"));
    project.write("auth.json", "second");
    project.build(dockerfile).image();
    let why = ask(&project, &Question::default());
    let [Cause::Files { files, count: 2 }] = why.steps[0].causes.as_slice() else {
        panic!("{why:#?}");
    };
    let lines: Vec<(&str, &[LineChange])> = files
        .iter()
        .map(|file| (file.path.as_str(), file.lines.as_slice()))
        .collect();
    // The text of a file that people keep secrets in is never kept.
    assert_eq!(
        lines,
        [("composer.lock", &[changed_line()][..]), ("auth.json", &[])]
    );
}

#[test]
fn a_line_in_a_large_copy_comes_from_its_layer() {
    let project = Project::new(&[]);
    for number in 0..100 {
        project.write(&format!("app/{number}.php"), "<?php\nreturn 1;\n");
    }
    let dockerfile = "FROM busybox:test\nCOPY app /srv/app\n";
    project.build(dockerfile).image();
    project.write("app/7.php", "<?php\nreturn 2;\n");
    project.build(dockerfile).image();
    let why = ask(&project, &Question::default());
    let [Cause::Files { files, count: 1 }] = why.steps[0].causes.as_slice() else {
        panic!("{why:#?}");
    };
    assert_eq!(files[0].path, "app/7.php");
    assert_eq!(files[0].lines[0].old.as_deref(), Some("return 1;"));
    assert_eq!(project.query::<u32>("SELECT count(*) FROM build_texts"), 0);
}

#[test]
fn arguments_instructions_and_base_images_are_named() {
    let project = Project::new(&[]);
    let dockerfile = "FROM busybox:test\nARG VERSION=1\nARG API_TOKEN=none\nRUN echo one > /made\nRUN echo $VERSION\n";
    let build = |dockerfile: &str, arguments: &[(&str, &str)]| {
        let mut target = project.target(dockerfile);
        target.build_args = arguments
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        project.build_all(&[target]).image();
    };
    build(dockerfile, &[]);
    build(
        dockerfile,
        &[("VERSION", "2"), ("API_TOKEN", "s3cr3t-value")],
    );
    let why = ask(&project, &Question::default());
    let causes = &answer(&why, "echo one").causes;
    assert_eq!(
        causes[1],
        Cause::BuildArg {
            name: "VERSION".into(),
            old: Some("1".into()),
            new: Some("2".into())
        }
    );
    let Cause::BuildArg {
        name,
        new: Some(new),
        ..
    } = &causes[0]
    else {
        panic!("{causes:?}");
    };
    assert!(
        name == "API_TOKEN" && new.starts_with("[hidden"),
        "{causes:?}"
    );
    let leaked = "SELECT count(*) FROM build_inputs WHERE fields LIKE '%s3cr3t%'";
    assert_eq!(project.query::<u32>(leaked), 0);

    let changed = dockerfile.replace("echo one", "echo two");
    build(&changed, &[("VERSION", "2"), ("API_TOKEN", "s3cr3t-value")]);
    let why = ask(&project, &Question::default());
    assert_eq!(
        answer(&why, "echo two").causes,
        [Cause::Instruction {
            old: "RUN echo one > /made".into(),
            new: "RUN echo two > /made".into()
        }]
    );
    let below = &answer(&why, "$VERSION").causes;
    assert!(
        matches!(below.as_slice(), [Cause::Parent { ran: true, .. }]),
        "{below:?}"
    );

    project
        .build("FROM busybox:test\nRUN echo base > /base\n")
        .image();
    let other = project.build("FROM busybox:test\nRUN echo base > /base\n");
    project
        .store
        .tag(&other.image().id, &"busybox:test".parse().unwrap())
        .unwrap();
    build(&changed, &[("VERSION", "2"), ("API_TOKEN", "s3cr3t-value")]);
    let why = ask(&project, &Question::default());
    let causes = &answer(&why, "echo two").causes;
    assert!(
        matches!(causes.as_slice(), [Cause::Base { old, new }] if old != new && new.starts_with("busybox:test@sha256:")),
        "{causes:?}"
    );
}

#[test]
fn a_step_that_failed_is_told_from_a_new_one() {
    let project = Project::new(&[]);
    let dockerfile = "FROM busybox:test\nRUN test -e /missing\n";
    project.build(dockerfile).error();
    assert_eq!(
        ask(&project, &Question::default()).steps[0].causes,
        [Cause::FirstTime]
    );
    project.build(dockerfile).error();
    assert_eq!(
        ask(&project, &Question::default()).steps[0].causes,
        [Cause::FailedBefore { build: 1 }]
    );
}

#[test]
fn a_forecast_says_what_the_build_does_then() {
    let project = Project::new(&[("a", "1"), ("b", "1")]);
    let dockerfile = "FROM busybox:test\nCOPY a /a\nCOPY b /b\nRUN date > /date\n";
    let forecast = || -> Vec<(Prediction, Vec<Cause>)> {
        let forecast = project.predict(dockerfile);
        forecast
            .into_iter()
            .map(|step| (step.prediction, step.causes))
            .collect()
    };
    let fresh: Vec<Prediction> = forecast()
        .into_iter()
        .map(|(prediction, _)| prediction)
        .collect();
    assert_eq!(
        fresh,
        [
            Prediction::Executes,
            Prediction::Depends,
            Prediction::Depends
        ]
    );
    assert_eq!(project.query::<u32>("SELECT count(*) FROM builds"), 0);
    project.build(dockerfile).image();
    assert!(
        forecast()
            .iter()
            .all(|(prediction, _)| matches!(prediction, Prediction::Hit(_)))
    );
    project.write("b", "2");
    let changed = forecast();
    assert!(matches!(changed[0].0, Prediction::Hit(_)));
    assert_eq!(
        (changed[1].0, changed[2].0),
        (Prediction::Executes, Prediction::Depends)
    );
    assert!(
        matches!(&changed[1].1[..], [Cause::Files { files, .. }] if files[0].path == "b" && !files[0].lines.is_empty())
    );
    assert!(matches!(&changed[2].1[..], [Cause::Parent { .. }]));
    assert_eq!(
        project.build(dockerfile).executed,
        ["COPY b /b", "RUN date > /date"]
    );
}

#[test]
fn without_the_cache_and_with_a_lost_result() {
    let project = Project::new(&[]);
    let dockerfile = "FROM busybox:test\nRUN date > /date\n";
    project.build(dockerfile).image();
    let mut target = project.target(dockerfile);
    target.no_cache = NoCache::Everything;
    project.build_all(&[target]).image();
    assert_eq!(
        ask(&project, &Question::default()).steps[0].causes,
        [Cause::NoCache]
    );
    project
        .store
        .database()
        .with(|connection| connection.execute("DELETE FROM build_records", []))
        .unwrap();
    project.build(dockerfile).image();
    assert_eq!(
        ask(&project, &Question::default()).steps[0].causes,
        [Cause::Lost]
    );
}

#[test]
fn hit_rates_of_real_builds() {
    let project = Project::new(&[("a", "1")]);
    let dockerfile =
        "FROM busybox:test AS deps\nRUN echo slow > /deps\nFROM deps AS app\nCOPY a /a\n";
    project.build(dockerfile).image();
    project.write("a", "2");
    project.build(dockerfile).image();
    project.build(dockerfile).image();
    let context = project.path("");
    let counted = report(
        &project.store,
        &Selection {
            directory: Some(&context),
            ..Selection::default()
        },
    )
    .unwrap();
    assert_eq!(
        (counted.total.cached_steps, counted.total.executed_steps),
        (3, 3)
    );
    assert!(counted.total.saved_seconds > 0.0 && counted.total.saved_bytes > 0);
    let rates: Vec<(&str, Option<f64>)> = counted
        .stages
        .iter()
        .map(|part| (part.name.as_str(), part.tally.step_rate()))
        .collect();
    assert_eq!(rates, [("deps", Some(2.0 / 3.0)), ("app", Some(1.0 / 3.0))]);
    let last = Selection {
        last: Some(1),
        ..Selection::default()
    };
    assert_eq!(
        report(&project.store, &last).unwrap().total.step_rate(),
        Some(1.0)
    );
    let elsewhere = Selection {
        directory: Some(std::path::Path::new("/nowhere")),
        ..Selection::default()
    };
    assert!(
        report(&project.store, &elsewhere)
            .unwrap()
            .builds
            .is_empty()
    );
}

#[test]
fn of_several_platforms_each_step_says_which() {
    let project = Project::new(&[("a-amd64", "1"), ("a-arm64", "1"), ("b", "1")]);
    let dockerfile = "FROM scratch\nARG TARGETARCH\nCOPY a-$TARGETARCH /a\nCOPY b /b\n";
    let targets = ["linux/amd64", "linux/arm64"].map(|platform| {
        let mut target = project.target(dockerfile);
        target.name = platform.to_owned();
        target.platform = platform.parse().ok();
        target
    });
    project.build_all(&targets).image();
    project.write("a-arm64", "2");
    project.build_all(&targets).image();
    let changed = ask(&project, &Question::default());
    assert_eq!(changed.steps.len(), 1);
    let copy = answer(&changed, "[linux/arm64 stage-0 2/3] COPY a-$TARGETARCH");
    let [Cause::Files { files, count: 1 }] = copy.causes.as_slice() else {
        panic!("{copy:#?}");
    };
    assert_eq!(files[0].path, "a-arm64");
}
