//! What comes in: archives and layouts of several platforms, named contexts, and images that are for other machines only.

use crate::{BOTH, PLATFORMS, Scene};

#[test]
fn an_archive_brings_the_images_of_all_platforms() {
    let scene = Scene::new();
    scene.run(&["image", "save", "base:1", "-o", "both.tar"]);
    scene.run(&[
        "image",
        "save",
        "--platform=linux/arm64",
        "base:1",
        "-o",
        "one.tar",
    ]);
    let archive = |name: &str| scene.path(name).display().to_string();

    let other = Scene::empty();
    other.run(&["image", "load", "-q", "-i", &archive("both.tar")]);
    assert_eq!(other.architecture("base:1", &[]), "amd64");
    for platform in PLATFORMS {
        let found = other.architecture("base:1", &["--platform", platform]);
        assert_eq!(format!("linux/{found}"), platform);
    }
    // It leaves as it came.
    other.run(&["image", "save", "base:1", "-o", "again.tar"]);
    assert_eq!(
        fs_err::read(other.path("again.tar")).unwrap(),
        fs_err::read(scene.path("both.tar")).unwrap()
    );
    let third = Scene::empty();
    third.run(&["image", "load", "-q", "-i", &archive("one.tar")]);
    assert_eq!(third.architecture("base:1", &[]), "arm64");
    let said = third.fail_to_build("FROM base:1\n", &[]);
    let expected = "no image `base:1` for linux/amd64; the one here is for linux/arm64";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_layout_is_a_context_for_each_platform() {
    let scene = Scene::new();
    scene.run(&[
        "build",
        "-q",
        "-t",
        "base:1",
        "--platform",
        BOTH,
        "-o",
        "type=oci,dest=layout,tar=false",
        "base",
    ]);
    scene.run(&[
        "build",
        "-q",
        "--platform=linux/arm64",
        "-o",
        "type=oci,dest=arm,tar=false",
        "base",
    ]);
    let build = |layout: &str, arguments: &[&str]| {
        let context = format!(
            "--build-context=some=oci-layout://{}",
            scene.path(layout).display()
        );
        scene.build(
            "FROM some\n",
            &[&[context.as_str(), "-t", "made"], arguments].concat(),
        );
    };
    build("layout", &["--platform", BOTH]);
    for platform in PLATFORMS {
        let found = scene.architecture("made", &["--platform", platform]);
        assert_eq!(format!("linux/{found}"), platform);
    }
    build("arm", &["--platform=linux/arm64"]);
    let context = format!(
        "--build-context=some=oci-layout://{}",
        scene.path("arm").display()
    );
    let said = scene.fail_to_build("FROM some\n", &[&context]);
    assert!(
        said.contains("is for linux/arm64, and the stage is for linux/amd64"),
        "{said}"
    );
    let context = format!(
        "--build-context=some=oci-layout://{}",
        scene.path("layout").display()
    );
    let said = scene.fail_to_build("FROM some\n", &[&context, "--platform=linux/s390x"]);
    assert!(said.contains("no image for linux/s390x"), "{said}");
}

#[test]
fn a_named_context_may_be_for_one_platform() {
    let scene = Scene::empty();
    for name in ["any", "arm"] {
        fs_err::create_dir(scene.path(name)).unwrap();
        scene.write(&format!("{name}/file"), name);
    }
    scene.build(
        "FROM scratch AS some\nFROM scratch\nCOPY --from=some /file /\n",
        &[
            "--platform",
            BOTH,
            "--build-context=some=any",
            "--build-context=some::linux/arm64=arm",
            "-o",
            "out",
        ],
    );
    assert_eq!(scene.read("out/linux_amd64/file"), "any");
    assert_eq!(scene.read("out/linux_arm64/file"), "arm");
}

#[test]
fn platforms_have_the_names_that_docker_takes() {
    let scene = Scene::new();
    scene.build(
        "FROM base:1\n",
        &["--platform=local,aarch64,linux/arm64/v8", "-t", "made"],
    );
    let list = scene.run(&["images", "made"]);
    assert_eq!(list.lines().count(), 3, "{list}");
    let said = scene.fail_to_build("FROM base:1\n", &["--platform=nonsense"]);
    assert!(said.contains("`nonsense` is not a platform"), "{said}");
    let mut command = scene.command(&["build", "-q", "-t", "made", "context"]);
    crate::succeeded(command.env("DOCKER_DEFAULT_PLATFORM", "linux/arm64"));
    assert_eq!(scene.architecture("made", &[]), "arm64");
}

#[test]
fn an_archive_of_several_images_has_each_with_its_platforms() {
    let scene = Scene::new();
    scene.build("FROM base:1\nLABEL of=another\n", &["-t", "other:1"]);
    scene.run(&["image", "tag", "base:1", "base:2"]);
    scene.run(&[
        "image", "save", "base:1", "other:1", "base:2", "-o", "all.tar",
    ]);
    let archive = scene.path("all.tar").display().to_string();
    let other = Scene::empty();
    let said = other.run(&["image", "load", "-i", &archive]);
    let expected = "Loaded image: base:1\nLoaded image: base:2\nLoaded image: other:1\n";
    assert_eq!(said, expected);
    for name in ["base:1", "base:2"] {
        assert_eq!(
            other.architecture(name, &["--platform=linux/arm64"]),
            "arm64"
        );
    }
    assert_eq!(other.architecture("other:1", &[]), "amd64");
}
