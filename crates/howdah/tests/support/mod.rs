//! What the end-to-end tests and the benchmark share: a copy of the example with a store of its own, and commands on it.

pub(crate) mod docker;
pub(crate) mod project;

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

/// Waits without doing anything; tests poll outside parts that give no event.
#[expect(
    clippy::disallowed_methods,
    reason = "tests poll outside programs, which give no event to wait for"
)]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Polls `condition` until it gives a value; panics with `what` after `limit`.
pub(crate) fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}");
        pause(Duration::from_millis(200));
    }
}

/// Runs a command that must succeed and returns its stdout.
pub(crate) fn output(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{}", told(command, &output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command that must fail and returns its stdout and stderr together.
pub(crate) fn failure(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    assert!(
        !output.status.success(),
        "must fail\n{}",
        told(command, &output)
    );
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn told(command: &Command, output: &Output) -> String {
    let signal = output
        .status
        .signal()
        .map(|number| format!(" (signal {number})"))
        .unwrap_or_default();
    format!(
        "{command:?}: {}{signal}\n--- stdout\n{}\n--- stderr\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Asks a child to end, and ends it after `limit`.
pub(crate) fn terminate(child: &mut Child, limit: Duration) {
    let pid = rustix::process::Pid::from_child(child);
    let deadline = Instant::now() + limit;
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() > deadline {
            drop(child.kill());
            drop(child.wait());
            return;
        }
        pause(Duration::from_millis(50));
    }
}
