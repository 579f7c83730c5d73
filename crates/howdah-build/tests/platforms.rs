//! Images for several platforms in one graph, and what is refused.
#![expect(
    clippy::tests_outside_test_module,
    reason = "the whole program is a test"
)]

mod support;

use howdah_build::{MachineError, check_machine};
use howdah_image::{Image, ImageConfig, Layer, Platform, Reference, SnapshotId, host_architecture};
use support::{Project, Report, explain};

/// A platform that this machine is not.
fn foreign() -> Platform {
    let architecture = if host_architecture() == "riscv64" {
        "s390x"
    } else {
        "riscv64"
    };
    format!("linux/{architecture}").parse().unwrap_or_default()
}

/// A platform that no emulator of the machine runs either.
fn nowhere() -> Platform {
    "linux/no-such-machine".parse().unwrap_or_default()
}

/// Builds a Dockerfile for this machine and for another, in one graph, under one name.
fn build_both(project: &Project, dockerfile: &str) -> Report {
    let targets = [Platform::default(), foreign()].map(|platform| {
        let mut target = project.target(dockerfile);
        target.platform = Some(platform);
        target.tags = vec![name()];
        target
    });
    project.build_all(&targets)
}

fn name() -> Reference {
    "both:1".parse().expect("a reference")
}

fn images(report: &Report) -> [&Image; 2] {
    let built = report.result.as_ref();
    let built = built.unwrap_or_else(|error| panic!("{}", explain(error)));
    [&built.images[0], &built.images[1]]
}

#[test]
fn a_name_leads_to_an_image_for_each_platform() {
    let project = Project::new(&[("f", "x")]);
    let report = build_both(
        &project,
        "FROM --platform=$BUILDPLATFORM busybox:test AS build\nRUN echo shared > /shared\n\
         ARG TARGETARCH\nRUN echo $TARGETARCH > /arch\nFROM scratch\nCOPY --from=build /shared /arch /\nCOPY f /\n",
    );
    let [native, other] = images(&report);
    assert_eq!(Platform::of(&native.config), Platform::default());
    assert_eq!(Platform::of(&other.config), foreign());
    let arch = |image| project.read(image, "arch").unwrap_or_default();
    assert_eq!(arch(native), format!("{}\n", host_architecture()));
    assert_eq!(arch(other), format!("{}\n", foreign().architecture));
    // What does not ask for the target is done once.
    let shared = |text: &&String| text.contains("echo shared");
    assert_eq!(report.executed.iter().filter(shared).count(), 1);

    let store = &project.store;
    assert_eq!(
        store.images_of(&name()).map(|images| images.len()).ok(),
        Some(2)
    );
    for (platform, image) in [(Platform::default(), native), (foreign(), other)] {
        let found = store.find_image_for("both:1", &platform).ok().flatten();
        assert_eq!(found.map(|found| found.id), Some(image.id));
    }
    assert_eq!(
        store
            .find_image("both:1")
            .ok()
            .flatten()
            .map(|found| found.id),
        Some(native.id)
    );
    // A name that is given to one image alone has no others.
    store.tag(&other.id, &name()).expect("the name is given");
    assert_eq!(
        store.images_of(&name()).map(|images| images.len()).ok(),
        Some(1)
    );
}

#[test]
fn programs_of_another_machine_do_not_leave() {
    let project = Project::new(&[]);
    // The fault: the last stage is the build machine's.
    let report = build_both(&project, "FROM --platform=$BUILDPLATFORM busybox:test\n");
    let [native, other] = images(&report);
    assert!(check_machine(&project.store, native).is_ok());
    let refused = check_machine(&project.store, other).expect_err("it is for another machine");
    assert!(
        matches!(&refused, MachineError::Differs { path, found, platform }
            if path == "/bin/sh" && found == host_architecture() && *platform == foreign()),
        "{refused}"
    );
    // Without a shell and a command the first program in the search path decides; an emulator is the builder's.
    let report = build_both(
        &project,
        "FROM --platform=$BUILDPLATFORM busybox:test AS build\nFROM scratch\n\
         COPY --from=build /bin/busybox /usr/bin/qemu-x\nCOPY --from=build /bin/busybox /usr/bin/tool\n",
    );
    let [_, other] = images(&report);
    let refused = check_machine(&project.store, other).expect_err("it is for another machine");
    assert!(
        refused
            .to_string()
            .starts_with("`/usr/bin/tool` in the image is for"),
        "{refused}"
    );
}

#[test]
fn a_base_for_another_platform_is_not_taken_and_a_step_needs_an_emulator() {
    let project = Project::new(&[]);
    let mut target = project.target("FROM busybox:test\n");
    target.platform = Some(nowhere());
    let report = project.build_all(&[target]);
    assert!(explain(report.error()).contains("no image `busybox:test`"));

    // The same files, said to be for the other machine.
    let native = project
        .store
        .find_image("busybox:test")
        .ok()
        .flatten()
        .expect("the base");
    let config = ImageConfig {
        architecture: nowhere().architecture,
        ..native.config.clone()
    };
    let staging = project.store.stage().expect("a staging");
    let snapshot = SnapshotId::random();
    staging.seal(&snapshot).expect("sealed");
    let more = Layer {
        snapshots: vec![snapshot],
    };
    let layers = native.layers.iter().cloned().chain([more]).collect();
    let other = project.store.save_image(config, layers).expect("saved");
    let reference: Reference = "busybox:test".parse().expect("a reference");
    project
        .store
        .tag_together(&[&native, &other], &reference)
        .expect("named");

    let mut target =
        project.target("FROM busybox:test\nCOPY --from=busybox:test /bin/true /t\nRUN true\n");
    target.platform = Some(nowhere());
    let report = project.build_all(&[target]);
    let told = explain(report.error());
    assert!(told.contains("has no emulator for it"), "{told}");
    let wrong = project.build("FROM --platform=nonsense busybox:test\n");
    assert!(explain(wrong.error()).contains("is not a platform"));
}
