//! Signals that ask a command to end, as events in a thread of their own.

use std::io;
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use super::CommandError;

/// The signals that ask a program to end: Ctrl-C, `kill`, a terminal that is gone.
const ENDING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Takes the signals as long as it lives; between two of them the kernel keeps what comes, so none is lost.
#[derive(Debug)]
pub(crate) struct Watch {
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Calls back for each signal. To be started before any other thread, since threads inherit the signal mask;
    /// programs that are executed do not (`std::process` gives them an empty one).
    pub(crate) fn start(
        on_signal: impl FnMut(Signal) + Send + 'static,
    ) -> Result<Self, CommandError> {
        let set = set();
        let failed =
            |error: io::Error| CommandError::new(format!("cannot watch for signals: {error}"));
        set.thread_block().map_err(|errno| failed(errno.into()))?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC)
            .map_err(|errno| failed(errno.into()))?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(|errno| failed(errno.into()))?;
        let stopped = stop.try_clone().map_err(failed)?;
        let thread = std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || watch(&signals, &stopped, on_signal))
            .map_err(failed)?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Writing one to an event counter cannot block, and its reader has a descriptor of its own.
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn watch(signals: &SignalFd, stop: &OwnedFd, mut on_signal: impl FnMut(Signal)) {
    loop {
        let mut descriptors = [
            PollFd::new(stop, PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
        ];
        if poll(&mut descriptors, None).is_err() {
            continue;
        }
        if !descriptors[0].revents().is_empty() {
            return;
        }
        if let Ok(Some(info)) = signals.read_signal()
            && let Ok(signal) = i32::try_from(info.ssi_signo).unwrap_or_default().try_into()
        {
            on_signal(signal);
        }
    }
}

fn set() -> SigSet {
    ENDING.into_iter().collect()
}

/// Ends the process as the signal would have if nobody had watched: the kernel and the next command clean up.
pub(crate) fn end_by(signal: Signal) {
    if set().thread_unblock().is_ok() {
        let _ = nix::sys::signal::raise(signal);
    }
}

/// The exit code of a command a signal ended, as a shell has it.
pub(crate) fn exit_code(signal: Signal) -> std::process::ExitCode {
    std::process::ExitCode::from(u8::try_from(128 + signal as i32).unwrap_or(1))
}
