//! `--init`: PID 1 of the container that forwards signals to the program, reaps orphans and ends with the program's code.

use std::io;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid, setpgid, tcsetpgrp};

use super::{capabilities, launch};
use crate::protocol::Failure;

/// Forks: the child returns and goes on to execute the program, the parent stays as the reaper and never returns.
pub(super) fn fork_program(uid: u32) -> io::Result<()> {
    // Blocked before the fork, so that no signal is lost. A blocked signal is kept even for PID 1 (signal(7)).
    SigSet::all().thread_set_mask()?;
    // SAFETY: libcontainer's init process has one thread, so no lock can be held by another at the fork.
    match unsafe { fork() }? {
        ForkResult::Child => {
            become_foreground()?;
            launch::reset_signals()
        }
        ForkResult::Parent { child } => {
            close_all_but_streams();
            if uid != 0 {
                // The program's execve(2) takes its capabilities away; the reaper does not execute anything.
                drop_capabilities().ok();
            }
            end(reap(child))
        }
    }
}

/// A process group of its own: keys of the terminal signal the program directly, not once more through the reaper.
fn become_foreground() -> io::Result<()> {
    setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
    let input = io::stdin();
    if rustix::termios::isatty(&input) {
        tcsetpgrp(&input, getpid())?;
    }
    Ok(())
}

fn drop_capabilities() -> Result<(), Failure> {
    let none = capabilities::sets(&capabilities::Names::new())?;
    libcontainer::capabilities::drop_privileges(&none, &libcontainer::syscall::linux::LinuxSyscall)
        .map_err(|error| Failure::setup("drop the reaper's capabilities", &error))
}

fn reap(program: Pid) -> i32 {
    loop {
        let Some(signal) = next_signal() else {
            continue;
        };
        if signal == Signal::SIGCHLD as i32 {
            if let Some(code) = collect(program) {
                return code;
            }
        } else {
            // SAFETY: sends a signal to our own child, which has not been waited for, so the number is still its.
            unsafe { libc::kill(program.as_raw(), signal) };
        }
    }
}

/// Waits for all children that have ended; the program's exit code when it is among them.
fn collect(program: Pid) -> Option<i32> {
    let mut code = None;
    loop {
        match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == program => code = Some(status),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == program => {
                code = Some(128 + signal as i32);
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return code,
            _ => {}
        }
    }
}

/// Takes the next pending signal by its number, so that real-time signals are forwarded too.
fn next_signal() -> Option<i32> {
    let all = SigSet::all();
    // SAFETY: the set is valid for the call; no information about the signal is asked for.
    let signal =
        unsafe { libc::sigwaitinfo(std::ptr::from_ref(all.as_ref()), std::ptr::null_mut()) };
    (signal > 0).then_some(signal)
}

/// The reaper holds copies of the helper's sockets and pipes, whose ends others wait for.
fn close_all_but_streams() {
    // SAFETY: the reaper uses no descriptor but the three standard ones from here to its end, and ends without running
    // destructors that would close these numbers again.
    unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) };
}

fn end(code: i32) -> ! {
    // SAFETY: the destructors and exit handlers are the helper's, not this fork's, and must not run here.
    unsafe { libc::_exit(code) }
}
