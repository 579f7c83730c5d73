//! What [`crate::Runtime`] and a container's helper say to each other over the helper's standard input.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{ContainerSpec, ExecSpec, Exit, RuntimeError};

/// What a helper is started for; the first argument after the role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// One attached container.
    Run,
    /// One container that outlives the caller.
    Start,
    /// One process in a running container.
    Exec,
}

impl Task {
    pub(crate) const ALL: [Self; 3] = [Self::Run, Self::Start, Self::Exec];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Start => "start",
            Self::Exec => "exec",
        }
    }
}

/// The first and only request, with three descriptors (standard input, output, error) when the streams are [`Streams::Given`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    Run {
        state: PathBuf,
        spec: Box<ContainerSpec>,
        streams: Streams,
    },
    Start {
        state: PathBuf,
        spec: Box<ContainerSpec>,
        log: PathBuf,
    },
    Exec {
        state: PathBuf,
        id: String,
        process: ExecSpec,
        streams: Streams,
    },
}

/// Where the standard streams of an attached process come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Streams {
    /// The three descriptors beside the request; `owned` when they were made for this process alone, so that they may
    /// be given to its user.
    Given { owned: bool },
    /// A new terminal, whose master end goes back with [`Reply::Started`].
    Terminal,
}

/// What the helper answers: `Started`, later `Exited`; or `Failed` alone.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Started,
    Exited(Exit),
    Failed(Failure),
}

/// What the caller may say after [`Reply::Started`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Command {
    Signal(i32),
}

/// Why the helper could not do it, in a form that crosses the socket: causes are flattened into `reason`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum Failure {
    #[error("command `{command}` not found")]
    CommandNotFound { command: String },
    #[error("command `{command}` cannot be executed: {reason}")]
    NotExecutable { command: String, reason: String },
    #[error("{0}")]
    Invalid(String),
    #[error("container `{id}` is not running")]
    NotRunning { id: String },
    #[error("container `{id}` is already running")]
    AlreadyRunning { id: String },
    #[error("cannot {step}: {reason}")]
    Setup { step: String, reason: String },
}

impl Failure {
    /// A failed step of the setup, with the whole chain of causes.
    pub(crate) fn setup(step: impl Into<String>, error: &dyn std::error::Error) -> Self {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Some libraries repeat the cause in their own text.
            if !reason.ends_with(&text) {
                reason.push_str(": ");
                reason.push_str(&text);
            }
            source = cause.source();
        }
        Self::Setup {
            step: step.into(),
            reason,
        }
    }
}

/// Names the step that failed.
pub(crate) trait Step<T> {
    fn step(self, step: &str) -> Result<T, Failure>;
}

impl<T, E: std::error::Error> Step<T> for Result<T, E> {
    fn step(self, step: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure::setup(step, &error))
    }
}

impl From<Failure> for RuntimeError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::CommandNotFound { command } => Self::CommandNotFound { command },
            Failure::NotExecutable { command, reason } => Self::NotExecutable { command, reason },
            Failure::Invalid(text) => Self::Invalid(text),
            Failure::NotRunning { id } => Self::NotRunning { id },
            Failure::AlreadyRunning { id } => Self::AlreadyRunning { id },
            Failure::Setup { step, reason } => Self::Setup { step, reason },
        }
    }
}
