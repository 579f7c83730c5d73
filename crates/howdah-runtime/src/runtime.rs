//! The face of the crate: containers by id, each kept by a helper process of its own.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::{ContainerSpec, ExecSpec, Running, RuntimeError, State, Stdio};

/// Runs containers whose state is kept below one directory. Cheap to clone, safe to share between threads.
#[derive(Debug, Clone)]
pub struct Runtime {
    state: PathBuf,
    executable: PathBuf,
}

impl Runtime {
    /// `state` is where containers are recorded (`/run/howdah`); `executable` is howdah itself, executed again as the
    /// helper of each container (see [`crate::helper`]).
    pub fn new(state: &Path, executable: &Path) -> Result<Self, RuntimeError> {
        Ok(Self {
            state: state.to_owned(),
            executable: executable.to_owned(),
        })
    }

    /// Runs a container attached to the caller: it dies when the [`Running`] is dropped or the caller dies, and leaves
    /// no record. Returns when its program has been executed.
    pub fn run(&self, spec: &ContainerSpec, stdio: Stdio) -> Result<Running, RuntimeError> {
        todo!("{spec:?}{stdio:?}{:?}{:?}", self.state, self.executable)
    }

    /// Starts a container that outlives the caller. Its output goes to `log` as JSON lines `{"log","stream","time"}`.
    /// Returns when its program has been executed. A record of an ended container with the same id is replaced.
    pub fn start(&self, spec: &ContainerSpec, log: &Path) -> Result<(), RuntimeError> {
        todo!("{spec:?}{log:?}")
    }

    /// Executes one more process in a running container, attached to the caller.
    pub fn exec(
        &self,
        id: &str,
        process: &ExecSpec,
        stdio: Stdio,
    ) -> Result<Running, RuntimeError> {
        todo!("{id}{process:?}{stdio:?}")
    }

    /// Where the container is in its life.
    pub fn state(&self, id: &str) -> Result<State, RuntimeError> {
        todo!("{id}")
    }

    /// A descriptor that becomes readable (poll(2)) when the container has ended and its exit is recorded.
    pub fn watch(&self, id: &str) -> Result<OwnedFd, RuntimeError> {
        todo!("{id}")
    }

    /// Sends a signal to the container's first process; nothing happens when it has ended already.
    pub fn kill(&self, id: &str, signal: i32) -> Result<(), RuntimeError> {
        todo!("{id}{signal}")
    }

    /// Kills the container if it runs and removes its record. Nothing happens when there is none.
    pub fn delete(&self, id: &str) -> Result<(), RuntimeError> {
        todo!("{id}")
    }

    /// All containers with a record, by id.
    pub fn list(&self) -> Result<Vec<(String, State)>, RuntimeError> {
        todo!()
    }

    /// Clears what dead helpers left: control groups, records of attached containers. Returns the ids it cleared.
    pub fn reap(&self) -> Result<Vec<String>, RuntimeError> {
        todo!()
    }
}
