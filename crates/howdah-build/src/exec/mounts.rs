//! `RUN --mount`: what is bound into the container, and where it comes from.
//!
//! Overlays of bind mounts and the tmpfs that holds secrets are mounted in a mount namespace of the step's own thread:
//! the container's helper inherits it, and the kernel takes everything away with its last process, however that ends.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use howdah_dockerfile::Sharing;
use howdah_image::{Staging, Store};
use howdah_runtime::{Mount, overlay};
use howdah_solver::{Cancel, Key};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::RunError;
use crate::cache::{KeyLock, KeyLocks};
use crate::context::Scan;
use crate::lower::SCRIPT_DIRECTORY;
use crate::op::{MountKindOp, MountOp, RunOp};
use crate::request::{Options, Secret};
use crate::root::Root;
use crate::tree::{self, Tree};

/// More copies of a private cache than builds that run at once.
const PRIVATE_COPIES: usize = 64;

/// Mounts ready for a container.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub(super) mounts: Vec<Mount>,
    /// Variables that secrets and agents add.
    pub(super) env: Vec<String>,
    /// Locks of cache directories.
    _locks: Vec<KeyLock>,
}

/// What mounts are made of.
pub(super) struct MountSources<'a> {
    pub(super) store: &'a Store,
    pub(super) options: &'a Options,
    pub(super) inputs: &'a [Arc<Root>],
    pub(super) staging: &'a Staging,
    pub(super) cancel: &'a Cancel,
}

/// Whether the step's thread needs a mount namespace of its own.
pub(super) fn needs_namespace(op: &RunOp) -> bool {
    op.script.is_some()
        || op.mounts.iter().any(|mount| {
            matches!(
                mount.kind,
                MountKindOp::Context { .. }
                    | MountKindOp::Input { .. }
                    | MountKindOp::Secret { .. }
            )
        })
}

