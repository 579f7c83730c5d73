//! A process in a container at this terminal: raw mode, window size, signals, exit code.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::fd::AsFd;
use std::process::ExitCode;

use howdah_runtime::{Exit, Running, Stdio};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use super::super::CommandError;

/// How the process is joined to this terminal: one of its own when both ends are terminals.
pub(crate) fn stdio(terminal: bool) -> Stdio {
    if terminal {
        Stdio::Terminal
    } else {
        Stdio::Inherit
    }
}

/// Whether `exec` and `run` give the process a terminal when nothing is said: as Compose does, when we have one.
pub(crate) fn wants_terminal(no_tty: bool) -> bool {
    !no_tty && io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Raw mode, taken back when it goes out of scope, whatever happened.
struct RawMode {
    before: Termios,
}

impl RawMode {
    fn enter() -> Option<Self> {
        let before = tcgetattr(io::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Flush, &raw).ok()?;
        Some(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
    }
}

/// Signals a person or a supervisor sends us are the process's; a changed window too.
fn watch_signals() -> Result<SignalFd, CommandError> {
    let mut set = SigSet::empty();
    for signal in [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGWINCH,
    ] {
        set.add(signal);
    }
    nix::sys::signal::sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
    Ok(SignalFd::with_flags(
        &set,
        SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK,
    )?)
}

/// Joins a process to this terminal until it ends.
pub(crate) fn attend(mut running: Running) -> Result<Exit, CommandError> {
    let signals = watch_signals()?;
    let master = running.terminal.take();
    let _raw = master.as_ref().and_then(|_| RawMode::enter());
    let mut relay = Relay {
        running,
        signals,
        master: master.map(File::from),
        is_input_open: true,
    };
    relay.resize();
    relay.run()
}

struct Relay {
    running: Running,
    signals: SignalFd,
    master: Option<File>,
    is_input_open: bool,
}

impl Relay {
    fn run(&mut self) -> Result<Exit, CommandError> {
        loop {
            let [ended, signalled, output, input] = self.wait()?;
            if signalled {
                self.pass_signals()?;
            }
            if output {
                self.pass_output();
            }
            if input {
                self.pass_input();
            }
            if ended && !output {
                while self.master.is_some() && self.wait()?[2] {
                    self.pass_output();
                }
                return Ok(self.running.wait()?);
            }
        }
    }

    /// Which of process, signals, terminal output and our input want attention.
    fn wait(&self) -> Result<[bool; 4], CommandError> {
        let stdin = io::stdin();
        let mut descriptors = vec![
            PollFd::new(&self.running, PollFlags::IN),
            PollFd::new(&self.signals, PollFlags::IN),
        ];
        if let Some(master) = &self.master {
            descriptors.push(PollFd::from_borrowed_fd(master.as_fd(), PollFlags::IN));
            if self.is_input_open {
                descriptors.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN));
            }
        }
        match poll(&mut descriptors, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok([false; 4]),
            Err(errno) => return Err(io::Error::from(errno).into()),
        }
        let mut ready = [false; 4];
        for (ready, descriptor) in ready.iter_mut().zip(&descriptors) {
            *ready = !descriptor.revents().is_empty();
        }
        Ok(ready)
    }

    fn pass_signals(&mut self) -> Result<(), CommandError> {
        while let Some(signal) = self.signals.read_signal()? {
            let number = i32::try_from(signal.ssi_signo).unwrap_or_default();
            if number == Signal::SIGWINCH as i32 {
                self.resize();
            } else {
                self.running.kill(number)?;
            }
        }
        Ok(())
    }

    fn resize(&self) {
        if let Some(master) = &self.master
            && let Ok(size) = tcgetwinsize(io::stdout())
        {
            // A process that has ended has no window.
            let _ = tcsetwinsize(master, size);
        }
    }

    fn pass_output(&mut self) {
        let Some(master) = &mut self.master else {
            return;
        };
        let mut buffer = [0u8; 16 << 10];
        // EIO: the last process on the other side has closed its terminal (pty(7)).
        match master.read(&mut buffer) {
            Ok(0) | Err(_) => self.master = None,
            Ok(length) => {
                let mut stdout = io::stdout().lock();
                drop(
                    stdout
                        .write_all(&buffer[..length])
                        .and_then(|()| stdout.flush()),
                );
            }
        }
    }

    fn pass_input(&mut self) {
        let Some(master) = &mut self.master else {
            return;
        };
        let mut buffer = [0u8; 4096];
        match rustix::io::read(io::stdin(), &mut buffer) {
            Ok(0) | Err(_) => self.is_input_open = false,
            Ok(length) => drop(master.write_all(&buffer[..length])),
        }
    }
}

/// A process's exit code as ours.
pub(crate) fn code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(255))
}
