//! Why a `RUN` failed.

use std::io;
use std::path::{Path, PathBuf};

use howdah_image::Platform;
use howdah_runtime::RuntimeError;
use howdah_runtime::network::NetworkError;
use howdah_runtime::overlay::OverlayError;

/// Why a `RUN` failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The command ended with another code than 0.
    #[error("the command exited with code {code}{}", if *oom_killed { " (out of memory)" } else { "" })]
    Exit {
        /// 128 + n for signal n.
        code: i32,
        /// Whether the kernel killed it for its memory.
        oom_killed: bool,
    },
    /// The container could not be run.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The build was stopped.
    #[error("cancelled")]
    Cancelled,
    /// The step's programs are for another machine, which nothing here emulates.
    #[error("the step is for {platform}, and this machine has no emulator for it")]
    NoEmulator {
        /// The platform.
        platform: Platform,
    },
    /// A secret that must be there is not.
    #[error("no secret `{id}` was given")]
    NoSecret {
        /// Its name.
        id: String,
    },
    /// A secret cannot be read.
    #[error("cannot read the secret `{id}`")]
    Secret {
        /// Its name.
        id: String,
        /// Why.
        source: io::Error,
    },
    /// A secret for the environment is not text.
    #[error("the secret `{id}` is not UTF-8 text, so it cannot be put into the environment")]
    SecretText {
        /// Its name.
        id: String,
    },
    /// A step asks for an SSH agent, and there is none.
    #[error("the step needs the SSH agent `{id}`, and it is not forwarded")]
    NoAgent {
        /// Its name.
        id: String,
    },
    /// The source of a bind mount is not there.
    #[error("`{source_path}` does not exist in the source of the bind mount")]
    NoBindSource {
        /// As written.
        source_path: String,
    },
    /// A cache mount's directory cannot be had.
    #[error("cannot use the cache mount `{id}`")]
    CacheMount {
        /// Its name.
        id: String,
        /// Why.
        source: io::Error,
    },
    /// The bind mount's tree cannot be mounted.
    #[error("cannot mount the source of a bind mount")]
    Overlay {
        /// Why.
        source: OverlayError,
    },
    /// The thread cannot have its own mounts.
    #[error("cannot make a mount namespace")]
    Namespace {
        /// Why.
        source: io::Error,
    },
    /// The build network cannot be set up.
    #[error("cannot set up the build network")]
    Network {
        /// Why.
        source: NetworkError,
    },
    /// More steps at once than the build network has addresses.
    #[error("no address is left in the build network {subnet}")]
    NoAddress {
        /// Its addresses.
        subnet: String,
    },
    /// The filesystem refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl RunError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RunError {
        let path = path.to_owned();
        move |source| RunError::Io {
            action,
            path,
            source,
        }
    }
}
