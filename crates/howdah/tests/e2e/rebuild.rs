//! Seed A's layer cache: nothing changed, nothing runs; a controller reruns the code's steps; composer.json the dependencies' too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::Scene;
use crate::support::project::Project;

#[test]
fn only_the_steps_that_a_change_concerns_run_again() {
    let scene = Scene::new("e2e-rebuild");
    let project = &scene.project;
    executed(project);
    assert_eq!(executed(project), BTreeSet::new(), "nothing has changed");

    // The store is kept between runs: an edit made before would be found in the cache.
    let unique = unique();
    let controller = project.path("app/Http/Controllers/InvoiceController.php");
    append(&controller, &format!("// {unique}\n"));
    let code = executed(project);
    assert!(!code.is_empty());
    for step in &code {
        assert!(
            step.starts_with("COPY") || step.contains("dump-autoload"),
            "not a step of the code: {step}"
        );
    }

    let composer = project.path("composer.json");
    describe(&composer, &unique);
    let dependencies = executed(project);
    let install = dependencies
        .iter()
        .filter(|step| step.contains("composer install"))
        .count();
    assert_eq!(install, 1, "{dependencies:?}");
    let packages = dependencies
        .iter()
        .filter(|step| step.contains("apt-get") || step.contains("npm"))
        .count();
    assert_eq!(packages, 0, "{dependencies:?}");
}

#[test]
fn the_stage_that_two_dockerfiles_share_runs_once() {
    let scene = Scene::new("e2e-shared");
    let project = &scene.project;
    let composer = project.path("composer.json");
    describe(&composer, &unique());
    let log = progress(project);
    let installs = steps(&log)
        .into_values()
        .filter(|step| step.name.contains("composer install"))
        .collect::<Vec<_>>();
    assert_eq!(
        installs.len(),
        1,
        "web and worker have the stage, one vertex stands for both: {log}"
    );
    assert!(!installs[0].cached, "{log}");
}

struct Step {
    name: String,
    cached: bool,
}

/// Builds the project's images and returns the instructions that were executed.
fn executed(project: &Project) -> BTreeSet<String> {
    let log = progress(project);
    steps(&log)
        .into_values()
        .filter(|step| !step.cached)
        .map(|step| step.name)
        .collect()
}

fn progress(project: &Project) -> String {
    let output = project
        .command(&["build", "--progress", "plain"])
        .output()
        .unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    log
}

/// The steps of plain progress by number: `#7 [web production 2/9] RUN …`, then `#7 CACHED` or `#7 DONE 0.1s`.
fn steps(log: &str) -> BTreeMap<String, Step> {
    let mut steps = BTreeMap::new();
    for line in log.lines() {
        let Some((number, rest)) = line.strip_prefix('#').and_then(|line| line.split_once(' '))
        else {
            continue;
        };
        if let Some((_, name)) = rest
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("] "))
        {
            steps.entry(number.to_owned()).or_insert(Step {
                name: name.to_owned(),
                cached: false,
            });
        } else if rest == "CACHED" {
            steps.get_mut(number).expect("a step is named first").cached = true;
        }
    }
    steps
}

fn unique() -> String {
    format!("{:?}", std::time::SystemTime::now())
}

/// Changes the description in a composer.json, which changes nothing else.
fn describe(composer: &Path, text: &str) {
    let before = fs_err::read_to_string(composer).unwrap();
    let after = before.replacen("An invoicing application", text, 1);
    assert_ne!(before, after);
    fs_err::write(composer, after).unwrap();
}

fn append(path: &Path, text: &str) {
    let before = fs_err::read_to_string(path).unwrap();
    fs_err::write(path, before + text).unwrap();
}
