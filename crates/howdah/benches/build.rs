//! The example's web and worker images, built by Howdah and by Docker's BuildKit on the same files, in turns, in one run:
//! nothing changed, one controller edited, composer.json touched. Prints a table of medians and ratios; asserts nothing.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]
#![allow(dead_code, reason = "the support module serves the tests too")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use support::docker::Docker;
use support::project::Project;

const ROUNDS: u32 = 7;
const IMAGES: [&str; 2] = ["web", "worker"];

fn main() {
    let directory = tempfile::Builder::new()
        .prefix("howdah-bench-")
        .tempdir_in("/var/tmp")
        .unwrap();
    let project = Project::new("bench", &directory.path().join("howdah"));
    let docker = Docker::start(&directory.path().join("docker"));
    for image in ["debian:bookworm-slim", "howdah:latest"] {
        let archive = directory.path().join("base.tar");
        project.howdah(&["image", "save", image, "-o", archive.to_str().unwrap()]);
        docker.run(&["load", "-q", "-i", archive.to_str().unwrap()]);
    }
    println!(
        "{:<28} {:>10} {:>10} {:>8}",
        "web and worker images", "howdah", "BuildKit", "ratio"
    );
    report("cold (network included)", 1, &project, &docker, |_| {});
    report("no change", ROUNDS, &project, &docker, |_| {});
    report(
        "one controller edited",
        ROUNDS,
        &project,
        &docker,
        |round| {
            append(
                &project.path("app/Http/Controllers/InvoiceController.php"),
                &format!("// round {round}\n"),
            );
        },
    );
    report("composer.json touched", 3, &project, &docker, |round| {
        let path = project.path("composer.json");
        let text = fs_err::read_to_string(&path).unwrap();
        fs_err::write(
            &path,
            format!("{}\n{}", text.trim_end(), " ".repeat(round as usize + 1)),
        )
        .unwrap();
    });
}

fn report(case: &str, rounds: u32, project: &Project, docker: &Docker, change: impl Fn(u32)) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        change(round);
        ours.push(timed(|| {
            project.howdah(&["build", "--progress", "quiet", "web", "worker"]);
        }));
        theirs.push(timed(|| {
            for image in IMAGES {
                docker_build(project, docker, image);
            }
        }));
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
    println!(
        "{case:<28} {:>8.0}ms {:>8.0}ms {ratio:>7.1}x",
        milliseconds(ours),
        milliseconds(theirs)
    );
}

fn docker_build(project: &Project, docker: &Docker, image: &str) {
    let dockerfile = format!("docker/{image}/Dockerfile");
    let mut build: Command = docker.command(&[
        "build",
        "--quiet",
        "--network=host",
        "--tag",
        image,
        "--file",
        &dockerfile,
    ]);
    build.args([
        "--secret",
        "id=ca_certificates,src=/etc/ssl/certs/ca-certificates.crt",
        ".",
    ]);
    support::output(build.current_dir(project.path("")));
}

fn append(path: &Path, text: &str) {
    let before = fs_err::read_to_string(path).unwrap();
    fs_err::write(path, before + text).unwrap();
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
