//! Creating, starting and clearing away one container.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use fs_err::File;
use jiff::Timestamp;
use libcontainer::container::Container;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, chroot, fchdir};
use rustix::mount::{MountPropagationFlags, mount_change};

use super::bundle;
use super::devices::HostDevice;
use super::launch::Launch;
use super::relay::Relay;
use super::root::Root;
use super::seccomp::Filter;
use super::streams::Given;
use super::stubs::Stubs;
use super::{capabilities, device_filter, prepare, user};
use crate::cgroup::{self, Cgroup, Version};
use crate::process::ProcessName;
use crate::protocol::{Failure, Step};
use crate::records::{Entry, Record, Started, is_valid_id};
use crate::{ContainerSpec, Endpoint, Network, Seccomp, network, overlay};

/// A container whose program has been executed.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) pid: Pid,
    pub(super) started: Started,
    pub(super) terminal: Option<OwnedFd>,
    pub(super) remains: Remains,
}

/// What a container leaves behind unless it is cleared away.
#[derive(Debug)]
pub(super) struct Remains {
    pub(super) entry: Entry,
    pub(super) cgroup: Cgroup,
    pub(super) stubs: Stubs,
    /// What connects the container's network, where that is a process.
    relay: Option<Relay>,
    upper: PathBuf,
}

impl Remains {
    /// Takes back what the container's mounts left in its upper directory. To be called when no process of it is left.
    pub(super) fn tidy_upper(&mut self) {
        std::mem::take(&mut self.stubs).remove(&self.upper);
    }

    /// Clears everything but the entry. To be called when no process of the container is left.
    pub(super) fn clear(mut self) -> Result<Entry, Failure> {
        self.tidy_upper();
        drop(self.relay);
        self.cgroup
            .remove()
            .step("remove the container's control groups")?;
        Ok(self.entry)
    }
}

/// Creates a container, joins it to its networks and starts its program. Leaves nothing behind on failure.
pub(super) fn launch(
    state: &Path,
    spec: &ContainerSpec,
    given: Given,
    attached: bool,
) -> Result<Live, Failure> {
    if !is_valid_id(&spec.id) {
        return Err(Failure::Invalid(format!(
            "`{}` is no container id",
            spec.id
        )));
    }
    let parent = spec.cgroup_parent.as_deref().unwrap_or_default();
    if parent.split('/').any(|part| part == "..") {
        return Err(Failure::Invalid(format!(
            "the control group `{parent}` has `..` in it"
        )));
    }
    let entry = Entry::new(state, &spec.id);
    let helper = ProcessName::of(std::process::id()).step("name the helper")?;
    let record = Record {
        helper,
        attached,
        started: None,
    };
    entry
        .create(&record, spec)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => Failure::AlreadyRunning {
                id: spec.id.clone(),
            },
            _ => Failure::setup("record the container", &error),
        })?;
    let cgroup = Cgroup::new(&spec.id, entry.directory(), spec.cgroup_parent.as_deref());
    let mut remains = Remains {
        entry,
        cgroup,
        stubs: Stubs::default(),
        relay: None,
        upper: spec.rootfs.upper.clone(),
    };
    let result = create_and_start(state, spec, given, &mut remains).and_then(|(pid, terminal)| {
        let started = record_start(&remains.entry, record, pid)?;
        Ok((pid, terminal, started))
    });
    match result {
        Ok((pid, terminal, started)) => Ok(Live {
            pid,
            started,
            terminal,
            remains,
        }),
        Err(failure) => {
            abandon(remains);
            Err(failure)
        }
    }
}

fn record_start(entry: &Entry, record: Record, pid: Pid) -> Result<Started, Failure> {
    let process = ProcessName::of(pid.as_raw().cast_unsigned());
    let process = process.step("name the container's process")?;
    let started = Started {
        process,
        at: Timestamp::now(),
    };
    let record = Record {
        started: Some(started),
        ..record
    };
    entry.write_record(&record).step("record the container")?;
    Ok(started)
}

/// Ends a container that could not be started. The failure to be told is the one that led here.
fn abandon(mut remains: Remains) {
    // Waits for its own process, so before the others are waited for.
    drop(remains.relay.take());
    kill_children();
    while !matches!(waitpid(None::<Pid>, None), Err(Errno::ECHILD)) {}
    if let Ok(entry) = remains.clear() {
        entry.remove().ok();
    }
}

/// What libcontainer has left waiting for something that will not come.
fn kill_children() {
    let own = std::process::id();
    let children = fs_err::read_to_string(format!("/proc/{own}/task/{own}/children"));
    for child in children.unwrap_or_default().split_ascii_whitespace() {
        if let Ok(child) = child.parse() {
            // Not waited for yet, so the number is still its.
            kill(Pid::from_raw(child), Signal::SIGKILL).ok();
        }
    }
}

