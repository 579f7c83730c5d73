//! `platform:` and `build.platforms:` of a compose.yaml.

use crate::Scene;

fn project(scene: &Scene, keys: &str) {
    scene.write("context/Dockerfile", "FROM base:1\n");
    scene.write(
        "compose.yaml",
        &format!("name: platforms-{}\nservices:\n  app:\n    image: app:1\n    network_mode: none\n{keys}", std::process::id()),
    );
}

#[test]
fn a_service_is_built_for_its_platforms_and_run_on_this_machine() {
    let scene = Scene::new();
    project(
        &scene,
        "    build:\n      context: context\n      platforms: [linux/arm64, linux/amd64]\n",
    );
    scene.run(&["build", "-q"]);
    for architecture in ["amd64", "arm64"] {
        let platform = format!("--platform=linux/{architecture}");
        assert_eq!(scene.architecture("app:1", &[&platform]), architecture);
    }
    let machine = |arguments: &[&str]| {
        let words = [&["run", "--rm", "-T"], arguments, &["app", "uname", "-m"]].concat();
        let said = scene.run(&words);
        scene.run(&["down", "-t", "0"]);
        said
    };
    assert_eq!(machine(&["--no-build"]), "x86_64\n");
    // For a container it is built for this machine alone.
    assert_eq!(machine(&[]), "x86_64\n");
    let list = scene.run(&["images", "app"]);
    assert!(!list.contains("linux/arm64"), "{list}");
}

#[test]
fn the_platform_of_a_service_is_built_unless_others_are_listed() {
    let scene = Scene::new();
    project(&scene, "    platform: linux/arm64\n    build: context\n");
    scene.run(&["build", "-q"]);
    assert_eq!(scene.architecture("app:1", &[]), "arm64");
    scene.run(&["build", "-q", "--platform=linux/amd64"]);
    assert_eq!(scene.architecture("app:1", &[]), "amd64");

    project(
        &scene,
        "    platform: linux/s390x\n    build:\n      context: context\n      platforms: [linux/amd64]\n",
    );
    let said = scene.fail(&["build"]);
    assert!(
        said.contains("service `app` is for linux/s390x, and its `build.platforms` has others"),
        "{said}"
    );
    project(&scene, "    platform: a b\n    build: context\n");
    assert!(
        scene
            .fail(&["build"])
            .contains("a platform such as linux/arm64")
    );
}

#[test]
fn an_image_for_another_machine_is_told_of() {
    let scene = Scene::new();
    scene.build("FROM base:1\n", &["--platform=linux/arm64", "-t", "app:1"]);
    project(&scene, "");
    let said = scene.fail(&["run", "--rm", "-T", "app", "true"]);
    let expected =
        "warning: the image of service `app` is for linux/arm64, and this machine is linux/amd64";
    assert!(said.contains(expected), "{said}");
    scene.run(&["down", "-t", "0"]);
}
