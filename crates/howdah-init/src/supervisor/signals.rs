//! The signals sent to us: which we take, how we read them, and what each of them asks for.

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// `ssi_code` of a signal the kernel made, such as Ctrl-C on a terminal (sigaction(2), `SI_KERNEL`).
const SI_KERNEL: i32 = 0x80;

/// What one signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// A graceful stop.
    Stop(Signal),
    /// An end to a stop under way: the second Ctrl-C.
    Cut,
    /// To be passed on to every program.
    Forward(Signal),
    /// Children have ended.
    Reap,
}

/// What decides about a signal's meaning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances {
    /// A person sits at our terminal.
    pub(crate) terminal: bool,
    /// A stop is under way.
    pub(crate) draining: bool,
}

const STOPPING: [Signal; 4] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGWINCH,
];
const FORWARDED: [Signal; 4] = [
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGCONT,
];

/// Blocks the signals we take and gives the descriptor they are read from.
///
/// Blocked signals are queued even where PID 1 would ignore them (signal(7); `pid_namespaces(7)`).
pub(crate) fn take() -> nix::Result<SignalFd> {
    let mut taken = SigSet::empty();
    taken.add(Signal::SIGCHLD);
    taken.extend(STOPPING);
    taken.extend(FORWARDED);
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&taken), None)?;
    SignalFd::with_flags(&taken, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

/// All signals that wait to be read, as requests.
pub(crate) fn read(descriptor: &SignalFd, now: Circumstances) -> nix::Result<Vec<Request>> {
    let mut requests = Vec::new();
    while let Some(info) = descriptor.read_signal()? {
        let number = i32::try_from(info.ssi_signo).unwrap_or_default();
        if let Ok(signal) = Signal::try_from(number) {
            requests.extend(request(signal, info.ssi_code == SI_KERNEL, now));
        }
    }
    Ok(requests)
}

/// What `signal` asks for, if anything.
fn request(signal: Signal, from_kernel: bool, now: Circumstances) -> Option<Request> {
    match signal {
        Signal::SIGCHLD => Some(Request::Reap),
        // A second TERM is an impatient orchestrator; only a person at the terminal may cut the drain short.
        Signal::SIGINT if now.draining && (from_kernel || now.terminal) => Some(Request::Cut),
        // The official Apache images have STOPSIGNAL SIGWINCH. On a terminal it only says that the window has changed.
        Signal::SIGWINCH if from_kernel || now.terminal => None,
        other if STOPPING.contains(&other) => Some(Request::Stop(other)),
        other if FORWARDED.contains(&other) => Some(Request::Forward(other)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_person_cuts_a_drain_short() {
        let quiet = Circumstances {
            terminal: false,
            draining: false,
        };
        let draining = Circumstances {
            terminal: false,
            draining: true,
        };
        assert_eq!(
            request(Signal::SIGTERM, false, quiet),
            Some(Request::Stop(Signal::SIGTERM))
        );
        assert_eq!(
            request(Signal::SIGTERM, false, draining),
            Some(Request::Stop(Signal::SIGTERM))
        );
        assert_eq!(
            request(Signal::SIGINT, false, draining),
            Some(Request::Stop(Signal::SIGINT))
        );
        assert_eq!(request(Signal::SIGINT, true, draining), Some(Request::Cut));
        assert_eq!(
            request(
                Signal::SIGINT,
                false,
                Circumstances {
                    terminal: true,
                    ..draining
                }
            ),
            Some(Request::Cut)
        );
        assert_eq!(
            request(Signal::SIGINT, true, quiet),
            Some(Request::Stop(Signal::SIGINT))
        );
    }

    #[test]
    fn winch_stops_only_without_a_terminal() {
        let quiet = Circumstances {
            terminal: false,
            draining: false,
        };
        assert_eq!(
            request(Signal::SIGWINCH, false, quiet),
            Some(Request::Stop(Signal::SIGWINCH))
        );
        assert_eq!(request(Signal::SIGWINCH, true, quiet), None);
        assert_eq!(
            request(
                Signal::SIGWINCH,
                false,
                Circumstances {
                    terminal: true,
                    ..quiet
                }
            ),
            None
        );
        assert_eq!(
            request(Signal::SIGUSR2, false, quiet),
            Some(Request::Forward(Signal::SIGUSR2))
        );
    }
}
