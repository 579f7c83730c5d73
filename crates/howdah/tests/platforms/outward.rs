//! What leaves: every form of an image for several platforms, and none whose programs are for another one.

use std::process::Command;

use crate::server::Server;
use crate::{BOTH, PLATFORMS, Scene, succeeded};

/// Says which platform it is for, in a file.
const COPIES: &str =
    "FROM base:1 AS base\nFROM scratch\nARG TARGETARCH\nCOPY file /$TARGETARCH\nCOPY file /same\n";

fn entries(archive: &std::path::Path) -> Vec<String> {
    let text = succeeded(Command::new("tar").arg("-tf").arg(archive));
    let mut names: Vec<String> = text
        .lines()
        .map(|line| line.trim_end_matches('/').to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn directories_and_archives_have_one_directory_for_each_platform() {
    let scene = Scene::new();
    scene.write("context/file", "x\n");
    let build = |arguments: &[&str]| scene.build(COPIES, arguments);
    build(&[
        "--platform",
        BOTH,
        "-o",
        "out",
        "-o",
        "type=tar,dest=out.tar",
    ]);
    let expected = [
        "linux_amd64",
        "linux_amd64/amd64",
        "linux_amd64/same",
        "linux_arm64",
        "linux_arm64/arm64",
        "linux_arm64/same",
    ];
    assert_eq!(entries(&scene.path("out.tar")), expected);
    for file in expected {
        assert!(scene.path("out").join(file).exists(), "{file}");
    }
    // One platform has none, unless it is asked for.
    build(&["--platform=linux/arm64", "-o", "one"]);
    assert!(scene.path("one/arm64").exists());
    build(&["--build-arg=BUILDKIT_MULTI_PLATFORM=1", "-o", "forced"]);
    assert!(scene.path("forced/linux_amd64/amd64").exists());
    build(&[
        "--platform=linux/arm64",
        "-o",
        "type=local,dest=split,platform-split=true",
    ]);
    assert!(scene.path("split/linux_arm64/arm64").exists());

    // Together only what does not collide.
    let together = [
        "--platform",
        BOTH,
        "-o",
        "type=local,dest=together,platform-split=false",
    ];
    let said = scene.fail_to_build(COPIES, &together);
    assert!(
        said.contains("`/same` is in the images of several platforms"),
        "{said}"
    );
    scene.build(
        "FROM scratch\nARG TARGETARCH\nCOPY file /$TARGETARCH\n",
        &together,
    );
    assert!(scene.path("together/amd64").exists() && scene.path("together/arm64").exists());
    let said = scene.fail_to_build(
        COPIES,
        &["--platform", BOTH, "--build-arg=BUILDKIT_MULTI_PLATFORM=0"],
    );
    assert!(
        said.contains("BUILDKIT_MULTI_PLATFORM=0 allows one platform"),
        "{said}"
    );
}

#[test]
fn a_docker_archive_holds_one_platform() {
    let scene = Scene::new();
    scene.write("context/file", "x\n");
    let said = scene.fail_to_build(
        COPIES,
        &["--platform", BOTH, "-o", "type=docker,dest=a.tar"],
    );
    assert!(
        said.contains("a Docker archive holds an image for one platform"),
        "{said}"
    );
    assert!(!scene.path("a.tar").exists());
    scene.build(
        COPIES,
        &[
            "--platform=linux/arm64",
            "-t",
            "a:1",
            "-o",
            "type=docker,dest=a.tar",
        ],
    );
    let inspect = |image: &str| {
        let text =
            succeeded(Command::new("skopeo").args(["inspect", "--override-arch=arm64", image]));
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["Architecture"].clone()
    };
    let archive = scene.path("a.tar").display().to_string();
    assert_eq!(inspect(&format!("docker-archive:{archive}")), "arm64");
    scene.build(COPIES, &["--platform", BOTH, "-o", "type=oci,dest=b.tar"]);
    let archive = scene.path("b.tar").display().to_string();
    assert_eq!(inspect(&format!("oci-archive:{archive}")), "arm64");
}

#[test]
fn programs_of_another_machine_leave_in_no_form() {
    let scene = Scene::new();
    let server = Server::start("");
    let name = format!("{}/acme/wrong:1", server.address);
    // The fault: the last stage is the build machine's.
    let wrong = "FROM --platform=$BUILDPLATFORM base:1\n";
    let outputs = [
        "type=local,dest=wrong",
        "type=tar,dest=wrong",
        "type=oci,dest=wrong",
        "type=oci,dest=wrong,tar=false",
        "type=docker,dest=wrong",
        "type=registry",
    ];
    for output in outputs {
        let said = scene.fail_to_build(
            wrong,
            &["--platform=linux/arm64", "-t", &name, "-o", output],
        );
        let expected = "`/bin/sh` in the image is for amd64, and the image says linux/arm64";
        assert!(said.contains(expected), "{output}: {said}");
        assert!(said.contains("take it off the last FROM"), "{said}");
        assert!(!scene.path("wrong").exists(), "{output}");
    }
    for command in [
        &["push", &name][..],
        &["image", "save", &name, "-o", "wrong"],
    ] {
        assert!(scene.fail(command).contains("is for amd64"), "{command:?}");
    }
    // One program that was made for the wrong machine, and an extension of PHP.
    for place in ["/bin/tool", "/usr/lib/php/20220829/redis.so"] {
        let one = format!(
            "FROM --platform=$BUILDPLATFORM base:1 AS build\nFROM base:1\nCOPY --from=build /bin/busybox {place}\n"
        );
        let said = scene.fail_to_build(&one, &["--platform=linux/arm64", "-o", "wrong"]);
        assert!(
            said.contains(&format!("`{place}` in the image is for amd64")),
            "{said}"
        );
    }
    // What is for several machines on purpose.
    let tools = "FROM --platform=$BUILDPLATFORM base:1 AS build\nFROM base:1\n\
        COPY --from=build /bin/busybox /bin/tool-amd64\nCOPY --from=build /bin/busybox /share/tool\n";
    scene.build(tools, &["--platform=linux/arm64", "-o", "right"]);
}

#[test]
fn an_index_goes_to_a_registry_and_on_from_there() {
    let scene = Scene::new();
    let server = Server::start("");
    let name = |name: &str| format!("{}/acme/{name}:1", server.address);
    scene.run(&["image", "tag", "base:1", &name("base")]);
    let pushed = scene.run(&["push", "-q", &name("base")]);
    let digest = |text: &str| text.trim().rsplit_once('@').unwrap().1.to_owned();

    let other = Scene::empty();
    other.run(&["pull", "-q", "--platform", PLATFORMS[1], &name("base")]);
    assert_eq!(other.architecture(&name("base"), &[]), "arm64");
    let said = other.fail(&["image", "inspect", "--platform=linux/amd64", &name("base")]);
    assert!(said.contains("no such image for linux/amd64"), "{said}");
    other.run(&["pull", "-q", &name("base")]);
    assert_eq!(other.architecture(&name("base"), &[]), "amd64");
    let list = other.run(&["images"]);
    assert!(
        list.contains("PLATFORM") && list.lines().count() == 3,
        "{list}"
    );
    for platform in PLATFORMS {
        assert!(list.contains(platform), "{list}");
    }

    // Both together are what was pushed; each alone is not.
    other.run(&["image", "tag", &name("base"), &name("copy")]);
    assert_eq!(
        digest(&other.run(&["push", "-q", &name("copy")])),
        digest(&pushed)
    );
    other.run(&["push", "-q", "--platform=linux/arm64", &name("copy")]);
    let third = Scene::empty();
    let said = third.fail_to_build(&format!("FROM {}\n", name("copy")), &[]);
    assert!(
        said.contains("is for linux/arm64, and the stage is for linux/amd64"),
        "{said}"
    );

    // By its digest it is known for both platforms, without asking the registry again.
    let pinned = format!("{}/acme/base@{}", server.address, digest(&pushed));
    third.build(&format!("FROM {pinned}\n"), &["--platform", BOTH]);
    drop(server);
    third.build(&format!("FROM {pinned}\n"), &["--platform", BOTH]);
}

#[test]
fn a_name_goes_with_the_images_of_all_platforms() {
    let scene = Scene::new();
    scene.run(&["image", "tag", "base:1", "again:1"]);
    let said = scene.run(&["image", "rm", "base:1"]);
    assert_eq!(said, "Untagged: base:1\n");
    let said = scene.run(&["image", "rm", "again:1"]);
    assert_eq!(said.matches("Deleted: ").count(), 2, "{said}");
    assert_eq!(scene.run(&["images", "-q"]), "");
}
