//! Why a container could not be run, started, or looked at.

use std::io;
use std::path::PathBuf;

/// Why a container could not be run, started, or looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The program is not in the container. Exit code 127, as `docker run` has it.
    #[error("command `{command}` not found in the container")]
    CommandNotFound {
        /// The program as given.
        command: String,
    },
    /// The program cannot be executed. Exit code 126, as `docker run` has it.
    #[error("command `{command}` cannot be executed: {reason}")]
    NotExecutable {
        /// The program as given.
        command: String,
        /// The system's reason.
        reason: String,
    },
    /// The specification contradicts itself, the root filesystem or the host.
    #[error("{0}")]
    Invalid(String),
    /// There is no running container of that name.
    #[error("container `{id}` is not running")]
    NotRunning {
        /// The container's id.
        id: String,
    },
    /// A container of that name runs already.
    #[error("container `{id}` is already running")]
    AlreadyRunning {
        /// The container's id.
        id: String,
    },
    /// The helper could not set the container up.
    #[error("cannot {step}: {reason}")]
    Setup {
        /// What it was doing.
        step: String,
        /// Why it failed, in the helper's words.
        reason: String,
    },
    /// The helper died before it said how the container ended.
    #[error("the helper of container `{id}` died")]
    HelperDied {
        /// The container's id.
        id: String,
    },
    /// The helper could not be executed.
    #[error("cannot execute the container helper `{}`", executable.display())]
    Spawn {
        /// The executable.
        executable: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file of the state directory, or a pipe to the helper, failed.
    #[error("cannot {action}")]
    Io {
        /// What was being done, operand included.
        action: String,
        /// The system's reason.
        source: io::Error,
    },
}

impl RuntimeError {
    /// The exit code that `docker run` gives for this failure: 127, 126, else 125.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::CommandNotFound { .. } => 127,
            Self::NotExecutable { .. } => 126,
            _ => 125,
        }
    }
}

/// Names what was being done.
pub(crate) trait During<T> {
    fn during(self, action: impl FnOnce() -> String) -> Result<T, RuntimeError>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, action: impl FnOnce() -> String) -> Result<T, RuntimeError> {
        self.map_err(|source| RuntimeError::Io {
            action: action(),
            source,
        })
    }
}
