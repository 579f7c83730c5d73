//! A cache in a registry: an OCI image manifest under a name, whose configuration is the list of what it holds. Registries
//! take it as they take images, and share its blobs with them.

use howdah_image::layer::receive_blob;
use howdah_image::registry::{Blob as StoredBlob, Document};
use howdah_image::{
    Digest, Manifest, OCI_MANIFEST, Reference, Registry, RegistryError, RegistryOptions, Store,
    TransferState,
};

use super::contents::Blob;
use super::document::LARGEST_DOCUMENT;
use super::error::CacheError;

/// A name of a registry.
#[derive(Debug)]
pub(super) struct Repository {
    registry: Registry,
    reference: Reference,
}

impl Repository {
    pub(super) fn new(
        reference: &Reference,
        options: &RegistryOptions,
    ) -> Result<Repository, CacheError> {
        Ok(Repository {
            registry: Registry::new(options.clone())?,
            reference: reference.clone(),
        })
    }

    pub(super) fn manifest(&self) -> Result<Manifest, CacheError> {
        let document = match self.registry.fetch_manifest(&self.reference) {
            Err(RegistryError::NotFound(_)) => return Err(CacheError::Missing),
            other => other?,
        };
        serde_json::from_slice(&document.bytes)
            .map_err(|_| CacheError::Other("its name belongs to something else"))
    }

    pub(super) fn document(&self, digest: &Digest) -> Result<Vec<u8>, CacheError> {
        let registry = &self.registry;
        Ok(registry.fetch_bytes(&self.reference, digest, LARGEST_DOCUMENT)?)
    }

    pub(super) fn has(&self, digest: &Digest) -> Result<bool, CacheError> {
        Ok(self.registry.has_blob(&self.reference, digest)?)
    }

    /// Fetches a blob into the store, where its bytes have its digest.
    pub(super) fn fetch(&self, store: &Store, blob: &Blob) -> Result<(), CacheError> {
        let registry = &self.registry;
        Ok(registry.fetch_blob(store, &self.reference, &stored(blob), &|_| ())?)
    }

    /// Fetches a layer and unpacks it.
    pub(super) fn fetch_layer(&self, store: &Store, blob: &Blob) -> Result<(), CacheError> {
        self.fetch(store, blob)?;
        receive_blob(store, blob.diff_id, &stored(blob))?;
        Ok(())
    }

    /// Adds a blob of the store. Says whether its bytes had to move.
    pub(super) fn send(&self, store: &Store, blob: &Blob) -> Result<bool, CacheError> {
        let sent = self
            .registry
            .send_blob(store, &self.reference, &stored(blob), &|_| ())?;
        Ok(!matches!(
            sent,
            TransferState::Present | TransferState::Mounted
        ))
    }

    pub(super) fn send_document(&self, bytes: &[u8]) -> Result<(), CacheError> {
        self.registry.send_bytes(&self.reference, bytes)?;
        Ok(())
    }

    pub(super) fn publish(&self, manifest: Vec<u8>) -> Result<(), CacheError> {
        let document = Document {
            media_type: OCI_MANIFEST.to_owned(),
            bytes: manifest,
        };
        self.registry.send_manifest(&self.reference, &document)?;
        Ok(())
    }
}

fn stored(blob: &Blob) -> StoredBlob {
    StoredBlob {
        digest: blob.digest,
        size: blob.size,
    }
}
