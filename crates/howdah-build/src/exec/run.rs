//! `RUN`: a container over the root filesystem, its changes sealed as a layer.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, PoisonError};

use howdah_dockerfile::{Network, Security};
use howdah_image::{SnapshotId, Staging, namespace};
use howdah_runtime::{ContainerSpec, Exit, Rootfs, Running, Stdio};
use howdah_solver::{Cancel, VertexId};

use super::follow::follow;
use super::mounts::{MountSources, Prepared, enter_namespace, needs_namespace};
use super::{Cost, Done, RunError, Worker};
use crate::error::StepError;
use crate::event::{Event, Stream};
use crate::op::RunOp;
use crate::root::{Root, RootLayer};
use crate::tree::Tree;
use crate::upper;

/// BuildKit's name for the machine in which a step runs; some programs write it into what they make.
const HOSTNAME: &str = "buildkitsandbox";

/// A step whose container is about to run.
struct Step<'a> {
    id: VertexId,
    op: &'a RunOp,
    root: &'a Root,
    staging: &'a Staging,
    cancel: &'a Cancel,
}

impl Worker<'_> {
    pub(super) fn run(
        &self,
        id: VertexId,
        op: &RunOp,
        inputs: &[Arc<Root>],
        cancel: &Cancel,
    ) -> Result<Done, StepError> {
        if !self
            .emulation
            .can_run((self.store, self.runtime), &op.platform)?
        {
            let platform = op.platform.clone();
            return Err(RunError::NoEmulator { platform }.into());
        }
        let staging = self.store.stage()?;
        self.match_root(&staging, &inputs[0])?;
        let sources = MountSources {
            store: self.store,
            options: self.options,
            imports: self.imports,
            inputs,
            staging: &staging,
            cancel,
        };
        let step = Step {
            id,
            op,
            root: &inputs[0],
            staging: &staging,
            cancel,
        };
        let exit = if needs_namespace(op) {
            // A thread of its own, since a mount namespace belongs to a thread for the rest of its life.
            std::thread::scope(|scope| {
                let container = scope.spawn(|| {
                    enter_namespace()?;
                    self.contain(&step, sources.prepare(op)?)
                });
                container
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
        } else {
            self.contain(&step, sources.prepare(op)?)
        }?;
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
            RootLayer::nothing()
        } else {
            let snapshot = SnapshotId::random();
            let content = upper
                .content
                .unwrap_or_else(|| howdah_solver::Key::of(snapshot.as_str().as_bytes()));
            staging.seal(&snapshot)?;
            RootLayer {
                snapshots: vec![snapshot],
                content,
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
                let (uid, gid) = namespace::owner(entry.uid, entry.gid);
                rustix::fs::chown(upper, Some(uid), Some(gid))?;
                fs_err::set_permissions(upper, Permissions::from_mode(entry.mode))?;
            }
            Ok(())
        };
        set().map_err(RunError::io("set the attributes of", upper))
    }

    fn contain(&self, step: &Step<'_>, prepared: Prepared) -> Result<Exit, RunError> {
        let Step {
            id,
            op,
            root,
            staging,
            cancel,
        } = *step;
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
            hostname: HOSTNAME.to_owned(),
            build_step: true,
            limits: op.limits.clone(),
            cgroup_parent: op.cgroup_parent.clone(),
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
        let mut running = self.runtime.run(&spec, Stdio::Piped)?;
        if self.last_run.is_some_and(|last| id.index() < last.index()) {
            // The next step waits the less; without it, it starts its helper itself.
            drop(self.runtime.prepare());
        }
        let sink = |stream: Stream, line: String| {
            (self.observe)(Event::Output {
                step: id.index(),
                stream,
                line,
            });
        };
        let ended = follow(&mut running, &sink, cancel);
        if ended.is_ok() && !needs_namespace(op) {
            self.retire(running);
        } else {
            drop(running);
        }
        // The address and the locks of cache mounts are the container's until here.
        drop((address, prepared));
        let (exit, tail) = ended?;
        self.tails
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, tail);
        Ok(exit)
    }

    /// Lets the helper of a container that has ended clear away while the build goes on. The one before has done so by now; the
    /// last one is waited for when the build ends.
    fn retire(&self, running: Running) {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let before = retired.replace(running);
        drop(retired);
        drop(before);
    }
}
