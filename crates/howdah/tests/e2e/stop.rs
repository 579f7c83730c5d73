//! Seed A's graceful shutdown: the job in hand is finished once, the next stays queued; one too long is killed at the limit.

use std::time::Duration;

use crate::Scene;
use crate::support::output;
use crate::support::project::Project;

#[test]
fn a_stopping_worker_finishes_the_job_in_hand_and_loses_no_other() {
    let scene = Scene::new("e2e-stop");
    let project = &scene.project;
    project.howdah(&["up", "-d"]);
    let first = slow_job(project, 10);
    let second = slow_job(project, 1);
    project.wait_for_query(&started(&first), "1", Duration::from_secs(20));

    project.howdah(&["stop", "worker"]);
    assert_eq!(
        exit_code(project),
        0,
        "the worker ends by itself within its budget"
    );
    assert_eq!(
        project.query(&finished(&first)),
        "1",
        "the job in hand is finished"
    );
    assert_eq!(
        project.query(&started(&second)),
        "0",
        "the next job stays in the queue"
    );

    project.howdah(&["start", "worker"]);
    project.wait_for_query(&finished(&second), "1", Duration::from_secs(30));
    assert_eq!(
        project.query(&started(&first)),
        "1",
        "and the first job ran once"
    );
}

#[test]
fn a_job_longer_than_stopwaitsecs_is_killed_at_the_limit_and_that_is_said() {
    let scene = Scene::new("e2e-kill");
    let project = &scene.project;
    // The same image with a budget of three seconds, so that the test need not wait for sixty.
    let supervise = fs_err::read_to_string(project.path("docker/worker/howdah.toml")).unwrap();
    let shorter = supervise.replace("stopwaitsecs = 60", "stopwaitsecs = 3");
    assert_ne!(
        supervise, shorter,
        "the worker's budget is set in docker/worker/howdah.toml"
    );
    fs_err::write(project.path("docker/worker/howdah.toml"), shorter).unwrap();
    project.howdah(&["up", "-d"]);
    let job = slow_job(project, 60);
    project.wait_for_query(&started(&job), "1", Duration::from_secs(20));

    project.howdah(&["stop", "worker"]);
    assert_ne!(exit_code(project), 0, "a killed job is not a clean end");
    assert_eq!(project.query(&finished(&job)), "0");
    let logs = project.howdah(&["logs", "--no-color", "worker"]);
    assert!(
        logs.contains("SIGKILL") && logs.contains("3 s"),
        "the log says what happened: {logs}"
    );
}

fn slow_job(project: &Project, seconds: u32) -> String {
    project
        .exec(
            "web",
            &["php", "artisan", "invoices:slow-job", &seconds.to_string()],
        )
        .trim()
        .to_owned()
}

fn started(job: &str) -> String {
    format!("select count(*) from slow_job_runs where job_id = '{job}'")
}

fn finished(job: &str) -> String {
    format!("select count(*) from slow_job_runs where job_id = '{job}' and finished_at is not null")
}

fn exit_code(project: &Project) -> i64 {
    let text = output(&mut project.command(&["ps", "--all", "--format", "json", "worker"]));
    // One object a line, as `docker compose ps --format json` prints.
    let container: serde_json::Value =
        serde_json::from_str(text.lines().next().expect("the worker is listed")).unwrap();
    container["ExitCode"].as_i64().expect("an exit code")
}
