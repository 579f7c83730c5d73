//! One process to run, validated: what to execute, and the policy its life follows.

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid};

/// One process to keep running. A program with `numprocs = 3` is three of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Name of the process, unique in a configuration: `worker_00`.
    pub name: String,
    /// Name of the program it belongs to: `worker`.
    pub group: String,
    /// Executable and arguments; never empty.
    pub command: Vec<String>,
    /// Working directory; ours when absent.
    pub directory: Option<PathBuf>,
    /// Who it runs as; ourselves when absent.
    pub identity: Option<Identity>,
    /// File mode creation mask; ours when absent.
    pub umask: Option<u32>,
    /// Variables added to our own environment.
    pub environment: Vec<(String, String)>,
    /// Where its standard output goes.
    pub stdout: Sink,
    /// Where its standard error goes.
    pub stderr: Sink,
    /// When to start, restart and stop it.
    pub policy: Policy,
    /// How to ask it whether it works.
    pub check: Option<Check>,
}

/// The user and groups of a process, resolved from /etc/passwd and /etc/group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub user: Uid,
    /// Primary group.
    pub group: Gid,
    /// Supplementary groups.
    pub groups: Vec<Gid>,
}

/// Where one output stream of a program goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// Our standard output.
    Stdout,
    /// Our standard error.
    Stderr,
    /// /dev/null.
    Discard,
    /// Appended to a file; the program writes it itself, nothing rotates it.
    File(PathBuf),
}

/// When a process is started, restarted and stopped. Names and meaning are supervisord's (its documentation, `[program:x]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Start it with the supervisor.
    pub autostart: bool,
    /// What an exit after a successful start means.
    pub autorestart: Autorestart,
    /// Exit codes that are expected.
    pub exit_codes: Vec<i32>,
    /// How long it must stay up to count as started.
    pub start_time: Duration,
    /// Failed starts in a row that are tried again before it is lost.
    pub start_retries: u32,
    /// The signal that asks it to stop.
    pub stop_signal: Signal,
    /// How long it may take to stop before SIGKILL.
    pub stop_wait: Duration,
    /// Who receives the stop signal.
    pub stop_reach: Reach,
    /// Who receives SIGKILL.
    pub kill_reach: Reach,
    /// Lower starts first and stops last.
    pub priority: i32,
    /// When it is lost, everything stops.
    pub essential: bool,
}

/// `autorestart`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Autorestart {
    /// `true`: whatever the exit code.
    Always,
    /// `unexpected`: when the exit code is not among `exitcodes`.
    Unexpected,
    /// `false`.
    Never,
}

/// Whom a signal reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The process we started.
    Leader,
    /// Its whole process group.
    Group,
}

/// A question to a running program: a command that exits with 0 when all is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is asked.
    pub probe: Probe,
    /// How long the answer may take.
    pub timeout: Duration,
}

/// What a check runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A command in the program's directory, environment and user.
    Command(Vec<String>),
    /// An `http://` or `tcp://` address.
    Address(String),
}

impl Default for Policy {
    /// supervisord's defaults, but for `killasgroup`: what a stop leaves behind in the group would be lost control of.
    fn default() -> Self {
        Self {
            autostart: true,
            autorestart: Autorestart::Unexpected,
            exit_codes: vec![0],
            start_time: Duration::from_secs(1),
            start_retries: 3,
            stop_signal: Signal::SIGTERM,
            stop_wait: Duration::from_secs(10),
            stop_reach: Reach::Leader,
            kill_reach: Reach::Group,
            priority: 999,
            essential: true,
        }
    }
}
