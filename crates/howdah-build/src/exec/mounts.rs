//! `RUN --mount`: what is bound into the container, and where it comes from.
//!
//! Overlays of bind mounts and the tmpfs that holds secrets are mounted in a mount namespace of the step's own thread:
//! the container's helper inherits it, and the kernel takes everything away with its last process, however that ends.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use howdah_image::{Staging, Store};
use howdah_runtime::Mount;
use howdah_solver::Cancel;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::agent::AgentSocket;
use super::{RunError, bind, cache_mount, private};
use crate::cache::KeyLock;
use crate::lower::SCRIPT_DIRECTORY;
use crate::op::{Attributes, CacheStart, MountKindOp, MountOp, RunOp, TreeSource};
use crate::request::{Options, Secret};
use crate::root::Root;
use crate::transport::Imports;

/// Where ssh(1) looks for its agent.
const AGENT_VARIABLE: &str = "SSH_AUTH_SOCK=";

/// A script is executed by whoever runs the step.
const SCRIPT: Attributes = Attributes {
    mode: 0o755,
    uid: 0,
    gid: 0,
};

/// Mounts ready for a container.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub(super) mounts: Vec<Mount>,
    /// Variables that secrets and agents add.
    pub(super) env: Vec<String>,
    /// Of cache directories; held as long as the container runs.
    locks: Vec<KeyLock>,
    /// Open as long.
    agents: Vec<AgentSocket>,
}

impl Prepared {
    /// The first agent is the one that programs find.
    fn name_agent(&mut self, target: &str) {
        if !self.env.iter().any(|env| env.starts_with(AGENT_VARIABLE)) {
            self.env.push(format!("{AGENT_VARIABLE}{target}"));
        }
    }
}

/// What mounts are made of.
pub(super) struct MountSources<'a> {
    pub(super) store: &'a Store,
    pub(super) options: &'a Options,
    pub(super) imports: &'a Imports<'a>,
    pub(super) inputs: &'a [Arc<Root>],
    pub(super) staging: &'a Staging,
    pub(super) cancel: &'a Cancel,
}

/// Whether the step's thread needs a mount namespace of its own.
pub(super) fn needs_namespace(op: &RunOp) -> bool {
    let mounts_here = |mount: &MountOp| {
        matches!(
            mount.kind,
            MountKindOp::Bind(_) | MountKindOp::Secret { .. }
        )
    };
    op.script.is_some() || op.mounts.iter().any(mounts_here)
}

/// Gives the calling thread a mount namespace of its own, out of which no mount travels.
pub(super) fn enter_namespace() -> Result<(), RunError> {
    let error = |errno: nix::errno::Errno| RunError::Namespace {
        source: errno.into(),
    };
    unshare(CloneFlags::CLONE_NEWNS).map_err(error)?;
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_SLAVE,
        None::<&str>,
    )
    .map_err(error)
}

