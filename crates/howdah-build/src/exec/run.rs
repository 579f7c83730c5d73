//! `RUN`: a container over the root filesystem, its changes sealed as a layer.

use std::fs::Permissions;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use howdah_dockerfile::{Network, Security};
use howdah_image::{SnapshotId, Staging};
use howdah_runtime::network::NetworkError;
use howdah_runtime::overlay::OverlayError;
use howdah_runtime::{ContainerSpec, Exit, Rootfs, Running, RuntimeError, Stdio};
use howdah_solver::{Cancel, VertexId};
use nix::libc::SIGKILL;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use super::mounts::{MountSources, Prepared, enter_namespace, needs_namespace};
use super::output::{Tail, read_lines};
use super::{Cost, Done, Worker};
use crate::error::StepError;
use crate::event::{Event, Stream};
use crate::op::RunOp;
use crate::root::{Root, RootLayer};
use crate::tree::Tree;
use crate::upper;

/// Why a `RUN` failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The command ended with another code than 0.
    #[error("the command exited with code {code}{}", if *oom_killed { " (out of memory)" } else { "" })]
    Exit {
        /// 128 + n for signal n.
        code: i32,
        /// Whether the kernel killed it for its memory.
        oom_killed: bool,
    },
    /// The container could not be run.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The build was stopped.
    #[error("cancelled")]
    Cancelled,
    /// A secret that must be there is not.
    #[error("no secret `{id}` was given")]
    NoSecret {
        /// Its name.
        id: String,
    },
    /// A secret cannot be read.
    #[error("cannot read the secret `{id}`")]
    Secret {
        /// Its name.
        id: String,
        /// Why.
        source: io::Error,
    },
    /// A secret for the environment is not text.
    #[error("the secret `{id}` is not UTF-8 text, so it cannot be put into the environment")]
    SecretText {
        /// Its name.
        id: String,
    },
    /// A step asks for an SSH agent, and there is none.
    #[error("the step needs an SSH agent, and none is forwarded")]
    NoAgent,
    /// The source of a bind mount is not there.
    #[error("`{source_path}` does not exist in the source of the bind mount")]
    NoBindSource {
        /// As written.
        source_path: String,
    },
    /// A cache mount's directory cannot be had.
    #[error("cannot use the cache mount `{id}`")]
    CacheMount {
        /// Its name.
        id: String,
        /// Why.
        source: io::Error,
    },
    /// The bind mount's tree cannot be mounted.
    #[error("cannot mount the source of a bind mount")]
    Overlay {
        /// Why.
        source: OverlayError,
    },
    /// The thread cannot have its own mounts.
    #[error("cannot make a mount namespace")]
    Namespace {
        /// Why.
        source: io::Error,
    },
    /// The build network cannot be set up.
    #[error("cannot set up the build network")]
    Network {
        /// Why.
        source: NetworkError,
    },
    /// More steps at once than the build network has addresses.
    #[error("no address is left in the build network {subnet}")]
    NoAddress {
        /// Its addresses.
        subnet: String,
    },
    /// The filesystem refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl RunError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RunError {
        let path = path.to_owned();
        move |source| RunError::Io {
            action,
            path,
            source,
        }
    }
}

