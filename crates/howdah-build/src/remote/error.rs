//! Why something could not be fetched.

use std::io;

use howdah_image::layer::LayerError;
use howdah_image::{Digest, StoreError};

use super::reference::ParseGitReferenceError;

/// Why something could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The address of a repository cannot be read.
    #[error(transparent)]
    GitReference(#[from] ParseGitReferenceError),
    /// There is no program `git`.
    #[error("cannot fetch `{address}`: the program `git` is not installed")]
    NoGit {
        /// Without credentials.
        address: String,
    },
    /// Git could not do it.
    #[error("cannot {action} `{address}`{}", detail(said))]
    Git {
        /// What it was to do.
        action: &'static str,
        /// Without credentials.
        address: String,
        /// The last of its words.
        said: String,
    },
    /// A branch, tag or commit that is not there.
    #[error("`{address}` has no branch, tag or commit `{name}`")]
    NoReference {
        /// Without credentials.
        address: String,
        /// As asked for.
        name: String,
    },
    /// A directory that is not in the repository.
    #[error("`{address}` has no directory `{directory}` at {commit}")]
    NoDirectory {
        /// Without credentials.
        address: String,
        /// As asked for.
        directory: String,
        /// The commit.
        commit: String,
    },
    /// Another content than was promised.
    #[error("`{address}` is {found}, and {expected} was expected")]
    Checksum {
        /// Without credentials.
        address: String,
        /// As promised.
        expected: String,
        /// As it is.
        found: String,
    },
    /// `--checksum` cannot be read.
    #[error("`{checksum}` is not {expected}")]
    BadChecksum {
        /// As given.
        checksum: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A URL cannot be read.
    #[error("`{address}` is not a URL")]
    Url {
        /// As given.
        address: String,
    },
    /// The server refused.
    #[error("`{address}` cannot be had: the server answers {status}")]
    Status {
        /// Without credentials.
        address: String,
        /// Its answer.
        status: reqwest::StatusCode,
    },
    /// No answer, or a broken one, after several attempts.
    #[error("cannot download `{address}`")]
    Transfer {
        /// Without credentials.
        address: String,
        /// Why not.
        source: reqwest::Error,
    },
    /// Nothing came for too long.
    #[error("cannot download `{address}`: no data for {seconds} seconds")]
    Stalled {
        /// Without credentials.
        address: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// More than anybody wants.
    #[error("`{address}` is larger than {limit} bytes")]
    TooLarge {
        /// Without credentials.
        address: String,
        /// The limit.
        limit: u64,
    },
    /// An archive cannot be unpacked.
    #[error("cannot unpack `{name}`")]
    Unpack {
        /// As people know it.
        name: String,
        /// Why.
        source: LayerError,
    },
    /// Something the store has lost meanwhile.
    #[error("the content {digest} of `{name}` is no longer in the store")]
    Lost {
        /// As people know it.
        name: String,
        /// Its digest.
        digest: Digest,
    },
    /// The system refused.
    #[error("cannot {action}")]
    Io {
        /// What was being done, operand included.
        action: String,
        /// Why.
        source: io::Error,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The build was stopped.
    #[error("cancelled")]
    Cancelled,
}

impl RemoteError {
    /// Adds what was being done to a failure of the system.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> RemoteError {
        let action = action.into();
        move |source| RemoteError::Io { action, source }
    }
}

fn detail(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    }
}