/// Gives the calling thread a mount namespace of its own, into and out of which no mount travels.
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
            let source = self.private_file("script", name, text.as_bytes(), (0o755, 0, 0))?;
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
        let target = PathBuf::from(&mount.target);
        let read_only = mount.read_only;
        match &mount.kind {
            MountKindOp::Context { scan, source, .. } => {
                let source = self.context(number, scan, source)?;
                prepared.mounts.push(Mount::Bind {
                    source,
                    target,
                    read_only,
                });
            }
            MountKindOp::Input {
                number: input,
                source,
            } => {
                let source = self.root(number, &self.inputs[*input], source)?;
                prepared.mounts.push(Mount::Bind {
                    source,
                    target,
                    read_only,
                });
            }
            MountKindOp::Cache {
                id,
                sharing,
                mode,
                uid,
                gid,
            } => {
                let (source, lock) = self.cache(id, *sharing, (*mode, *uid, *gid))?;
                prepared._locks.extend(lock);
                prepared.mounts.push(Mount::Bind {
                    source,
                    target,
                    read_only,
                });
            }
            MountKindOp::Tmpfs { size_bytes } => {
                prepared.mounts.push(Mount::Tmpfs {
                    target,
                    size_bytes: *size_bytes,
                    mode: None,
                });
            }
            MountKindOp::Secret {
                id,
                env,
                required,
                mode,
                uid,
                gid,
            } => {
                let Some(value) = self.secret(id, *required)? else {
                    return Ok(());
                };
                if let Some(env) = env {
                    let value = String::from_utf8(value.clone())
                        .map_err(|_| RunError::SecretText { id: id.clone() })?;
                    prepared.env.push(format!("{env}={value}"));
                }
                if !mount.target.is_empty() {
                    let source = self.private_file(
                        &format!("secret-{number}"),
                        "value",
                        &value,
                        (*mode, *uid, *gid),
                    )?;
                    prepared.mounts.push(Mount::Bind {
                        source,
                        target,
                        read_only: true,
                    });
                }
            }
            MountKindOp::Ssh {
                required, agent, ..
            } => match agent {
                Some(agent) => {
                    prepared.env.push(format!("SSH_AUTH_SOCK={}", mount.target));
                    prepared.mounts.push(Mount::Bind {
                        source: agent.clone(),
                        target,
                        read_only: false,
                    });
                }
                None if *required => return Err(RunError::NoAgent),
                None => {}
            },
        }
        Ok(())
    }

    /// A tree of a context: an overlay, whose upper hides what `.dockerignore` leaves out and takes what is written.
    fn context(&self, number: usize, scan: &Scan, source: &str) -> Result<PathBuf, RunError> {
        let (upper, merged) = self.overlay_directories(number)?;
        for path in scan.excluded() {
            let hidden = upper.join(tree::as_path(path));
            let parent = hidden.parent().unwrap_or(&upper);
            fs_err::create_dir_all(parent).map_err(RunError::io("make", parent))?;
            let made = rustix::fs::mknodat(
                rustix::fs::CWD,
                &hidden,
                rustix::fs::FileType::CharacterDevice,
                0.into(),
                0,
            );
            made.map_err(io::Error::from)
                .map_err(RunError::io("hide", &hidden))?;
        }
        self.mount_overlay(&[scan.root().to_owned()], &upper, &merged)?;
        existing(scan, source, &merged)
    }

    /// A tree of a stage or an image.
    fn root(&self, number: usize, root: &Root, source: &str) -> Result<PathBuf, RunError> {
        let (upper, merged) = self.overlay_directories(number)?;
        self.mount_overlay(&root.lowers(self.store), &upper, &merged)?;
        existing(&root.view(self.store), source, &merged)
    }

    fn overlay_directories(&self, number: usize) -> Result<(PathBuf, PathBuf), RunError> {
        let base = self.staging.directory().join(format!("bind-{number}"));
        for name in ["upper", "work", "merged"] {
            let path = base.join(name);
            fs_err::create_dir_all(&path).map_err(RunError::io("make", &path))?;
        }
        Ok((base.join("upper"), base.join("merged")))
    }

    fn mount_overlay(
        &self,
        lowers: &[PathBuf],
        upper: &Path,
        merged: &Path,
    ) -> Result<(), RunError> {
        let work = upper.with_file_name("work");
        overlay::mount(lowers, Some((upper, &work)), merged)
            .map_err(|source| RunError::Overlay { source })
    }

    /// The directory of a cache mount, and the lock that its sharing asks for.
    fn cache(
        &self,
        id: &str,
        sharing: Sharing,
        attributes: (u32, u32, u32),
    ) -> Result<(PathBuf, Option<KeyLock>), RunError> {
        let locks = KeyLocks::new(self.store.root());
        let key = |copy: usize| Key::of(format!("cache mount\0{id}\0{copy}").as_bytes());
        let failed = |source| RunError::CacheMount {
            id: id.to_owned(),
            source,
        };
        let (copy, lock) = match sharing {
            Sharing::Shared => (0, None),
            Sharing::Locked => match locks.lock(&key(0), self.cancel).map_err(failed)? {
                Some(lock) => (0, Some(lock)),
                None => return Err(RunError::Cancelled),
            },
            Sharing::Private => {
                let mut free = None;
                for copy in 0..PRIVATE_COPIES {
                    if let Some(lock) = locks.try_lock(&key(copy)).map_err(failed)? {
                        free = Some((copy, Some(lock)));
                        break;
                    }
                }
                free.ok_or_else(|| failed(io::Error::from(io::ErrorKind::ResourceBusy)))?
            }
        };
        let path = self.store.root().join("mounts").join(key(copy).to_string());
        if !path.is_dir() {
            make_cache(&path, id, attributes).map_err(failed)?;
        }
        Ok((path.join("data"), lock))
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

    /// A file on a tmpfs that only the step's namespace has.
    fn private_file(
        &self,
        directory: &str,
        name: &str,
        content: &[u8],
        (mode, uid, gid): (u32, u32, u32),
    ) -> Result<PathBuf, RunError> {
        let directory = self.staging.directory().join(directory);
        fs_err::create_dir(&directory).map_err(RunError::io("make", &directory))?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(
            Some("tmpfs"),
            &directory,
            Some("tmpfs"),
            flags,
            Some("mode=0700"),
        )
        .map_err(|errno| RunError::io("mount", &directory)(errno.into()))?;
        // Only its last component: a name cannot lead elsewhere.
        let path = directory.join(Path::new(name).file_name().unwrap_or_default());
        let write = || {
            fs_err::write(&path, content)?;
            let (uid, gid) = (
                rustix::fs::Uid::from_raw(uid),
                rustix::fs::Gid::from_raw(gid),
            );
            rustix::fs::chown(&path, Some(uid), Some(gid))?;
            fs_err::set_permissions(&path, Permissions::from_mode(mode))
        };
        write().map_err(RunError::io("write", &path))?;
        Ok(path)
    }
}

/// A path of a merged tree, links followed inside it.
fn existing(tree: &dyn Tree, source: &str, merged: &Path) -> Result<PathBuf, RunError> {
    let found = tree::resolve(tree, source.as_bytes())
        .and_then(|path| Ok(tree.entry(&path)?.map(|_| path)));
    let found = found.map_err(RunError::io("look up", Path::new(source)))?;
    let found = found.ok_or_else(|| RunError::NoBindSource {
        source_path: source.to_owned(),
    })?;
    Ok(merged.join(tree::as_path(&found)))
}

/// `mounts/<key>/{id,data}`; appears by rename.
fn make_cache(path: &Path, id: &str, (mode, uid, gid): (u32, u32, u32)) -> io::Result<()> {
    let parent = path.parent().unwrap_or(path);
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(parent)?;
    let new = path.with_extension(format!("{}.new", std::process::id()));
    fs_err::create_dir_all(&new)?;
    fs_err::write(new.join("id"), id)?;
    let data = new.join("data");
    fs_err::create_dir_all(&data)?;
    rustix::fs::chown(
        &data,
        Some(rustix::fs::Uid::from_raw(uid)),
        Some(rustix::fs::Gid::from_raw(gid)),
    )?;
    fs_err::set_permissions(&data, Permissions::from_mode(mode))?;
    File::open(&new)?.sync_all()?;
    match fs_err::rename(&new, path) {
        // Another build was faster.
        Err(_) if path.is_dir() => fs_err::remove_dir_all(&new),
        other => other,
    }
}
