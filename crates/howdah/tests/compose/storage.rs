//! Volumes, binds, tmpfs, secrets, configs and environment.

use std::os::unix::fs::MetadataExt as _;

use crate::scene::Scene;

#[test]
fn a_new_volume_has_the_images_content_and_keeps_what_is_written() {
    let scene = Scene::new(
        "services:\n  app: {image: busybox, volumes: ['data:/data', 'empty:/new']}\nvolumes: {data: {}, empty: {}}\n",
    );
    scene.ok(&["up", "-d"]);
    assert_eq!(
        scene.sh("app", "cat /data/seed; stat -c '%u %a' /data"),
        "seed\n1000 750\n"
    );
    scene.sh("app", "echo mine > /data/seed; echo more > /data/more");
    scene.ok(&["down", "-t", "0"]);
    let volume = scene.root().join("volumes/t_data");
    assert_eq!(fs_err::metadata(&volume).unwrap().uid(), 1000);
    scene.ok(&["up", "-d"]);
    assert_eq!(scene.sh("app", "cat /data/seed /data/more"), "mine\nmore\n");
    scene.ok(&["down", "-v", "-t", "0"]);
    assert!(!volume.exists());
    scene.ok(&["up", "-d"]);
    assert_eq!(scene.sh("app", "cat /data/seed"), "seed\n");
}

#[test]
fn a_volume_without_a_name_survives_its_containers_replacement() {
    let scene = Scene::new("services:\n  app: {image: busybox, volumes: ['/data']}\n");
    scene.ok(&["up", "-d"]);
    scene.sh("app", "echo mine > /data/seed");
    scene.write("services:\n  app: {image: busybox, volumes: ['/data'], environment: [X=1]}\n");
    scene.ok(&["up", "-d", "-t", "0"]);
    assert_eq!(scene.sh("app", "cat /data/seed; echo $X"), "mine\n1\n");
    scene.ok(&["down", "-t", "0"]);
    assert_eq!(
        fs_err::read_dir(scene.root().join("volumes"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn binds_tmpfs_secrets_and_configs() {
    let scene = Scene::new(
        "services:\n  app:\n    image: busybox\n    user: '1000:1000'\n    volumes: ['./src:/src', './made/here:/made:ro']\n    tmpfs: ['/scratch:size=1m,mode=1777']\n    secrets: [token, {source: inline, target: /etc/inline, uid: '1000', mode: 0400}]\n    configs: [{source: motd, target: /etc/motd}]\n    environment: {A: $$literal, B: '${PORT}', HOME: /src}\n    env_file: app.env\n    working_dir: /src\n    hostname: somewhere\n    extra_hosts: ['db.example:10.1.2.3']\n    read_only: true\n\
         secrets: {token: {file: ./token.txt}, inline: {environment: PORT}}\nconfigs: {motd: {content: 'welcome'}}\n",
    );
    let project = scene.path("t");
    fs_err::create_dir(project.join("src")).unwrap();
    fs_err::write(project.join("src/file"), "from the host").unwrap();
    fs_err::write(project.join("token.txt"), "s3cret").unwrap();
    fs_err::write(
        project.join("app.env"),
        "FROM_FILE='yes # no'\nA=overridden\n",
    )
    .unwrap();
    scene.ok(&["up", "-d"]);
    let port = scene.port;
    assert_eq!(
        scene.sh("app", "cat file /run/secrets/token /etc/inline /etc/motd"),
        format!("from the hosts3cret{port}welcome")
    );
    assert_eq!(
        scene.sh("app", "echo $A $B $FROM_FILE; pwd; hostname; id -u"),
        format!("$literal {port} yes # no\n/src\nsomewhere\n1000\n")
    );
    assert_eq!(
        scene.sh(
            "app",
            "stat -c '%u %a' /etc/inline; grep -c 10.1.2.3 /etc/hosts; touch /scratch/x"
        ),
        "1000 400\n1\n"
    );
    assert!(project.join("made/here").is_dir());
    for forbidden in ["touch /x", "touch /made/x", "echo x > /run/secrets/token"] {
        assert_ne!(
            scene
                .run(&["exec", "-T", "app", "sh", "-c", forbidden])
                .code,
            0,
            "{forbidden}"
        );
    }
    // The keeper's state is on disk; a secret's value in it is readable by its owner only.
    let state = scene.root().join("stacks/t/state.json");
    assert_eq!(fs_err::metadata(state).unwrap().mode() & 0o077, 0);
}

#[test]
fn a_missing_bind_or_secret_is_named() {
    let scene = Scene::new(
        "services:\n  a: {image: busybox, volumes: [{type: bind, source: ./nowhere, target: /x}]}\n  b: {image: busybox, secrets: [s]}\nsecrets: {s: {file: ./missing.txt}}\n",
    );
    let said = scene.run(&["up", "-d"]);
    assert_eq!(said.code, 1);
    assert!(
        said.err.contains("bind source `") && said.err.contains("/nowhere` does not exist"),
        "{}",
        said.err
    );
    assert!(
        said.err.contains("secret `s`: `") && said.err.contains("missing.txt` does not exist"),
        "{}",
        said.err
    );
}