impl Worker<'_> {
    pub(super) fn run(
        &self,
        id: VertexId,
        op: &RunOp,
        inputs: &[Arc<Root>],
        cancel: &Cancel,
    ) -> Result<Done, StepError> {
        let staging = self.store.stage()?;
        self.match_root(&staging, &inputs[0])?;
        let sources = MountSources {
            store: self.store,
            options: self.options,
            inputs,
            staging: &staging,
            cancel,
        };
        // A thread of its own, since a mount namespace belongs to a thread for the rest of its life.
        let exit = std::thread::scope(|scope| {
            let container = scope.spawn(|| -> Result<Exit, StepError> {
                if needs_namespace(op) {
                    enter_namespace()?;
                }
                let prepared = sources.prepare(op)?;
                self.contain(id, op, &staging, &inputs[0], prepared, cancel)
            });
            container
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        if cancel.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        if exit.code != 0 {
            return Err(RunError::Exit {
                code: exit.code,
                oom_killed: exit.oom_killed,
            }
            .into());
        }
        let mut cost = Cost {
            cpu: exit.usage.cpu,
            peak_memory: exit.usage.peak_memory_bytes,
            ..Cost::default()
        };
        let upper = upper::look(staging.upper()).map_err(RunError::io("read", staging.upper()))?;
        cost.bytes = upper.bytes;
        let layer = if upper.entries == 0 {
            self.nothing()
        } else {
            let snapshot = SnapshotId::random();
            let content = upper
                .content
                .unwrap_or_else(|| howdah_solver::Key::of(snapshot.as_str().as_bytes()));
            staging.seal(&snapshot)?;
            RootLayer {
                snapshots: vec![snapshot],
                content,
                created: self.now(),
            }
        };
        Ok(Done {
            layer,
            cost,
            cacheable: true,
        })
    }

    /// The upper's root is what `/` looks like in the container: as the image has it.
    fn match_root(&self, staging: &Staging, root: &Root) -> Result<(), RunError> {
        let upper = staging.upper();
        let set = || {
            if let Some(entry) = root.view(self.store).entry(b"")? {
                let owner = (
                    rustix::fs::Uid::from_raw(entry.uid),
                    rustix::fs::Gid::from_raw(entry.gid),
                );
                rustix::fs::chown(upper, Some(owner.0), Some(owner.1))?;
                fs_err::set_permissions(upper, Permissions::from_mode(entry.mode))?;
            }
            Ok(())
        };
        set().map_err(RunError::io("set the attributes of", upper))
    }

    fn contain(
        &self,
        id: VertexId,
        op: &RunOp,
        staging: &Staging,
        root: &Root,
        prepared: Prepared,
        cancel: &Cancel,
    ) -> Result<Exit, StepError> {
        let mut spec = ContainerSpec {
            id: format!("build-{}", &SnapshotId::random().as_str()[..24]),
            rootfs: Rootfs {
                lowers: root.lowers(self.store),
                upper: staging.upper().to_owned(),
                work: staging.work().to_owned(),
            },
            args: op.args.clone(),
            env: [op.env.clone(), op.proxies.clone(), prepared.env.clone()].concat(),
            cwd: op.cwd.clone(),
            user: op.user.clone(),
            hostname: "buildkitsandbox".to_owned(),
            hosts: op.hosts.clone(),
            mounts: prepared.mounts.clone(),
            ..ContainerSpec::default()
        };
        spec.security.privileged = op.security == Security::Insecure;
        let mut address = None;
        spec.network = match op.network {
            Network::None => howdah_runtime::Network::None,
            Network::Host => howdah_runtime::Network::Host,
            Network::Default => address.insert(self.network.address()?).network.clone(),
        };
        let mut running = self
            .runtime
            .run(&spec, Stdio::Piped)
            .map_err(RunError::from)?;
        let exit = self.follow(id, &mut running, cancel);
        // The address and the locks of cache mounts are the container's until here.
        drop((running, address, prepared));
        exit
    }

    /// Passes the output on until the container has ended, or ends it when the build is cancelled.
    fn follow(
        &self,
        id: VertexId,
        running: &mut Running,
        cancel: &Cancel,
    ) -> Result<Exit, StepError> {
        let tail = Mutex::new(Tail::default());
        let sink = |stream: Stream| {
            let tail = &tail;
            move |line: String| {
                tail.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line.clone());
                (self.observe)(Event::Output {
                    step: id.index(),
                    stream,
                    line,
                });
            }
        };
        let (stdout, stderr) = (running.stdout.take(), running.stderr.take());
        let exit = std::thread::scope(|scope| {
            // A broken pipe ends the output, and the exit code says the rest.
            scope.spawn(|| stdout.map(|file| read_lines(file, sink(Stream::Stdout))));
            scope.spawn(|| stderr.map(|file| read_lines(file, sink(Stream::Stderr))));
            self.until_end(running, cancel)
        })?;
        let tail = tail
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .into_lines();
        self.tails
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, tail);
        Ok(exit)
    }

    fn until_end(&self, running: &mut Running, cancel: &Cancel) -> Result<Exit, RunError> {
        let wait = |source: rustix::io::Errno| {
            RunError::io("wait for", Path::new("the container"))(source.into())
        };
        let fired = Arc::new(eventfd(0, EventfdFlags::CLOEXEC).map_err(wait)?);
        let hook = cancel.on_cancel({
            let fired = Arc::clone(&fired);
            move || {
                // An eventfd that was never read takes a write.
                let _ = rustix::io::write(&*fired, &1_u64.to_ne_bytes());
            }
        });
        let stopped = loop {
            let running_fd = running.as_fd();
            let mut waits = [
                PollFd::new(&running_fd, PollFlags::IN),
                PollFd::new(&*fired, PollFlags::IN),
            ];
            match poll(&mut waits, None) {
                Ok(_) => break !waits[1].revents().is_empty(),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(wait(errno)),
            }
        };
        if stopped {
            running.kill(SIGKILL)?;
        }
        let exit = running.wait()?;
        drop(hook);
        Ok(exit)
    }
}
