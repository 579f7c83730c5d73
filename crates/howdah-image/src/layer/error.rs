//! What can go wrong with a layer.

use std::io;
use std::path::PathBuf;

use super::tar::TarError;
use crate::{Digest, SnapshotId, StoreError};

/// A layer that cannot be unpacked or packed.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// Not a readable tar.
    #[error("the layer is not a valid tar archive")]
    Archive {
        /// What is wrong with it.
        source: io::Error,
    },
    /// A compression that image layers do not have.
    #[error("the layer is compressed with {0}; only gzip and zstd are layers' compressions")]
    Compression(&'static str),
    /// An entry that would leave the layer's directory.
    #[error("the layer's entry `{0}` points outside of the layer")]
    Escape(String),
    /// An entry that no layer can have.
    #[error("the layer's entry `{path}` {what}")]
    Entry {
        /// The entry.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// More than the limits allow.
    #[error("the layer has more than {limit} {what}")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        limit: u64,
    },
    /// The kernel refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what: a path in the layer, or of a snapshot.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The packed layer cannot be written to where it should go.
    #[error("cannot write the layer's archive")]
    Write {
        /// Why not.
        source: io::Error,
    },
    /// A snapshot of the layer is gone.
    #[error("snapshot `{0}` of the layer is not in the store")]
    NoSnapshot(SnapshotId),
    /// The tar is another than the image's configuration names.
    #[error("the layer's content has the digest {found}, its image expects {expected}")]
    DiffId {
        /// What the configuration names.
        expected: Digest,
        /// What arrived.
        found: Digest,
    },
    /// The store refused.
    #[error("cannot keep the layer")]
    Store {
        /// Why not.
        #[source]
        source: StoreError,
    },
}

impl From<TarError> for LayerError {
    fn from(error: TarError) -> Self {
        match error {
            TarError::TooLarge(limit) => Self::TooLarge {
                what: "bytes",
                limit,
            },
            TarError::Read { source } => Self::Archive { source },
            other => Self::Archive {
                source: io::Error::new(io::ErrorKind::InvalidData, other),
            },
        }
    }
}
