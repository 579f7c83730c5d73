//! Images for several platforms from the command line: built, run under Debian's QEMU, let out in every form, and taken in.
#![allow(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "this whole program is a test"
)]

mod compose;
mod emulator;
mod inward;
mod outward;
#[path = "../../../howdah-image/tests/registry/server.rs"]
#[allow(dead_code, reason = "the tests of the library use more of it")]
mod server;
mod steps;

use std::path::PathBuf;
use std::process::{Command, Output};

use howdah_image::Platform;

/// What this machine is, and what it is not; Debian has both.
const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];
const BOTH: &str = "linux/amd64,linux/arm64";
/// The command line that makes it.
const BUILD_BASE: [&str; 7] = ["build", "-q", "-t", "base:1", "--platform", BOTH, "base"];

/// A directory with a build context and a store, in which `base:1` is a busybox for both platforms.
struct Scene {
    directory: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self::without_images();
        scene.run(&BUILD_BASE);
        scene
    }

    /// Only the context of `base:1`.
    fn without_images() -> Self {
        let scene = Self::empty();
        for platform in PLATFORMS {
            let root = scene.path("base").join(platform);
            for name in ["bin", "dev", "proc", "sys", "tmp"] {
                fs_err::create_dir_all(root.join(name)).unwrap();
            }
            fs_err::copy(emulator::busybox(platform), root.join("bin/busybox")).unwrap();
            for applet in ["sh", "cat", "echo", "uname", "true"] {
                fs_err::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
            }
        }
        let text = "FROM scratch\nARG TARGETPLATFORM\nCOPY $TARGETPLATFORM /\nENV PATH=/bin\nCMD [\"sh\"]\n";
        fs_err::write(scene.path("base/Dockerfile"), text).unwrap();
        scene
    }

    fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(directory.path().join("context")).unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs_err::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs_err::read_to_string(self.path(name)).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_howdah"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .env("HOME", self.directory.path())
            .env("HOWDAH_ROOT", self.path("store"))
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// Standard output of a command that must work.
    fn run(&self, arguments: &[&str]) -> String {
        succeeded(&mut self.command(arguments))
    }

    /// Standard error of a command that must fail.
    fn fail(&self, arguments: &[&str]) -> String {
        failed(&mut self.command(arguments))
    }

    /// Builds a Dockerfile in `context`.
    fn build(&self, dockerfile: &str, arguments: &[&str]) -> String {
        self.write("context/Dockerfile", dockerfile);
        self.run(&[&["build", "-q", "--network=none"], arguments, &["context"]].concat())
    }

    /// The message of a build that must fail.
    fn fail_to_build(&self, dockerfile: &str, arguments: &[&str]) -> String {
        self.write("context/Dockerfile", dockerfile);
        self.fail(&[&["build", "-q", "--network=none"], arguments, &["context"]].concat())
    }

    /// The architecture of an image of the store.
    fn architecture(&self, name: &str, arguments: &[&str]) -> String {
        let text = self.run(&[&["image", "inspect", name], arguments].concat());
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        document[0]["Architecture"].as_str().unwrap().to_owned()
    }
}

fn succeeded(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", told(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn failed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{command:?}: {}", told(&output));
    String::from_utf8(output.stderr).unwrap()
}

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// The tests are written for one kind of machine, which is the one that Howdah is for.
#[test]
fn this_machine_is_the_first() {
    assert_eq!(Platform::default().to_string(), PLATFORMS[0]);
}
