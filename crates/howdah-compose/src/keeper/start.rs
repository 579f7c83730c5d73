//! Getting one container ready and started: volumes, binds, secrets, writable layer, specification. Blocks.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use howdah_image::Store;
use howdah_runtime::{ContainerSpec, Runtime, RuntimeError};
use rustix::fs::{AtFlags, CWD, Gid, Uid};

use super::paths::StackPaths;
use super::plans::{self, PlanError};
use super::spec::{Parts, SpecError};
use super::volumes::{self, Origin, VolumeError};
use crate::model::{FileDefinition, FileMount, FileSource, MountSource};
use crate::stack::{Container, Stack};

/// A container that cannot be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// Its image cannot be had.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Its image cannot be kept.
    #[error(transparent)]
    Store(#[from] howdah_image::StoreError),
    /// It cannot be put together.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A volume cannot be made.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// The runtime refused.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A path to bind is not there.
    #[error("bind source `{}` does not exist", path.display())]
    NoSource {
        /// The path.
        path: PathBuf,
    },
    /// A secret or config has no content.
    #[error("{what} `{key}`: {why}")]
    NoContent {
        /// `secret` or `config`.
        what: &'static str,
        /// Its key.
        key: String,
        /// What is missing.
        why: String,
    },
    /// The file system refused.
    #[error("cannot prepare container `{name}`")]
    Io {
        /// The container.
        name: String,
        /// Why.
        source: io::Error,
    },
}

/// Everything the work needs, so that it can be done in another thread.
pub(crate) struct StartJob {
    pub(crate) store: Store,
    pub(crate) runtime: Runtime,
    pub(crate) paths: StackPaths,
    pub(crate) stack: Stack,
    pub(crate) container: Container,
}

impl StartJob {
    /// Prepares and starts it.
    pub(crate) fn start(&self) -> Result<(), StartError> {
        let spec = self.prepare()?;
        let log = self.paths.log(&self.container.id);
        match self.runtime.start(&spec, &log) {
            // Begun by a keeper that died before it could know how it went: begun again, from nothing.
            Err(RuntimeError::AlreadyRunning { id }) => {
                self.runtime.delete(&id)?;
                Ok(self.runtime.start(&spec, &log)?)
            }
            result => Ok(result?),
        }
    }

    /// Everything but starting it.
    pub(crate) fn prepare(&self) -> Result<ContainerSpec, StartError> {
        let plan = &self.container.plan;
        let image = plans::find(&self.store, &plan.service.name, &plan.image)?;
        let lowers = image.lowers(&self.store);
        self.make_directories()
            .map_err(|source| self.failed(source))?;
        let directory = self.paths.container(&self.container.id);
        self.store.pin_image(&image, &plan.image_name, &directory)?;
        self.make_volumes(&lowers)?;
        let mut files = BTreeMap::new();
        self.place(
            "secret",
            &plan.service.container.secrets,
            &plan.secrets,
            &mut files,
        )?;
        self.place(
            "config",
            &plan.service.container.configs,
            &plan.configs,
            &mut files,
        )?;
        let parts = Parts {
            stack: &self.stack,
            paths: &self.paths,
            container: &self.container,
            image: &image.config.config,
            lowers,
            files,
        };
        Ok(parts.spec()?)
    }

    fn failed(&self, source: io::Error) -> StartError {
        StartError::Io {
            name: self.container.name.clone(),
            source,
        }
    }

    fn make_directories(&self) -> io::Result<()> {
        let directory = self.paths.container(&self.container.id);
        fs_err::create_dir_all(directory.join("upper"))?;
        fs_err::create_dir_all(directory.join("work"))?;
        // The root of the writable layer is the root of the container: every user must be able to enter it.
        fs_err::set_permissions(directory.join("upper"), PermissionsExt::from_mode(0o755))
    }

