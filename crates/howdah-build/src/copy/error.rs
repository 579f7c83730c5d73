//! Why files could not be copied.

use std::io;

/// Why files could not be copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// A source that is no wildcard matches nothing.
    #[error("`{source_path}` not found in {place}")]
    NotFound {
        /// As written.
        source_path: String,
        /// Where it was looked for.
        place: String,
        /// Whether `.dockerignore` leaves it out.
        ignored: bool,
    },
    /// A directory cannot take the place of another kind of file.
    #[error("cannot copy the directory to `{path}`: it is not a directory there")]
    NotADirectory {
        /// In the image.
        path: String,
    },
    /// A file cannot take the place of a directory.
    #[error("cannot copy the file to `{path}`: it is a directory there")]
    IsADirectory {
        /// In the image.
        path: String,
    },
    /// `--chown` names a user or group that the image does not have.
    #[error("`{name}` is not in `{file}` of the image")]
    UnknownOwner {
        /// The name.
        name: String,
        /// `/etc/passwd` or `/etc/group`.
        file: &'static str,
    },
    /// `--chown` or `--chmod` cannot be read.
    #[error("`{value}` is not {expected}")]
    Option {
        /// As given.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A pattern is malformed.
    #[error("`{pattern}` is not a pattern")]
    Pattern {
        /// As given.
        pattern: String,
    },
    /// An archive for `ADD` is not whole, or leads out of the image.
    #[error("cannot unpack `{archive}`")]
    Unpack {
        /// As given.
        archive: String,
        /// Why.
        source: io::Error,
    },
    /// The filesystem refused.
    #[error("cannot {action}")]
    Io {
        /// What was being done, operand included.
        action: String,
        /// Why.
        source: io::Error,
    },
}

impl CopyError {
    /// Adds what was being done to a failure of the filesystem.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> CopyError {
        let action = action.into();
        move |source| CopyError::Io { action, source }
    }
}
