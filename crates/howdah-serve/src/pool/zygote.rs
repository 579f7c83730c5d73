//! A zygote: one `howdah-php` that has PHP, and perhaps the application, started, and forks workers on order.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;
use std::sync::Arc;

use command_fds::{CommandFdExt as _, FdMapping};
use howdah_wire::control::{DESCRIPTOR, Event, MAX_MESSAGE, Order};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags,
    SocketType,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::config::{Mode, PoolConfig, WorkerScript};
use super::error::StartError;
use crate::descriptor::watched;

/// Where the zygote and its workers have an embedded script.
const SCRIPT_DESCRIPTOR: i32 = DESCRIPTOR + 1;

/// The front's side of a zygote. The process ends when this is dropped; its workers end when their own sockets are closed.
#[derive(Debug, Clone)]
pub(super) struct Zygote {
    control: Arc<AsyncFd<OwnedFd>>,
}

/// What a zygote sent, and the descriptors that came along.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) event: Event,
    pub(super) descriptors: Vec<OwnedFd>,
}

impl Zygote {
    /// Starts one. `preboot`: the worker script is booted before the workers are forked.
    pub(super) fn start(
        config: &PoolConfig,
        preboot: bool,
    ) -> Result<(Zygote, tokio::process::Child), StartError> {
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .and_then(|pair| rustix::io::ioctl_fionbio(&pair.0, true).map(|()| pair))
        .map_err(|source| StartError::Socket(source.into()))?;
        let mut command = command(config, preboot);
        let mut descriptors = vec![FdMapping {
            parent_fd: theirs,
            child_fd: DESCRIPTOR,
        }];
        if let Some(WorkerScript::Embedded { name, source }) = &config.script {
            descriptors.push(FdMapping {
                parent_fd: in_memory(name, source).map_err(StartError::Socket)?,
                child_fd: SCRIPT_DESCRIPTOR,
            });
        }
        command
            .fd_mappings(descriptors)
            .map_err(|_| StartError::Socket(io::ErrorKind::AlreadyExists.into()))?;
        let child = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| StartError::Program {
                program: config.program.clone(),
                source,
            })?;
        let control = watched(ours).map_err(StartError::Socket)?;
        let zygote = Zygote {
            control: Arc::new(control),
        };
        Ok((zygote, child))
    }

    /// Gives it an order. Orders are a few bytes each and a socket holds hundreds: one that does not fit means a zygote that
    /// no longer reads.
    pub(super) fn order(&self, order: &Order) -> io::Result<()> {
        let text = serde_json::to_vec(order)?;
        rustix::net::send(self.control.get_ref(), &text, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The next message, or none if the zygote is gone.
    pub(super) async fn next(&self) -> io::Result<Option<Message>> {
        self.control
            .async_io(Interest::READABLE, |socket| receive(socket.as_fd()))
            .await
    }
}

/// Nothing is left behind of it, and nobody can change it, whatever happens to this process.
fn in_memory(name: &str, source: &str) -> io::Result<OwnedFd> {
    let mut file = fs_err::File::from_parts(
        rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC)?.into(),
        name,
    );
    io::Write::write_all(&mut file, source.as_bytes())?;
    Ok(file.into_file().into())
}

fn command(config: &PoolConfig, preboot: bool) -> std::process::Command {
    let mut command = std::process::Command::new(&config.program);
    command.args(["zygote", "--mode", config.mode.name()]);
    match &config.script {
        Some(WorkerScript::File(file)) => {
            command.arg("--script").arg(file);
        }
        Some(WorkerScript::Embedded { .. }) => {
            let file = format!("/proc/self/fd/{SCRIPT_DESCRIPTOR}");
            command.arg("--script").arg(file);
        }
        None => {}
    }
    if !preboot {
        command.arg("--no-preboot");
    }
    if let Some(php_ini) = &config.php_ini {
        command.arg("-c").arg(php_ini);
    }
    for setting in &config.settings {
        command.args(["-d", setting]);
    }
    if config.mode != Mode::Classic && config.script.is_some() {
        command.env("FRANKENPHP_WORKER", "1");
    }
    command
        .envs(config.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&config.directory)
        .stdin(Stdio::null());
    command
}

fn receive(socket: impl AsFd) -> io::Result<Option<Message>> {
    let mut bytes = vec![0; MAX_MESSAGE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut bytes)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let descriptors = ancillary
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    let event = serde_json::from_slice(&bytes[..received.bytes])?;
    Ok(Some(Message { event, descriptors }))
}
