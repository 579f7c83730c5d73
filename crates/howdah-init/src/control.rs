//! The question `howdah health` asks a running supervisor over its unix socket, and the answer.
//!
//! The client sends one line, `health` or `health NAME`; the supervisor runs the checks, answers with a [`Report`] as
//! JSON, and closes.

use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

/// The socket's file name in its directory.
pub(crate) const SOCKET: &str = "supervise.sock";
/// The most an answer may be.
const LONGEST_ANSWER: u64 = 4 * 1024 * 1024;

/// The supervisor and its processes, at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// `starting`, `running` or `stopping`.
    pub state: String,
    /// Everything that was asked for is well, and we are not stopping.
    pub healthy: bool,
    /// The processes asked for.
    pub processes: Vec<ProcessReport>,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessReport {
    /// Its name.
    pub name: String,
    /// The program it belongs to.
    pub program: String,
    /// supervisord's state: STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED or FATAL.
    pub state: String,
    /// Its process id, while it lives.
    pub pid: Option<i32>,
    /// Seconds in this state.
    pub seconds: u64,
    /// How often it was started again.
    pub restarts: u32,
    /// Everything stops when it is lost.
    pub essential: bool,
    /// It is as it should be.
    pub healthy: bool,
    /// Why it is not, or how it ended.
    pub detail: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens at any of the usual places.
    #[error("no supervisor answers at `{}`", path.display())]
    Connect {
        /// The socket tried last.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else owns the directory, and could answer in our name.
    #[error("`{}` belongs to user id {owner}, not to us", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// The connection broke, or took too long.
    #[error("no answer from the supervisor at `{}`", path.display())]
    Answer {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The answer is none.
    #[error("the answer at `{}` is not a health report", path.display())]
    Malformed {
        /// The socket.
        path: PathBuf,
        /// Where it went wrong.
        source: serde_json::Error,
    },
}

/// Where a supervisor of `user` puts its socket: `/run/howdah` where it may write, else `/tmp/howdah-<uid>`.
pub fn socket_paths(user: Uid) -> Vec<PathBuf> {
    vec![
        Path::new("/run/howdah").join(SOCKET),
        private_directory(user).join(SOCKET),
    ]
}

pub(crate) fn private_directory(user: Uid) -> PathBuf {
    PathBuf::from(format!("/tmp/howdah-{user}"))
}

/// Where a client looks: at its own user's places, and at those of the user who owns PID 1 (`docker exec -u root`).
pub fn client_paths() -> Vec<PathBuf> {
    let mut paths = socket_paths(Uid::effective());
    if let Ok(init) = fs_err::metadata("/proc/1") {
        paths.push(private_directory(Uid::from_raw(init.uid())).join(SOCKET));
    }
    paths
}

/// Asks the first supervisor that listens at `paths`, about one program or about all.
pub fn query(
    paths: &[PathBuf],
    program: Option<&str>,
    timeout: Duration,
) -> Result<Report, ControlError> {
    let mut refused = None;
    for path in paths {
        check_owner(path)?;
        match UnixStream::connect(path) {
            Ok(stream) => return exchange(stream, path, program, timeout),
            Err(source) => {
                // A socket that exists and does not answer says more than one that does not exist.
                let exists = source.kind() != io::ErrorKind::NotFound;
                if exists || refused.is_none() {
                    refused = Some(ControlError::Connect {
                        path: path.clone(),
                        source,
                    });
                }
            }
        }
    }
    let nowhere = || ControlError::Connect {
        path: PathBuf::new(),
        source: io::ErrorKind::NotFound.into(),
    };
    Err(refused.unwrap_or_else(nowhere))
}

/// Anybody may make /tmp/howdah-1000: it counts only if it belongs to user 1000.
fn check_owner(path: &Path) -> Result<(), ControlError> {
    let Some(directory) = path.parent() else {
        return Ok(());
    };
    let Some(owner) = directory
        .to_str()
        .and_then(|name| name.strip_prefix("/tmp/howdah-")?.parse::<u32>().ok())
    else {
        return Ok(());
    };
    match fs_err::symlink_metadata(directory) {
        Ok(metadata) if metadata.uid() != owner || !metadata.is_dir() => {
            Err(ControlError::Foreign {
                path: directory.to_owned(),
                owner: metadata.uid(),
            })
        }
        _ => Ok(()),
    }
}

fn exchange(
    mut stream: UnixStream,
    path: &Path,
    program: Option<&str>,
    timeout: Duration,
) -> Result<Report, ControlError> {
    let question = program.map_or_else(|| "health\n".to_owned(), |name| format!("health {name}\n"));
    let mut answer = Vec::new();
    let mut ask = || {
        stream.set_write_timeout(Some(timeout))?;
        stream.set_read_timeout(Some(timeout))?;
        stream.write_all(question.as_bytes())?;
        (&stream).take(LONGEST_ANSWER).read_to_end(&mut answer)
    };
    ask().map_err(|source| ControlError::Answer {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_slice(&answer).map_err(|source| ControlError::Malformed {
        path: path.to_owned(),
        source,
    })
}
