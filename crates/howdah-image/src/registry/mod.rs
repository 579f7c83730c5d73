//! Pull and push: a blocking face over `oci-client`.

use std::path::PathBuf;

use crate::{Digest, Image, Reference, Store, StoreError};

/// Where credentials are, and what to ask for.
#[derive(Debug, Clone, Default)]
pub struct RegistryOptions {
    /// Docker's `config.json` (`~/.docker/config.json`), when there is one.
    pub docker_config: Option<PathBuf>,
    /// `linux/amd64`; this machine's when absent.
    pub platform: Option<String>,
}

/// A registry that failed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The store refused.
    #[error("cannot reach the images in the store")]
    Store {
        /// Why not.
        source: StoreError,
    },
}

/// Progress of one blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// Which blob.
    pub digest: Digest,
    /// Bytes moved so far.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
    /// What happens with it.
    pub state: TransferState,
}

/// What happens with a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferState {
    /// It is there already.
    Present,
    /// It moves.
    Moving,
    /// It is unpacked (pull) or packed (push).
    Packing,
    /// It is done.
    Done,
}

/// A client for any number of registries.
#[derive(Debug)]
pub struct Registry {
    options: RegistryOptions,
}

impl Registry {
    /// A client; nothing is sent yet.
    pub fn new(options: RegistryOptions) -> Result<Self, RegistryError> {
        Ok(Self { options })
    }

    /// Fetches an image with the layers that are missing, and names it.
    pub fn pull(
        &self,
        store: &Store,
        reference: &Reference,
        progress: &dyn Fn(Transfer),
    ) -> Result<Image, RegistryError> {
        let _ = (store, reference, progress, &self.options);
        todo!()
    }

    /// Sends an image with the blobs that the registry lacks. Gives the manifest's digest.
    pub fn push(
        &self,
        store: &Store,
        image: &Image,
        reference: &Reference,
        progress: &dyn Fn(Transfer),
    ) -> Result<Digest, RegistryError> {
        let _ = (store, image, reference, progress);
        todo!()
    }
}
