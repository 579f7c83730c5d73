//! Signals as events: blocked everywhere, taken one by one by a thread of their own.

use std::sync::mpsc::Sender;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};

use super::super::CommandError;

/// Blocks the signals that ask a command to end. To be called before other threads are started: they inherit the mask.
pub(crate) fn block() -> Result<SigSet, CommandError> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        set.add(signal);
    }
    nix::sys::signal::sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
    Ok(set)
}

/// Sends `make(signal)` for each blocked signal, until nobody listens.
pub(crate) fn forward<T: Send + 'static>(set: SigSet, sender: Sender<T>, make: fn(Signal) -> T) {
    std::thread::spawn(move || {
        while let Ok(signal) = set.wait() {
            if sender.send(make(signal)).is_err() {
                return;
            }
        }
    });
}

/// The exit code of a command a signal ended, as a shell has it.
pub(crate) fn exit_code(signal: Signal) -> std::process::ExitCode {
    std::process::ExitCode::from(u8::try_from(128 + signal as i32).unwrap_or(1))
}
