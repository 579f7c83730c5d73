//! The example's web and worker images, with their packages from the network.

use std::path::Path;

use crate::builder::{Builder, Job};
use crate::buildkit::BuildKit;
use crate::support::project::Project;
use crate::table::{head, median, row, seconds, timed};

const ROUNDS: u32 = 7;
const IMAGES: [&str; 2] = ["web", "worker"];
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

pub(crate) fn run(programs: &Path, directory: &Path) {
    fs_err::create_dir_all(directory).unwrap();
    let project = Project::new("bench", &directory.join("howdah"));
    let buildkit = Builder::BuildKit(BuildKit::start(programs, &directory.join("buildkit")));
    for image in ["debian:bookworm-slim", "howdah:latest"] {
        let archive = directory.join("base.tar");
        project.howdah(&["image", "save", image, "-o", archive.to_str().unwrap()]);
        buildkit.provide(&archive, image);
    }
    head(
        "web and worker images of the example",
        &["howdah", "BuildKit"],
    );
    times(
        "cold, packages from the network",
        1,
        &project,
        &buildkit,
        |_| {},
    );
    times("no change", ROUNDS, &project, &buildkit, |_| {});
    let controller = project.path("app/Http/Controllers/InvoiceController.php");
    times(
        "one controller edited",
        ROUNDS,
        &project,
        &buildkit,
        |round| {
            append(&controller, &format!("// round {round}\n"));
        },
    );
    times("composer.json touched", 3, &project, &buildkit, |_| {
        append(&project.path("composer.json"), " ");
    });
}

fn times(case: &str, rounds: u32, project: &Project, buildkit: &Builder, change: impl Fn(u32)) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        change(round);
        eprintln!("{case}, round {round}");
        ours.push(timed(&mut project.command(&[
            "build",
            "--progress",
            "quiet",
            "web",
            "worker",
        ])));
        let context = project.path("");
        theirs.push(
            IMAGES
                .iter()
                .map(|image| {
                    timed(&mut buildkit.build(&Job {
                        context: &context,
                        file: &format!("docker/{image}/Dockerfile"),
                        tag: image,
                        certificates: Some(Path::new(CERTIFICATES)),
                    }))
                })
                .sum(),
        );
    }
    let medians = [median(ours).as_secs_f64(), median(theirs).as_secs_f64()];
    row(case, &medians, seconds);
}

fn append(path: &Path, text: &str) {
    let before = fs_err::read_to_string(path).unwrap();
    fs_err::write(path, before + text).unwrap();
}
