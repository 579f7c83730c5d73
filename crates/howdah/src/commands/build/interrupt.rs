//! Ctrl-C and SIGTERM: the first stops the build gracefully, the second now.

use howdah_build::Cancel;
use nix::sys::signal::{SigSet, Signal, raise};

use crate::commands::CommandError;

/// A cancel that the next signal fires. To be called before any other thread is started, since threads inherit the
/// signal mask; programs that are executed do not (`std::process` gives them an empty one).
pub(super) fn cancel_on_signal() -> Result<Cancel, CommandError> {
    let cancel = Cancel::default();
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    let failed = |errno| CommandError::new(format!("cannot watch for signals: {errno}"));
    signals.thread_block().map_err(failed)?;
    let watched = cancel.clone();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || watch(signals, &watched))?;
    Ok(cancel)
}

fn watch(signals: SigSet, cancel: &Cancel) {
    let Ok(first) = signals.wait() else { return };
    cancel.cancel();
    if signals.wait().is_ok() && signals.thread_unblock().is_ok() {
        // Its default action ends the process; the kernel and the next command clean up.
        let _ = raise(first);
    }
}
