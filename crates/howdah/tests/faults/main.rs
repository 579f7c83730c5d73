//! Commands that are killed, builds beside builds, full disks, damaged files: the store stays whole and nothing is done twice.
#![expect(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "the whole crate is tests, and a test fails by panicking"
)]

mod concurrent;
mod damaged;
mod full;
mod killed;
mod limits;
#[path = "../../../howdah-image/tests/registry/server.rs"]
#[expect(dead_code, reason = "the tests of registries use more of it")]
mod server;
mod swept;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A store and a build context with a static shell in it.
pub(crate) struct Scene {
    directory: tempfile::TempDir,
}

impl Scene {
    pub(crate) fn new() -> Scene {
        let scene = Scene {
            directory: tempfile::tempdir().unwrap(),
        };
        fs_err::create_dir(scene.path("context")).unwrap();
        fs_err::copy("/bin/busybox", scene.path("context/busybox")).unwrap();
        scene
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file of the context.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path("context").join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    /// A `howdah` command line on the scene's store, in the context.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_howdah"));
        command
            .args(arguments)
            .current_dir(self.path("context"))
            .env("HOWDAH_ROOT", self.path("store"))
            .stdin(Stdio::null());
        command
    }

    /// Runs a command that must succeed; what it says.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        said
    }

    /// Builds `file` and reads `name` of the result.
    pub(crate) fn built(&self, file: &str, name: &str) -> String {
        let result = tempfile::tempdir_in(self.directory.path()).unwrap();
        let output = format!("type=local,dest={}", result.path().display());
        self.run(&["build", "--progress=plain", "-f", file, "-o", &output, "."]);
        fs_err::read_to_string(result.path().join(name)).unwrap()
    }

    /// What the store still holds of commands that have ended: staging directories, mounts, processes.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let store = self.path("store");
        let mounts = fs_err::read_to_string("/proc/mounts").unwrap();
        let mounts = mounts
            .lines()
            .filter(|line| line.contains(store.to_str().unwrap()));
        let staged = fs_err::read_dir(store.join("tmp")).unwrap();
        // A name with a dot is a lock, not something staged.
        let staged = staged.map(|entry| entry.unwrap().file_name().display().to_string());
        let staged = staged.filter(|name| !name.starts_with('.'));
        mounts.map(str::to_owned).chain(staged).collect()
    }
}

/// Runs a command that must succeed.
pub(crate) fn succeeded(command: &mut Command) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success(), "{text}");
}

/// A number in `0..1` that falls everywhere over many `round`s: the fractions of the golden ratio's multiples.
pub(crate) fn spread(round: u32) -> f64 {
    (f64::from(round) * 0.618_033_988_749_895).fract()
}

/// Whether some process other than this one has `directory` in its command line.
pub(crate) fn is_in_use(directory: &Path) -> bool {
    let needle = directory.to_str().unwrap().as_bytes();
    let own = std::process::id().to_string();
    fs_err::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| !path.ends_with(&own))
        .filter_map(|path| fs_err::read(path.join("cmdline")).ok())
        .any(|line| line.windows(needle.len()).any(|part| part == needle))
}
