//! One more process in a running container.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::rc::Rc;

use jiff::Timestamp;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use nix::unistd::Pid;
use rustix::pipe::{PipeFlags, pipe_with};

use super::container::await_execution;
use super::launch::Launch;
use super::root::Root;
use super::seccomp::Filter;
use super::streams::{Console, Given};
use super::supervise::{attend, tell_exit};
use super::{bundle, capabilities, tell_started, user};
use crate::protocol::{Failure, Step};
use crate::records::{Entry, write};
use crate::{ContainerSpec, ExecSpec, Exit, Seccomp, Usage};

/// Executes a process and waits for it.
pub(super) fn exec(
    state: &Path,
    id: &str,
    process: &ExecSpec,
    given: Given,
    caller: &UnixStream,
) -> Result<(), Failure> {
    let entry = Entry::new(state, id);
    // libcontainer leaves a socket behind for every process; in a directory of its own it is found again.
    let scratch = entry
        .directory()
        .join(format!("exec-{}", std::process::id()));
    let result = attempt(state, &entry, process, given, &scratch, caller);
    // When the container has ended meanwhile, its directory has gone with everything in it.
    fs_err::remove_dir_all(&scratch).ok();
    tell_exit(caller, result?)
}

fn attempt(
    state: &Path,
    entry: &Entry,
    process: &ExecSpec,
    given: Given,
    scratch: &Path,
    caller: &UnixStream,
) -> Result<Exit, Failure> {
    let (spec, container) = running(entry)?;
    let root = Root::open(format!("/proc/{container}/root").as_ref())
        .step("open the container's root filesystem")?;
    let name = process.user.as_deref().unwrap_or(&spec.user);
    let user = user::resolve(&root, name, &spec.groups)?;
    check_directory(&root, process.cwd.as_deref())?;
    let own = scratch.join(&entry.id);
    fs_err::create_dir_all(&own).step("make the process's directory")?;
    let known = entry.libcontainer().join(&entry.id).join("state.json");
    fs_err::copy(known, own.join("state.json")).step("find the container")?;
    let description = scratch.join("process.json");
    write(&description, &bundle::exec_process(&spec, process, &user)?)
        .step("describe the process")?;
    let (status, status_writer) = pipe_with(PipeFlags::CLOEXEC).step("make a pipe")?;
    let launch = launch(state, &spec, process, given.is_owned(), status_writer)?;
    let builder = ContainerBuilder::new(entry.id.clone(), SyscallType::default())
        .with_executor(launch)
        .with_root_path(scratch)
        .step("enter the container")?;
    let (builder, console) = given.connect(builder, scratch)?;
    let built = builder
        .as_tenant()
        .with_detach(true)
        .with_process(Some(description))
        .build();
    // The launch knows better why it failed than libcontainer.
    await_execution(status)?;
    let pid = Pid::from_raw(built.step("execute the process in the container")?.as_raw());
    let started = Timestamp::now();
    let terminal = console.map(Console::take).transpose()?;
    tell_started(caller, terminal.as_ref())?;
    drop(terminal);
    let code = attend(pid, Some(caller), None).step("wait for the process")?;
    Ok(Exit {
        code,
        oom_killed: false,
        started,
        finished: Timestamp::now(),
        usage: Usage::default(),
    })
}

/// The container's specification and first process.
fn running(entry: &Entry) -> Result<(ContainerSpec, u32), Failure> {
    let not_running = || Failure::NotRunning {
        id: entry.id.clone(),
    };
    let record = entry.record().step("read the container's record")?;
    let started = record
        .and_then(|record| record.started)
        .ok_or_else(not_running)?;
    if !started.process.is_alive() {
        return Err(not_running());
    }
    let spec = entry
        .spec()
        .step("read the container's specification")?
        .ok_or_else(not_running)?;
    Ok((spec, started.process.pid))
}

fn check_directory(root: &Root, cwd: Option<&str>) -> Result<(), Failure> {
    let Some(cwd) = cwd.filter(|cwd| !cwd.is_empty()) else {
        return Ok(());
    };
    match root
        .kind(cwd.as_ref())
        .step(&format!("look at `{cwd}` in the container"))?
    {
        Some(rustix::fs::FileType::Directory) => Ok(()),
        Some(_) => Err(Failure::Invalid(format!(
            "`{cwd}` is no directory in the container"
        ))),
        None => Err(Failure::Invalid(format!(
            "there is no directory `{cwd}` in the container"
        ))),
    }
}

fn launch(
    state: &Path,
    spec: &ContainerSpec,
    process: &ExecSpec,
    own_streams: bool,
    status: std::os::fd::OwnedFd,
) -> Result<Launch, Failure> {
    let names = if process.privileged {
        capabilities::all()
    } else {
        capabilities::granted(&spec.security)?
    };
    let unfiltered = spec.security.privileged || spec.security.seccomp == Seccomp::Unconfined;
    let filter = if unfiltered {
        None
    } else {
        Some(Rc::new(Filter::for_capabilities(state, &names)?))
    };
    Ok(Launch {
        status: Rc::new(status),
        capabilities: capabilities::sets(&names)?,
        filter,
        own_streams,
        oom_score_adj: spec.limits.oom_score_adj,
        init: false,
    })
}
