//! Signals to processes, and what has become of them.

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use rustix::process::{WaitId, WaitIdOptions, WaitOptions, wait, waitid};

use crate::ending::Ending;
use crate::program::Reach;

/// Reaps everything that has ended: programs, checks, and the orphans nobody else waits for.
///
/// waitpid(-1): PID 1 adopts orphans, so we reap processes we never started.
pub(crate) fn reap() -> rustix::io::Result<Vec<(i32, Ending)>> {
    let mut ended = Vec::new();
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                let code = status.exit_status().map(Ending::Exited);
                let ending = code.or_else(|| status.terminating_signal().map(Ending::Signalled));
                ended.extend(ending.map(|ending| (pid.as_raw_pid(), ending)));
            }
            Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(ended),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Something is left to wait for. It is only looked at (waitid(2), `WNOWAIT`); `ECHILD` means that nothing is.
pub(crate) fn have_children() -> bool {
    let peek = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::All, peek).is_ok()
}

/// Sends `signal`. `ESRCH` is no error: it ended first, and will be reaped.
pub(crate) fn send(pid: i32, signal: Signal, reach: Reach) {
    let pid = Pid::from_raw(pid);
    let _ = match reach {
        Reach::Leader => kill(pid, signal),
        Reach::Group => killpg(pid, signal),
    };
}

/// The group has a member: kill(2) without a signal says `ESRCH` otherwise.
pub(crate) fn exists(group: i32) -> bool {
    killpg(Pid::from_raw(group), None) != Err(Errno::ESRCH)
}

/// Sends `signal` to everybody in our namespace but ourselves (kill(2), pid -1). Only its PID 1 may ask for that.
pub(crate) fn tell_namespace(signal: Signal) {
    if nix::unistd::getpid().as_raw() == 1 {
        let _ = kill(Pid::from_raw(-1), signal);
    }
}