fn create_and_start(
    state: &Path,
    spec: &ContainerSpec,
    given: Given,
    remains: &mut Remains,
) -> Result<(Pid, Option<OwnedFd>), Failure> {
    let host_mounts = File::open("/proc/self/ns/mnt").step("open the mount namespace")?;
    let host_root = File::open("/").step("open the root directory")?;
    unshare(CloneFlags::CLONE_NEWNS).step("make a mount namespace")?;
    let created = create(state, spec, given, remains);
    // From here on the container alone holds its mounts, and a mount the host drops is not held by us.
    setns(host_mounts.as_fd(), CloneFlags::CLONE_NEWNS)
        .step("return to the host's mount namespace")?;
    // setns(2) makes the namespace's own root ours: in a chroot that is another tree, with another /proc.
    fchdir(&host_root).step("return to the root directory")?;
    chroot(".").step("return to the root directory")?;
    let (mut container, status, terminal) = created?;
    let pid = container
        .pid()
        .ok_or_else(|| Failure::Invalid("the container has no process".to_owned()))?;
    remains.relay = join_networks(spec, pid.as_raw().cast_unsigned())?;
    container.start().step("start the container")?;
    await_execution(status)?;
    Ok((Pid::from_raw(pid.as_raw()), terminal))
}

/// Everything that needs the helper's private mount namespace.
fn create(
    state: &Path,
    spec: &ContainerSpec,
    given: Given,
    remains: &mut Remains,
) -> Result<(Container, OwnedFd, Option<OwnedFd>), Failure> {
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .step("make mounts private")?;
    if remains.cgroup.version == Version::Foreign {
        cgroup::hide().step("hide the control groups")?;
    }
    let entry = remains.entry.clone();
    let rootfs = entry.rootfs();
    let layers = &spec.rootfs;
    overlay::mount(&layers.lowers, Some((&layers.upper, &layers.work)), &rootfs)
        .step("mount the root filesystem")?;
    let user = user::resolve(
        &Root::open(&rootfs).step("open the root filesystem")?,
        &spec.user,
        &spec.groups,
    )?;
    let planned = prepare::mounts(state, spec, remains)?;
    let devices = HostDevice::of(spec)?;
    let context = bundle::Context {
        entry: &entry,
        user: &user,
        devices: &devices,
        mounts: &planned,
        cgroups_path: &remains.cgroup.path(),
        network_of: network_of(state, spec)?,
    };
    bundle::write_config(spec, &context)?;
    let (status, status_writer) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).step("make a pipe")?;
    let launch = prepare_launch(state, spec, given.is_owned(), status_writer)?;
    let builder = ContainerBuilder::new(spec.id.clone(), SyscallType::default())
        .with_executor(launch)
        .with_root_path(entry.libcontainer())
        .step("create the container")?;
    let (builder, console) = given.connect(builder, entry.directory())?;
    let container = builder
        .as_init(entry.bundle())
        .with_systemd(false)
        .with_detach(true)
        .build()
        .step("create the container")?;
    let terminal = console.map(super::streams::Console::take).transpose()?;
    restrict_devices(spec, &remains.cgroup, &devices)?;
    Ok((container, status, terminal))
}

fn restrict_devices(
    spec: &ContainerSpec,
    cgroup: &Cgroup,
    devices: &[HostDevice],
) -> Result<(), Failure> {
    if cgroup.version == Version::One || spec.security.privileged {
        return Ok(());
    }
    let mut rules = device_filter::default_rules();
    rules.extend(devices.iter().map(HostDevice::rule));
    for (_, directory) in cgroup
        .directories()
        .step("find the container's control group")?
    {
        device_filter::attach(&directory, &rules).step("restrict the container's devices")?;
    }
    Ok(())
}

fn prepare_launch(
    state: &Path,
    spec: &ContainerSpec,
    own_streams: bool,
    status: OwnedFd,
) -> Result<Launch, Failure> {
    let names = capabilities::granted(&spec.security)?;
    let filter = if spec.security.privileged || spec.security.seccomp == Seccomp::Unconfined {
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
        init: spec.init,
    })
}

/// The first process of the container whose network is shared.
fn network_of(state: &Path, spec: &ContainerSpec) -> Result<Option<u32>, Failure> {
    let Network::Container(id) = &spec.network else {
        return Ok(None);
    };
    let record = Entry::new(state, id)
        .record()
        .step(&format!("read the record of container `{id}`"))?;
    let process = record
        .and_then(|record| record.started)
        .map(|started| started.process);
    match process.filter(|process| process.is_alive()) {
        Some(process) => Ok(Some(process.pid)),
        None => Err(Failure::NotRunning { id: id.clone() }),
    }
}

fn join_networks(spec: &ContainerSpec, pid: u32) -> Result<Option<Relay>, Failure> {
    let attach = |endpoints: &[Endpoint]| {
        network::attach(pid, endpoints).step("set up the container's network")
    };
    match &spec.network {
        Network::Host | Network::Container(_) => {}
        Network::None => attach(&[])?,
        Network::Bridged(endpoints) => attach(endpoints)?,
        Network::Relayed => {
            attach(&[])?;
            return Relay::start(pid).map(Some);
        }
    }
    Ok(None)
}

/// Reads what the launch tells: nothing, by execve(2) closing the pipe, or why it failed.
pub(super) fn await_execution(status: OwnedFd) -> Result<(), Failure> {
    let mut told = Vec::new();
    std::fs::File::from(status)
        .read_to_end(&mut told)
        .step("wait for the program's execution")?;
    if told.is_empty() {
        return Ok(());
    }
    Err(serde_json::from_slice(&told)
        .unwrap_or_else(|error| Failure::setup("execute the program", &error)))
}
