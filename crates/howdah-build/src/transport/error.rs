//! Why a cache could not be read or written.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use howdah_image::layer::LayerError;
use howdah_image::{Digest, RegistryError, StoreError};

/// Why a cache could not be used. Never the reason why a build fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// Nobody has written it yet.
    #[error("there is no cache")]
    Missing,
    /// What is there under this name is something else.
    #[error("it is no cache of howdah: {0}")]
    Other(&'static str),
    /// It did not answer.
    #[error("no answer within {} seconds", .0.as_secs())]
    Silent(Duration),
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
    /// A blob is not what its name says.
    #[error("the blob {0} is damaged")]
    Damaged(Digest),
    /// A layer did not come, or is not what its name says.
    #[error("cannot fetch the layer {digest}, its step runs again")]
    Fetch {
        /// Its blob.
        digest: Digest,
        /// Why not.
        source: Box<CacheError>,
    },
    /// The list of what it holds makes no sense.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The registry refused.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A layer could not be packed or unpacked.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is wrong with the list of what a cache holds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// No JSON, or other fields.
    #[error("cannot read or write the list of its records")]
    Json {
        /// Where and what.
        source: serde_json::Error,
    },
    /// Made by another version of Howdah.
    #[error("it has the format {0}, which this howdah does not know")]
    Version(u32),
    /// More than any build makes.
    #[error("it holds too much")]
    TooLarge,
    /// A record without keys, or with layers that are not there.
    #[error("it has a record that makes no sense")]
    Record,
}

impl CacheError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| CacheError::Io {
            action,
            path,
            source,
        }
    }
}