    fn make_volumes(&self, lowers: &[PathBuf]) -> Result<(), StartError> {
        let plan = &self.container.plan;
        let staging = self.paths.staging();
        let make = |name: &str, target: &str, no_copy: bool| {
            let origin = Origin {
                lowers,
                path: (!no_copy).then_some(Path::new(target)),
            };
            volumes::ensure(&self.paths.volume(name), name, &origin, &staging)
        };
        for mount in &plan.service.container.mounts {
            match &mount.source {
                MountSource::Volume {
                    key,
                    no_copy,
                    subpath,
                } => {
                    if let Some(name) = plan.volumes.get(key) {
                        make(name, &mount.target, *no_copy || subpath.is_some())?;
                    }
                }
                MountSource::Bind { path, create, .. } => {
                    if !path.exists() {
                        if !create {
                            return Err(StartError::NoSource { path: path.clone() });
                        }
                        fs_err::create_dir_all(path).map_err(|source| self.failed(source))?;
                    }
                }
                MountSource::Anonymous { .. } | MountSource::Tmpfs { .. } => {}
            }
        }
        for (target, name) in &self.container.anonymous {
            make(name, target, false)?;
        }
        Ok(())
    }

    /// Finds or writes the files of secrets and configs.
    fn place(
        &self,
        what: &'static str,
        mounts: &[FileMount],
        definitions: &BTreeMap<String, FileDefinition>,
        files: &mut BTreeMap<String, PathBuf>,
    ) -> Result<(), StartError> {
        for (index, mount) in mounts.iter().enumerate() {
            let key = &mount.source;
            let no_content = |why: String| StartError::NoContent {
                what,
                key: key.clone(),
                why,
            };
            let wants_owner = mount.uid.is_some() || mount.gid.is_some() || mount.mode.is_some();
            let content = match definitions.get(key).map(|definition| &definition.source) {
                // A copy of its own, because the host's file keeps its own owner and mode.
                Some(FileSource::File(path)) if wants_owner && path.is_file() => {
                    fs_err::read(path).map_err(|source| self.failed(source))?
                }
                Some(FileSource::File(path)) if path.exists() => {
                    files.insert(mount.target.clone(), path.clone());
                    continue;
                }
                Some(FileSource::File(path)) => {
                    return Err(no_content(format!("`{}` does not exist", path.display())));
                }
                Some(FileSource::Environment { variable, value }) => match value {
                    Some(content) => content.clone().into_bytes(),
                    None => {
                        return Err(no_content(format!("the variable `{variable}` is not set")));
                    }
                },
                Some(FileSource::Content(content)) => content.clone().into_bytes(),
                Some(FileSource::External) | None => {
                    return Err(no_content(
                        "it is external, which is not supported".to_owned(),
                    ));
                }
            };
            let directory = self.paths.files(&self.container.id);
            let path = directory.join(format!("{what}-{index}"));
            private_directory(&self.paths.all_files())
                .and_then(|()| write_private(&path, &content, mount))
                .map_err(|source| self.failed(source))?;
            files.insert(mount.target.clone(), path);
        }
        Ok(())
    }

    /// Removes the container's record, writable layer, log, secrets and volumes without a name.
    pub(crate) fn remove(&self, keep_volumes: bool) -> Result<(), StartError> {
        let id = &self.container.id;
        self.runtime.delete(id)?;
        if !keep_volumes {
            for name in self.container.anonymous.values() {
                volumes::remove(&self.paths.volume(name), name, &self.paths.staging())?;
            }
        }
        for directory in [self.paths.files(id), self.paths.container(id)] {
            match fs_err::remove_dir_all(&directory) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(self.failed(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A directory only we may enter; what is bind-mounted out of it is reached from the container all the same.
pub(crate) fn private_directory(path: &Path) -> io::Result<()> {
    fs_err::create_dir_all(path)?;
    fs_err::set_permissions(path, PermissionsExt::from_mode(0o700))
}

/// Readable by its owner only until owner and mode are what the service asks for.
fn write_private(path: &Path, content: &[u8], mount: &FileMount) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs_err::create_dir_all(parent)?;
    }
    let temporary = path.with_extension("new");
    let mut file = fs_err::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(content)?;
    let (owner, group) = (mount.uid.map(Uid::from_raw), mount.gid.map(Gid::from_raw));
    rustix::fs::chownat(CWD, &temporary, owner, group, AtFlags::SYMLINK_NOFOLLOW)?;
    fs_err::set_permissions(
        &temporary,
        PermissionsExt::from_mode(mount.mode.unwrap_or(0o444)),
    )?;
    fs_err::rename(&temporary, path)
}
