//! Where a stack's things are. What must survive a reboot is below the store's root, sockets and locks below the runtime directory.

use std::path::{Path, PathBuf};

/// The directories of one project's stack.
#[derive(Debug, Clone)]
pub struct StackPaths {
    root: PathBuf,
    runtime: PathBuf,
    project: String,
}

impl StackPaths {
    /// `root` is the store's, `runtime` the directory of sockets and locks.
    pub fn new(root: &Path, runtime: &Path, project: &str) -> Self {
        Self {
            root: root.to_owned(),
            runtime: runtime.to_owned(),
            project: project.to_owned(),
        }
    }

    /// The store's root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of sockets, locks and container records.
    pub fn runtime(&self) -> &Path {
        &self.runtime
    }

    /// The project's name.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// All that is written about the stack.
    pub(crate) fn directory(&self) -> PathBuf {
        self.root.join("stacks").join(&self.project)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.directory().join("state.json")
    }

    /// What the keeper had to say, for when it died.
    pub(crate) fn keeper_log(&self) -> PathBuf {
        self.sockets().join(format!("{}.log", self.project))
    }

    /// The directory of the keepers' sockets and locks.
    pub(crate) fn sockets(&self) -> PathBuf {
        self.runtime.join("stacks")
    }

    pub(crate) fn socket_name(&self) -> String {
        format!("{}.sock", self.project)
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.sockets().join(format!("{}.lock", self.project))
    }

    /// A container's writable layer, log and lock.
    pub fn container(&self, id: &str) -> PathBuf {
        self.root.join("containers").join(id)
    }

    /// A container's log: JSON lines.
    pub fn log(&self, id: &str) -> PathBuf {
        self.container(id).join("log.json")
    }

    /// Held by the `howdah run` a one-off container belongs to.
    pub(crate) fn container_lock(&self, id: &str) -> PathBuf {
        self.container(id).join("lock")
    }

    /// Secrets and configs written for a container; in memory where the runtime directory is.
    pub(crate) fn files(&self, id: &str) -> PathBuf {
        self.all_files().join(id)
    }

    pub(crate) fn all_files(&self) -> PathBuf {
        self.runtime.join("files")
    }

    /// A volume's content.
    pub fn volume(&self, name: &str) -> PathBuf {
        self.root.join("volumes").join(name)
    }

    pub(crate) fn staging(&self) -> PathBuf {
        self.root.join("tmp")
    }
}
