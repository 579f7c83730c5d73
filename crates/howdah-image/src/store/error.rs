//! What can go wrong in the store.

use std::io;
use std::path::{Path, PathBuf};

use crate::{Digest, SnapshotId};

/// A failure of the local store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The kernel refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No space, or over quota.
    #[error("no space is left on the disk of `{}`", path.display())]
    DiskFull {
        /// What could not be written.
        path: PathBuf,
        /// The kernel's words.
        source: io::Error,
    },
    /// `SQLite` refused.
    #[error("cannot use the database `{}`", path.display())]
    Database {
        /// The database's file.
        path: PathBuf,
        /// Why not.
        source: SqliteError,
    },
    /// Made by a later version of Howdah.
    #[error("the database `{}` has version {found} of its `{part}` tables, this howdah knows up to {known}", path.display())]
    TooNew {
        /// The database's file.
        path: PathBuf,
        /// Whose tables.
        part: &'static str,
        /// The version found.
        found: u32,
        /// The newest version known.
        known: u32,
    },
    /// Made by another user, or with other subordinate ids.
    #[error("the store `{}` was made with {found}, and this command has {here}: name another store (--root), or remove it", root.display())]
    OtherIds {
        /// The store.
        root: PathBuf,
        /// The ids it was made with.
        found: String,
        /// The ids of this process.
        here: String,
    },
    /// A short id that several images begin with.
    #[error("image id `{0}` is ambiguous: several images begin with it")]
    AmbiguousId(String),
    /// An image names a tree that is not there.
    #[error("snapshot `{0}` is not in the store")]
    NoSnapshot(SnapshotId),
    /// An image whose tree was lost.
    #[error("image `{image}` is damaged: its snapshot `{snapshot}` is not in the store")]
    DamagedImage {
        /// As people know it.
        image: String,
        /// What is missing.
        snapshot: SnapshotId,
    },
    /// Bytes of the database are not what `SQLite` wrote.
    #[error("the database `{}` is damaged", path.display())]
    DamagedDatabase {
        /// The database's file.
        path: PathBuf,
        /// What was found.
        source: SqliteError,
    },
    /// A blob's bytes are not what its name says.
    #[error("blob {expected} has the digest {found}")]
    DigestMismatch {
        /// The name.
        expected: Digest,
        /// The content.
        found: Digest,
    },
    /// A configuration that does not parse, or cannot be written.
    #[error("cannot read the configuration of image `{id}`")]
    Config {
        /// The image, or what is known of it.
        id: String,
        /// Why not.
        source: serde_json::Error,
    },
}

/// What `SQLite` says. rusqlite has the same again, by its number, as the source.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SqliteError(rusqlite::Error);

impl From<rusqlite::Error> for SqliteError {
    fn from(error: rusqlite::Error) -> Self {
        Self(error)
    }
}

impl StoreError {
    /// For `map_err`: a full disk is told apart, because what to do next differs.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path, source }
            }
            _ => Self::Io {
                action,
                path,
                source,
            },
        }
    }
}
