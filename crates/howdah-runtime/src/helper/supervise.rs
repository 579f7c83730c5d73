//! Waiting on a container: for its end, for its output, for its caller.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::container::{Live, launch};
use super::log::{Log, Stream};
use super::recorder::Recorder;
use super::streams::Given;
use super::tell_started;
use crate::cgroup::Version;
use crate::process::signal_from_number;
use crate::protocol::{Command, Failure, Reply, Step};
use crate::{ContainerSpec, Exit, Usage, socket};

/// Runs an attached container to its end. When its exit is told, what it wrote is as it stays; what remains besides is cleared away
/// after that, because nobody has to wait for it.
pub(super) fn run(
    state: &Path,
    spec: &ContainerSpec,
    given: Given,
    caller: &UnixStream,
) -> Result<(), Failure> {
    let mut live = launch(state, spec, given, true)?;
    let terminal = live.terminal.take();
    tell_started(caller, terminal.as_ref())?;
    // The caller has the master end now; with a copy here it would never hang up.
    drop(terminal);
    let code = attend(live.pid, Some(caller), None).step("wait for the container")?;
    let exit = exit(&live, code);
    live.remains.tidy_upper();
    tell_exit(caller, exit)?;
    live.remains
        .clear()?
        .remove()
        .step("remove the container's record")
}

/// Starts a container that outlives the caller, and keeps it to its end.
pub(super) fn start(
    state: &Path,
    spec: &ContainerSpec,
    log: &Path,
    caller: &UnixStream,
) -> Result<(), Failure> {
    let log = Log::open(log, spec.log).step(&format!("open the log `{}`", log.display()))?;
    let mut recorder = Recorder::new(log);
    let given = if spec.terminal {
        Given::Terminal
    } else {
        recorder
            .streams(spec.stdin)
            .step("make pipes for the container's output")?
    };
    let mut live = launch(state, spec, given, false)?;
    if let Some(terminal) = live.terminal.take() {
        recorder.add(terminal, Stream::Stdout);
    }
    tell_started(caller, None)?;
    // The caller has been told everything: it sees the end of the conversation now.
    caller.shutdown(std::net::Shutdown::Both).ok();
    let code = attend(live.pid, None, Some(&mut recorder)).step("wait for the container")?;
    recorder.drain();
    let exit = exit(&live, code);
    live.remains
        .entry
        .write_exit(&exit)
        .step("record the container's exit")?;
    live.remains
        .clear()?
        .trim()
        .step("trim the container's record")
}

/// Tells the exit. A caller that has died does not want to know.
pub(super) fn tell_exit(caller: &UnixStream, exit: Exit) -> Result<(), Failure> {
    match socket::send(caller, &Reply::Exited(exit), &[]) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).step("answer the caller")
        }
        _ => Ok(()),
    }
}

/// Waits for a child's end and gives its exit code. Meanwhile copies output, and obeys the caller, whose death kills it.
pub(super) fn attend(
    pid: Pid,
    mut caller: Option<&UnixStream>,
    mut recorder: Option<&mut Recorder>,
) -> io::Result<i32> {
    let number = rustix::process::Pid::from_raw(pid.as_raw()).ok_or(io::ErrorKind::InvalidInput)?;
    // Ours and not yet waited for, so the number is still its.
    let process = pidfd_open(number, PidfdFlags::empty())?;
    loop {
        let ready = wait_for_events(process.as_fd(), caller, recorder.as_deref())?;
        if let Some(recorder) = &mut recorder {
            recorder.copy(&ready.outputs);
        }
        if ready.ended {
            return collect(pid);
        }
        if let Some(socket) = caller.filter(|_| ready.spoken) {
            match socket::receive::<Command>(socket) {
                Ok(Some((Command::Signal(number), _))) => {
                    signal(&process, signal_from_number(number))?;
                }
                Ok(None) | Err(_) => {
                    signal(&process, Some(Signal::KILL))?;
                    caller = None;
                }
            }
        }
    }
}

#[derive(Debug, Default)]
struct Ready {
    ended: bool,
    spoken: bool,
    /// Which of the recorder's outputs have something to read, or have ended.
    outputs: Vec<bool>,
}

fn wait_for_events(
    process: BorrowedFd<'_>,
    caller: Option<&UnixStream>,
    recorder: Option<&Recorder>,
) -> io::Result<Ready> {
    let mut descriptors = vec![process];
    descriptors.extend(caller.map(AsFd::as_fd));
    let outputs = descriptors.len();
    descriptors.extend(recorder.into_iter().flat_map(Recorder::descriptors));
    let mut polled: Vec<PollFd<'_>> = descriptors
        .iter()
        .map(|descriptor| PollFd::from_borrowed_fd(*descriptor, PollFlags::IN))
        .collect();
    while let Err(error) = poll(&mut polled, None) {
        if error != rustix::io::Errno::INTR {
            return Err(error.into());
        }
    }
    let ready: Vec<bool> = polled
        .iter()
        .map(|entry| !entry.revents().is_empty())
        .collect();
    Ok(Ready {
        ended: ready[0],
        spoken: caller.is_some() && ready[1],
        outputs: ready[outputs..].to_vec(),
    })
}

fn signal(process: &OwnedFd, signal: Option<Signal>) -> io::Result<()> {
    match signal.map(|signal| pidfd_send_signal(process, signal)) {
        // Ended meanwhile, as the next look will tell.
        None | Some(Ok(()) | Err(rustix::io::Errno::SRCH)) => Ok(()),
        Some(Err(error)) => Err(error.into()),
    }
}

fn collect(pid: Pid) -> io::Result<i32> {
    loop {
        match waitpid(pid, None) {
            Ok(WaitStatus::Exited(_, code)) => return Ok(code),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(128 + signal as i32),
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn exit(live: &Live, code: i32) -> Exit {
    let (usage, oom_killed) = match live.remains.cgroup.version {
        Version::Foreign => (usage_of_children(), false),
        _ => live.remains.cgroup.usage(),
    };
    Exit {
        code,
        oom_killed,
        started: live.started.at,
        finished: Timestamp::now(),
        usage,
    }
}

/// What the container's processes used, as far as their parents waited for them, and what it took to create it: all there is
/// without control groups. The memory is that of the largest process.
fn usage_of_children() -> Usage {
    let Ok(used) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
        return Usage::default();
    };
    let time = |time: TimeVal| {
        let seconds = time.tv_sec().unsigned_abs();
        Duration::from_secs(seconds) + Duration::from_micros(time.tv_usec().unsigned_abs())
    };
    Usage {
        cpu: time(used.user_time()) + time(used.system_time()),
        peak_memory_bytes: used.max_rss().unsigned_abs() * 1024,
    }
}
