//! The helper of one container: a single-threaded process, the only caller of libcontainer, the parent of the container's
//! first process.

mod bundle;
mod capabilities;
mod container;
mod device_filter;
mod devices;
mod exec;
mod files;
mod launch;
mod log;
mod mounts;
mod prepare;
mod reaper;
mod recorder;
mod relay;
mod root;
mod seccomp;
mod streams;
mod stubs;
mod supervise;
mod user;
mod visible;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use nix::sys::stat::Mode;
use nix::unistd::{ForkResult, fork, setgroups, setsid};

use crate::protocol::{Failure, Reply, Request, Step, Task};
use crate::{rootless, socket};
use streams::Given;

/// The role [`crate::HELPER_ROLE`]; `arguments` are those after it. To be called before any thread exists.
///
/// The exit code is nobody's business: all that is to be said goes through the socket that is the standard input.
pub fn helper(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let name = arguments.next().unwrap_or_default();
    let Some(task) = Task::ALL.into_iter().find(|task| name == task.name()) else {
        return ExitCode::FAILURE;
    };
    match prepare(task).and_then(|caller| serve(&caller)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Makes this process a fit parent of a container: nothing of the caller's may reach it by inheritance.
fn prepare(task: Task) -> io::Result<UnixStream> {
    let caller = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    caller.peer_addr()?;
    let null = fs_err::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    if task == Task::Start {
        leave_family()?;
    }
    // Ctrl-C on the caller's terminal is the caller's to handle. We are no group's leader, so this cannot fail.
    setsid()?;
    std::env::set_current_dir("/")?;
    nix::sys::stat::umask(Mode::from_bits_truncate(0o022));
    // Group memberships are the caller's; libcontainer leaves them when the container has none.
    if rootless::may_set_groups() {
        setgroups(&[])?;
    }
    Ok(caller)
}

/// A container that outlives the caller is no child of it, which would have to wait for it.
fn leave_family() -> io::Result<()> {
    // SAFETY: no thread exists in this role, so no lock can be held by another at the fork.
    match unsafe { fork() }? {
        ForkResult::Child => Ok(()),
        // SAFETY: the child goes on with everything; this process must end without running anything twice.
        ForkResult::Parent { .. } => unsafe { nix::libc::_exit(0) },
    }
}

fn serve(caller: &UnixStream) -> io::Result<()> {
    let Some((request, descriptors)) = socket::receive::<Request>(caller)? else {
        return Ok(());
    };
    let done = match request {
        Request::Run {
            state,
            spec,
            streams,
        } => Given::new(streams, descriptors)
            .and_then(|given| supervise::run(&state, &spec, given, caller)),
        Request::Start { state, spec, log } => supervise::start(&state, &spec, &log, caller),
        Request::Exec {
            state,
            id,
            process,
            streams,
        } => Given::new(streams, descriptors)
            .and_then(|given| exec::exec(&state, &id, &process, given, caller)),
    };
    match done {
        Ok(()) => Ok(()),
        Err(failure) => socket::send(caller, &Reply::Failed(failure), &[]),
    }
}

/// Tells the caller that the program has been executed. A caller that has died is noticed when it is waited for.
fn tell_started(caller: &UnixStream, terminal: Option<&OwnedFd>) -> Result<(), Failure> {
    let descriptors: Vec<_> = terminal.iter().map(AsFd::as_fd).collect();
    match socket::send(caller, &Reply::Started, &descriptors) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).step("answer the caller")
        }
        _ => Ok(()),
    }
}