impl MountSources<'_> {
    /// Prepares all mounts of a step.
    pub(super) fn prepare(&self, op: &RunOp) -> Result<Prepared, RunError> {
        let mut prepared = Prepared::default();
        if let Some((name, text)) = &op.script {
            let source = private::file(&self.directory("script"), name, text.as_bytes(), SCRIPT)?;
            let target = Path::new(SCRIPT_DIRECTORY).join(name);
            prepared.mounts.push(Mount::Bind {
                source,
                target,
                read_only: true,
            });
        }
        for (number, mount) in op.mounts.iter().enumerate() {
            self.add(number, mount, &mut prepared)?;
        }
        Ok(prepared)
    }

    fn add(&self, number: usize, mount: &MountOp, prepared: &mut Prepared) -> Result<(), RunError> {
        let read_only = mount.read_only;
        let source = match &mount.kind {
            MountKindOp::Bind(tree) => self.bind(&format!("bind-{number}"), tree)?,
            MountKindOp::Cache { id, sharing, start } => {
                let make = |directory: &Path| self.new_cache(id, start, directory);
                let (source, lock) =
                    cache_mount::directory(self.store, (id, *sharing), self.cancel, &make)?;
                prepared.locks.extend(lock);
                source
            }
            MountKindOp::Tmpfs { size_bytes } => {
                let target = PathBuf::from(&mount.target);
                prepared.mounts.push(Mount::Tmpfs {
                    target,
                    size_bytes: *size_bytes,
                    mode: None,
                    read_only,
                });
                return Ok(());
            }
            MountKindOp::Secret {
                id,
                env,
                required,
                attributes,
            } => {
                let value = self.secret(id, *required)?;
                if let Some(env) = env {
                    // As BuildKit: one that is not there is empty.
                    let value = value.as_deref().unwrap_or_default();
                    prepared.env.push(secret_variable(id, env, value)?);
                }
                let Some(value) = value else {
                    return Ok(());
                };
                if mount.target.is_empty() {
                    return Ok(());
                }
                private::file(
                    &self.directory(&format!("secret-{number}")),
                    "value",
                    &value,
                    *attributes,
                )?
            }
            MountKindOp::Ssh {
                agent: Some(agent),
                attributes,
                ..
            } => {
                prepared.name_agent(&mount.target);
                let directory = self.directory(&format!("agent-{number}"));
                let socket = AgentSocket::listen(&directory, agent, *attributes)?;
                let path = socket.path.clone();
                prepared.agents.push(socket);
                path
            }
            MountKindOp::Ssh {
                id, required: true, ..
            } => return Err(RunError::NoAgent { id: id.clone() }),
            MountKindOp::Ssh { .. } => {
                // As BuildKit does, although nobody listens there.
                prepared.name_agent(&mount.target);
                return Ok(());
            }
        };
        prepared.mounts.push(Mount::Bind {
            source,
            target: PathBuf::from(&mount.target),
            read_only,
        });
        Ok(())
    }

    fn bind(&self, name: &str, tree: &TreeSource) -> Result<PathBuf, RunError> {
        let directory = self.directory(name);
        match tree {
            TreeSource::Context { scan, source, .. } => bind::context(&directory, scan, source),
            TreeSource::Input { number, source } => {
                bind::root(&directory, self.store, &self.inputs[*number], source)
            }
        }
    }

    /// Makes the directory of a new cache: as it was where it was exported, else as the step says.
    fn new_cache(&self, id: &str, start: &CacheStart, directory: &Path) -> Result<(), RunError> {
        let failed = |source| RunError::CacheMount {
            id: id.to_owned(),
            source,
        };
        let fresh = || fs_err::create_dir(directory).map_err(failed);
        fresh()?;
        let is_whole = self.imports.fill_mount(id, directory);
        if is_whole == Some(false) {
            fs_err::remove_dir_all(directory).map_err(failed)?;
            fresh()?;
        }
        match start {
            CacheStart::Empty(attributes) => {
                cache_mount::set_attributes(directory, *attributes).map_err(failed)
            }
            CacheStart::Copy(_) if is_whole == Some(true) => Ok(()),
            CacheStart::Copy(TreeSource::Context { scan, source, .. }) => {
                cache_mount::copy(&**scan, source, directory, false)
            }
            CacheStart::Copy(TreeSource::Input { number, source }) => {
                let view = self.inputs[*number].view(self.store);
                cache_mount::copy(&view, source, directory, true)
            }
        }
    }

    /// A place beside the step's tree, gone with it.
    fn directory(&self, name: &str) -> PathBuf {
        self.staging.directory().join(name)
    }

    fn secret(&self, id: &str, required: bool) -> Result<Option<Vec<u8>>, RunError> {
        match self.options.secrets.get(id) {
            Some(Secret::Value(value)) => Ok(Some(value.clone())),
            Some(Secret::File(path)) => {
                let value = fs_err::read(path);
                value.map(Some).map_err(|source| RunError::Secret {
                    id: id.to_owned(),
                    source,
                })
            }
            None if required => Err(RunError::NoSecret { id: id.to_owned() }),
            None => Ok(None),
        }
    }
}

fn secret_variable(id: &str, name: &str, value: &[u8]) -> Result<String, RunError> {
    let value =
        std::str::from_utf8(value).map_err(|_| RunError::SecretText { id: id.to_owned() })?;
    Ok(format!("{name}={value}"))
}
