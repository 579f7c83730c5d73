//! `RUN` for another machine, with an emulator and without.

use crate::emulator::within;
use crate::{BOTH, BUILD_BASE, Scene, told};

/// A scene whose store was made in a user namespace like those of the commands that follow.
fn scene() -> Scene {
    let scene = Scene::without_images();
    let output = within(&scene.command(&BUILD_BASE), false);
    assert!(output.status.success(), "{}", told(&output));
    scene
}

const STEPS: &str = "FROM base:1\nARG TARGETPLATFORM\nRUN uname -m > /machine && cat /machine\n\
    RUN [\"/bin/sh\", \"-c\", \"echo $TARGETPLATFORM > /target\"]\n";

#[test]
fn steps_of_each_platform_run_as_on_their_machine() {
    let scene = scene();
    scene.write("context/Dockerfile", STEPS);
    let output = within(
        &scene.command(&[
            "build",
            "--network=none",
            "--platform",
            BOTH,
            "-t",
            "app",
            "-o",
            "out",
            "context",
        ]),
        true,
    );
    assert!(output.status.success(), "{}", told(&output));
    for (platform, machine) in [("amd64", "x86_64"), ("arm64", "aarch64")] {
        let file = |name: &str| scene.read(&format!("out/linux_{platform}/{name}"));
        assert_eq!(file("machine"), format!("{machine}\n"));
        assert_eq!(file("target"), format!("linux/{platform}\n"));
    }
}

#[test]
fn without_an_emulator_the_platform_is_named_and_what_to_install() {
    let scene = scene();
    scene.write("context/Dockerfile", STEPS);
    let command = scene.command(&["build", "--network=none", "--platform", BOTH, "context"]);
    let output = within(&command, false);
    let said = told(&output);
    assert!(!output.status.success(), "{said}");
    for words in [
        "the step is for linux/arm64, and this machine has no emulator for it",
        "apt-get install qemu-user-static",
        "RUN uname -m",
    ] {
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn stages_of_the_build_platform_need_no_emulator() {
    let scene = scene();
    scene.write(
        "context/Dockerfile",
        "FROM --platform=$BUILDPLATFORM base:1 AS build\nARG TARGETOS TARGETARCH TARGETVARIANT BUILDPLATFORM\n\
         RUN echo \"$(uname -m) makes $TARGETOS/$TARGETARCH$TARGETVARIANT on $BUILDPLATFORM\" > /made\n\
         FROM scratch\nCOPY --from=build /made /\n",
    );
    let command = scene.command(&[
        "build",
        "--network=none",
        "--platform",
        "linux/arm64,linux/arm/v6",
        "-o",
        "out",
        "context",
    ]);
    let output = within(&command, false);
    assert!(output.status.success(), "{}", told(&output));
    for (directory, made) in [("arm64", "linux/arm64"), ("arm_v6", "linux/armv6")] {
        assert_eq!(
            scene.read(&format!("out/linux_{directory}/made")),
            format!("x86_64 makes {made} on linux/amd64\n")
        );
    }
}
