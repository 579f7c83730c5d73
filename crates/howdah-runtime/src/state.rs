//! What is known of a container: whether it runs, and how it ended.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a container is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// There is no such container, or it has been deleted.
    Absent,
    /// Its program runs.
    Running {
        /// The container's first process, as the host counts.
        pid: u32,
        /// When the program was started.
        started: Timestamp,
    },
    /// It has ended; the record stays until [`crate::Runtime::delete`].
    Exited(Exit),
}

/// How a container, or a process executed in one, ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The program's exit code; 128 + n when signal n ended it, as a shell has it.
    pub code: i32,
    /// The kernel killed a process of the container because its memory limit was reached.
    pub oom_killed: bool,
    /// When the program was started.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// What the whole container used; zero for a process executed in one.
    pub usage: Usage,
}

/// What a container used, read from its control groups at the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time of all its processes.
    pub cpu: Duration,
    /// The most memory it held at once, page cache included; zero where the kernel does not tell.
    pub peak_memory_bytes: u64,
}
