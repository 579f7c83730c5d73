//! `login`, `logout`, `push` and `pull` as people type them, against Debian's `docker-registry`.
#![allow(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "this whole program is a test"
)]

#[path = "../../../howdah-image/tests/registry/server.rs"]
#[allow(dead_code, reason = "the tests of the library use more of it")]
mod server;

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

use server::Server;

/// A user's home, a store, and an image `FROM scratch`.
struct Scene {
    home: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let context = home.path().join("context");
        fs_err::create_dir(&context).unwrap();
        fs_err::write(
            context.join("Dockerfile"),
            "FROM scratch\nCOPY Dockerfile /\n",
        )
        .unwrap();
        fs_err::create_dir(home.path().join("bin")).unwrap();
        Self { home }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.home.path().join(name)
    }

    fn howdah(&self, arguments: &[&str], input: &str) -> Output {
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        let mut child = Command::new(env!("CARGO_BIN_EXE_howdah"))
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("HOWDAH_ROOT", self.path("store"))
            .env("PATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap()
    }

    /// Standard output of a command that must work.
    fn run(&self, arguments: &[&str], input: &str) -> String {
        let output = self.howdah(arguments, input);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Standard error of a command that must fail.
    fn fail(&self, arguments: &[&str], input: &str) -> String {
        let output = self.howdah(arguments, input);
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn build(&self, name: &str) {
        let context = self.path("context");
        self.run(&["build", "-q", "-t", name, context.to_str().unwrap()], "");
    }

    fn config(&self) -> String {
        fs_err::read_to_string(self.path(".docker/config.json")).unwrap()
    }
}

#[test]
fn login_push_pull_logout() {
    let server = Server::with_login();
    let scene = Scene::new();
    let name = server.reference("acme/web:1").to_string();
    scene.build(&name);
    let login = format!("howdah login {}", server.address);
    let denied = scene.fail(&["push", &name], "");
    assert!(
        denied.contains("denies access") && denied.contains(&login),
        "{denied}"
    );
    let arguments = ["login", "-u", "user", "--password-stdin", &server.address];
    let refused = scene.fail(&arguments, "wrong\n");
    assert!(refused.contains("denies access"), "{refused}");
    assert_eq!(scene.run(&arguments, "secret\n"), "Login Succeeded\n");
    let mode = scene
        .path(".docker/config.json")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    scene.run(&["push", &name], "");
    scene.run(&["image", "rm", &name], "");
    scene.run(&["pull", &name], "");
    let out = scene.run(&["logout", &server.address], "");
    assert_eq!(
        out,
        format!("Removing login credentials for {}\n", server.address)
    );
    scene.fail(&["pull", &name], "");
    let out = scene.run(&["logout", &server.address], "");
    assert_eq!(out, format!("Not logged in to {}\n", server.address));
}

#[test]
fn a_credential_helper_keeps_the_login() {
    // Keeps one login in a file, by the protocol of docker-credential-helpers.
    const HELPER: &str = r#"#!/bin/sh
kept=$HOME/kept
case $1 in
store) cat > "$kept" ;;
get) read -r server
     if [ -f "$kept" ]; then cat "$kept"; else echo "credentials not found in native keychain"; exit 1; fi ;;
erase) rm -f "$kept" ;;
esac
"#;
    let server = Server::with_login();
    let scene = Scene::new();
    let helper = scene.path("bin/docker-credential-drawer");
    fs_err::write(&helper, HELPER).unwrap();
    fs_err::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    fs_err::create_dir(scene.path(".docker")).unwrap();
    let text = r#"{"credsStore": "drawer", "psFormat": "table"}"#;
    fs_err::write(scene.path(".docker/config.json"), text).unwrap();
    let name = server.reference("acme/web:1").to_string();
    scene.build(&name);
    scene.run(
        &["login", "-u", "user", "-p", "secret", &server.address],
        "",
    );
    let config = scene.config();
    assert!(
        config.contains("psFormat") && !config.contains("dXNlcjpzZWNyZXQ"),
        "{config}"
    );
    let kept = fs_err::read_to_string(scene.path("kept")).unwrap();
    assert!(
        kept.contains(&server.address) && kept.contains("secret"),
        "{kept}"
    );
    scene.run(&["push", &name], "");
    scene.run(&["logout", &server.address], "");
    assert!(!scene.path("kept").exists());
    scene.fail(&["push", &name], "");
    fs_err::remove_file(helper).unwrap();
    let missing = scene.fail(&["push", &name], "");
    assert!(
        missing.contains("docker-credential-drawer") && missing.contains("hint"),
        "{missing}"
    );
}

#[test]
fn a_build_tells_of_its_base_and_of_a_missing_one() {
    let server = Server::start("");
    let scene = Scene::new();
    let base = server.reference("base:1").to_string();
    scene.build(&base);
    scene.run(&["push", &base], "");
    let other = Scene::new();
    let dockerfile = other.path("context/Dockerfile");
    fs_err::write(&dockerfile, format!("FROM {base}\nCOPY Dockerfile /two\n")).unwrap();
    let context = other.path("context");
    let context = context.to_str().unwrap();
    let built = other.howdah(&["build", context], "");
    let said = String::from_utf8(built.stderr).unwrap();
    assert!(
        built.status.success() && said.contains(&format!("pulling {base}: ")),
        "{said}"
    );
    let missing = server.reference("none:1").to_string();
    fs_err::write(&dockerfile, format!("FROM {missing}\n")).unwrap();
    let said = other.fail(&["build", context], "");
    assert!(
        said.contains("is not in its registry") && said.contains("check the spelling"),
        "{said}"
    );
}

#[test]
fn an_unknown_host_is_told_once() {
    let scene = Scene::new();
    let said = scene.fail(&["pull", "registry.invalid/a:1"], "");
    insta::assert_snapshot!(said, @"
    error: cannot reach the registry `registry.invalid`
      caused by: its name is not known to DNS, or no name server answers
    hint: check the spelling of the registry, and this machine's DNS
    ");
}
