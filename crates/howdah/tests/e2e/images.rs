//! Images travel: what Howdah writes runs in Docker, what Docker writes runs here, and skopeo reads both.

use std::process::Command;

use crate::Scene;
use crate::support::docker::Docker;
use crate::support::output;

const SAY: &str = "echo 'it runs as '$(id -u); php --version | head -n 1";

#[test]
fn the_web_image_runs_in_docker_and_dockers_runs_here() {
    let scene = Scene::new("e2e-images");
    let project = &scene.project;
    let directory = tempfile::Builder::new()
        .prefix("howdah-docker-")
        .tempdir_in("/var/tmp")
        .unwrap();
    let docker = Docker::start(directory.path());
    project.howdah(&["build", "web"]);

    let ours = directory.path().join("ours.tar");
    project.howdah(&[
        "image",
        "save",
        "e2e-images-web",
        "-o",
        ours.to_str().unwrap(),
    ]);
    inspect(&format!("oci-archive:{}", ours.display()));
    inspect(&format!("docker-archive:{}", ours.display()));
    docker.run(&["load", "-i", ours.to_str().unwrap()]);
    let said = docker.run(&[
        "run",
        "--rm",
        "--network=none",
        "e2e-images-web",
        "sh",
        "-c",
        SAY,
    ]);
    assert!(
        said.contains("it runs as 1000") && said.contains("PHP 8.2"),
        "{said}"
    );

    let dockerfile = directory.path().join("Dockerfile");
    fs_err::write(
        &dockerfile,
        "FROM e2e-images-web\nUSER root\nRUN echo made-by-docker > /made\nUSER 1000\n",
    )
    .unwrap();
    let mut build = docker.command(&["build", "-q", "--network=none", "-t", "theirs", "-f"]);
    output(build.arg(&dockerfile).arg(project.path("docker")));
    let theirs = directory.path().join("theirs.tar");
    docker.run(&["save", "theirs", "-o", theirs.to_str().unwrap()]);
    inspect(&format!("docker-archive:{}", theirs.display()));
    project.howdah(&["image", "load", "-i", theirs.to_str().unwrap()]);
    fs_err::write(
        project.path("theirs.yaml"),
        "services: {theirs: {image: theirs, network_mode: none}}\n",
    )
    .unwrap();
    let run = [
        "run",
        "-f",
        "theirs.yaml",
        "--rm",
        "-T",
        "theirs",
        "sh",
        "-c",
        "cat /made; id -u; php --version",
    ];
    let said = project.howdah(&run);
    assert!(
        said.starts_with("made-by-docker\n1000\n") && said.contains("PHP 8.2"),
        "{said}"
    );
}

fn inspect(image: &str) {
    let told = output(Command::new("skopeo").args(["inspect", image]));
    assert!(told.contains("\"Architecture\""), "{told}");
}
