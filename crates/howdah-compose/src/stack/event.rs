//! What happens to a stack, told to whoever listens.

use serde::{Deserialize, Serialize};

use super::time::Millis;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StackEvent {
    /// When.
    pub at: Millis,
    /// To what.
    pub subject: Subject,
    /// What.
    pub change: Change,
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A container.
    Container {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
        /// Its service.
        service: String,
        /// Its number within the service.
        index: u32,
    },
    /// A network, by its full name.
    Network(String),
    /// A volume, by its full name.
    Volume(String),
}

/// What happened to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is as it should be already.
    Unchanged,
    /// It was made.
    Created,
    /// It is being replaced by a new one.
    Recreating,
    /// It waits for its dependencies.
    Waiting,
    /// It is being started.
    Starting,
    /// It runs.
    Started,
    /// Its health check succeeded.
    Healthy,
    /// Its health check failed too often.
    Unhealthy {
        /// The end of the last check's output.
        output: String,
    },
    /// It was told to stop.
    Stopping,
    /// It did not stop in time and was killed.
    Killed {
        /// The time it had, in seconds.
        grace: u64,
    },
    /// It ended.
    Exited {
        /// The exit code.
        code: i32,
        /// It ran out of memory.
        oom_killed: bool,
        /// It was asked to.
        expected: bool,
    },
    /// It will be started again by its policy.
    Restarting,
    /// It could not be started.
    Failed {
        /// Why.
        message: String,
    },
    /// It is gone.
    Removed,
    /// Something about it that a person should know.
    Note {
        /// The text.
        message: String,
    },
}
