//! An ordinary user of this machine, made for a test: with subordinate ids or without, with a directory and a store of its own.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// The ids that a test's user gets. Far above those that useradd(8) hands out.
const RANGE: &str = "1000000000-1000065535";
const PREFIX: &str = "howdah-t";

/// The user; dropped, it is removed with its ids and files.
#[derive(Debug)]
pub(crate) struct User {
    name: String,
    uid: u32,
    gid: u32,
    directory: tempfile::TempDir,
}

impl User {
    /// A user with 65536 subordinate ids.
    pub(crate) fn with_ranges() -> User {
        let user = User::without_ranges();
        user.add_ranges();
        user
    }

    /// Gives it 65536 subordinate ids.
    pub(crate) fn add_ranges(&self) {
        run(Command::new("usermod")
            .args(["--add-subuids", RANGE, "--add-subgids", RANGE])
            .arg(&self.name));
    }

    /// A user that has its own id only.
    pub(crate) fn without_ranges() -> User {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        remove_stale();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        // A system user: those get no ranges by themselves.
        run(Command::new("useradd")
            .args(["--system", "--user-group", "--no-create-home"])
            .arg(&name));
        let (uid, gid) = ids(&name);
        let directory = tempfile::Builder::new()
            .prefix("howdah-user-")
            .tempdir()
            .unwrap();
        // The target directory may be in a home that others may not enter.
        fs_err::copy(
            env!("CARGO_BIN_EXE_howdah"),
            directory.path().join("howdah"),
        )
        .unwrap();
        fs_err::create_dir(directory.path().join("run")).unwrap();
        for path in [directory.path(), &directory.path().join("run")] {
            std::os::unix::fs::chown(path, Some(uid), Some(gid)).unwrap();
            fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
        User {
            name,
            uid,
            gid,
            directory,
        }
    }

    /// A path in the user's directory.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Lets the user have a tree that root made.
    pub(crate) fn give(&self, tree: &Path) {
        run(Command::new("chown")
            .args(["-hR", &format!("{}:{}", self.uid, self.gid)])
            .arg(tree));
    }

    /// `howdah` as this user, in its directory, on its own store.
    pub(crate) fn howdah(&self, arguments: &[&str]) -> Command {
        let mut command = self.surrounded(self.path("howdah"));
        command.args(arguments).uid(self.uid).gid(self.gid);
        command
    }

    /// The same in a mount namespace where the user may use /dev/net/tun, as it may on most machines.
    pub(crate) fn howdah_with_tun(&self, arguments: &[&str]) -> Command {
        let script =
            "mount -t tmpfs tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200 && exec \"$@\"";
        let mut command = self.surrounded("unshare");
        command
            .args(["--mount", "bash", "-c", script, "bash", "setpriv"])
            .args(self.identity())
            .arg(self.path("howdah"))
            .args(arguments);
        command
    }

    /// What makes setpriv(1) execute a program as this user.
    pub(crate) fn identity(&self) -> [String; 3] {
        [
            format!("--reuid={}", self.uid),
            format!("--regid={}", self.gid),
            "--clear-groups".to_owned(),
        ]
    }

    /// A program with this user's environment, in its directory.
    pub(crate) fn surrounded(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .env("HOME", self.directory.path())
            .env("XDG_RUNTIME_DIR", self.path("run"));
        command
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // What a failing test leaves is removed by the next one.
        drop(Command::new("userdel").arg(&self.name).output());
    }
}

/// Users of tests that were killed.
fn remove_stale() {
    let passwd = fs_err::read_to_string("/etc/passwd").unwrap();
    let names = passwd.lines().filter_map(|line| line.split(':').next());
    for name in names {
        let process = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('-'))
            .map(|(process, _)| Path::new("/proc").join(process));
        if process.is_some_and(|process| !process.exists()) {
            drop(Command::new("userdel").arg(name).output());
        }
    }
}

fn ids(name: &str) -> (u32, u32) {
    let passwd = fs_err::read_to_string("/etc/passwd").unwrap();
    let entry = passwd
        .lines()
        .find(|line| line.split(':').next() == Some(name))
        .unwrap();
    let numbers: Vec<u32> = entry
        .split(':')
        .skip(2)
        .take(2)
        .map(|number| number.parse().unwrap())
        .collect();
    (numbers[0], numbers[1])
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
}
