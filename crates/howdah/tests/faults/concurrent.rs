//! Many builds at once on one store.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};

use crate::Scene;

const BUILDS: usize = 8;

/// Each step that runs adds its name to a log in a cache mount, where the next step finds it.
fn step(name: &str) -> String {
    format!(
        "RUN --mount=type=cache,id=log,target=/log echo {name} >> /log/steps && echo {name} >> /done\n"
    )
}

/// Eight Dockerfiles: one stage in all of them, one in each neighbouring pair, and a last step of their own.
fn dockerfile(number: usize) -> String {
    let shared = "FROM scratch AS base\nCOPY busybox /bin/sh\n";
    format!(
        "{shared}{}{}FROM base AS pair\n{}FROM base\nCOPY --from=pair /done /pair\n{}",
        step("all-1"),
        step("all-2"),
        step(&format!("pair-{}", number / 2)),
        step(&format!("own-{number}")),
    )
}

#[test]
fn builds_at_once_run_each_step_once() {
    let scene = Scene::new();
    for number in 0..BUILDS {
        scene.write(&format!("{number}.Dockerfile"), &dockerfile(number));
    }
    let builds: Vec<Child> = (0..BUILDS)
        .map(|number| {
            let file = format!("{number}.Dockerfile");
            let tag = format!("image-{number}");
            scene
                .command(&["build", "--progress=plain", "-f", &file, "-t", &tag, "."])
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for build in builds {
        let output = build.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    scene.write(
        "log.Dockerfile",
        "FROM scratch\nCOPY busybox /bin/sh\nRUN --mount=type=cache,id=log,target=/log cat /log/steps > /steps\n",
    );
    for line in scene.built("log.Dockerfile", "steps").lines() {
        *counts.entry(line.to_owned()).or_default() += 1;
    }
    let once = counts.values().all(|count| *count == 1);
    assert!(
        once && counts.len() == 2 + BUILDS / 2 + BUILDS,
        "{counts:#?}"
    );
    assert_eq!(scene.leftovers(), Vec::<String>::new());
}
