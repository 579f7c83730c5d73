//! Builds as an ordinary user: the real binary in a real user namespace, by users made for the test.
#![expect(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "the whole crate is tests, and a test fails by panicking"
)]

#[path = "../support/user.rs"]
mod user;

mod container;
mod ranges;
mod single;

use std::path::Path;
use std::process::Command;

use user::User;

/// A root filesystem of busybox alone, with a user `app`.
const BASE: &str = r#"FROM scratch AS base
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN mkdir -p /etc /d/sub && echo root:x:0:0::/root:/bin/sh > /etc/passwd && echo app:x:1000:1000::/:/bin/sh >> /etc/passwd
"#;

/// A context of busybox, a file and a Dockerfile: [`BASE`] and these steps.
pub(crate) fn context(user: &User, name: &str, steps: &str) {
    let directory = user.path(name);
    fs_err::create_dir(&directory).unwrap();
    fs_err::copy("/bin/busybox", directory.join("busybox")).unwrap();
    fs_err::write(directory.join("file"), "content\n").unwrap();
    fs_err::write(directory.join("Dockerfile"), format!("{BASE}{steps}")).unwrap();
    user.give(&directory);
}

/// Runs a command that must succeed; gives its stdout and stderr together.
pub(crate) fn succeed(command: &mut Command) -> String {
    let (success, output) = told(command);
    assert!(success, "{command:?}\n{output}");
    output
}

/// Runs a command that must fail; gives its stdout and stderr together.
pub(crate) fn fail(command: &mut Command) -> String {
    let (success, output) = told(command);
    assert!(!success, "{command:?} must fail\n{output}");
    output
}

fn told(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// `howdah` as root, on a store of its own.
pub(crate) fn howdah_as_root(store: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_howdah"));
    command.args(arguments).env("HOWDAH_ROOT", store);
    command
}
