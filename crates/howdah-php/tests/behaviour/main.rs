//! PHP behaviour: the scripts of `cases/`, each run in every mode over the wire, twice in the same worker where it survives.
//!
//! A case that is different in a mode on purpose says so beside its expectation, with the reason.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::tests_outside_test_module,
    reason = "the whole program is a test"
)]

mod boot;
mod cases;
mod front;
mod life;

use cases::{Case, Expectation};
use front::{Answer, Front, Worker};

const WORKER_SCRIPT: &str = r"<?php
$serve = static function () { include $_SERVER['SCRIPT_FILENAME']; };
while (frankenphp_handle_request($serve)) {
}
";

/// How often a case is asked for in a row.
const ROUNDS: usize = 2;

#[test]
fn classic() {
    run("classic");
}

#[test]
fn worker() {
    run("worker");
}

#[test]
fn fork() {
    run("fork");
}

#[test]
fn there_are_as_many_cases_as_promised() {
    let count = cases::all().len();
    assert!(count >= 150, "only {count}");
}

fn run(mode: &str) {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("worker.php");
    fs_err::write(&script, WORKER_SCRIPT).unwrap();
    let mut front = Front::start(mode, &script, directory.path());
    let mut worker = None;
    let mut faults = Vec::new();
    for (index, case) in cases::all().iter().enumerate() {
        let file = directory.path().join(format!("case{index}.php"));
        fs_err::write(&file, format!("<?php\n{}", case.code)).unwrap();
        for round in 1..=ROUNDS {
            let mut current = worker.take().unwrap_or_else(|| front.fork());
            let answer = current.ask(case, &file);
            worker = answer.ready.then_some(current);
            if let Some(fault) = compare(case, case.expectation(mode), &answer) {
                faults.push(format!("{} ({mode}, round {round}): {fault}", case.name));
            }
        }
    }
    drop::<Option<Worker>>(worker);
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

fn compare(case: &Case, expected: &Expectation, answer: &Answer) -> Option<String> {
    if answer.status != expected.status {
        return Some(format!(
            "status {} instead of {}; said {:?}, logged {:?}",
            answer.status, expected.status, answer.body, answer.log
        ));
    }
    if expected.body != answer.body {
        return Some(format!(
            "said {:?} instead of {:?}; logged {:?}",
            answer.body, expected.body, answer.log
        ));
    }
    let has = |header: &String| answer.headers.contains(header);
    if let Some(missing) = expected.headers.iter().find(|header| !has(header)) {
        return Some(format!("no {missing:?} in {:?}", answer.headers));
    }
    if let Some(name) = expected.absent.iter().find(|name| answer.has_header(name)) {
        return Some(format!("{name} was not to be in {:?}", answer.headers));
    }
    if let Some(text) = expected.log.iter().find(|text| !answer.log.contains(*text)) {
        return Some(format!("{text:?} is not in the log {:?}", answer.log));
    }
    let interim: Vec<_> = answer.interim.clone();
    (interim != case.interim).then(|| format!("interim responses {interim:?}"))
}
