//! The two places where a cache can be.

use std::fs::File;

use howdah_image::layer::receive;
use howdah_image::{Descriptor, Digest, Manifest, OCI_MANIFEST, RegistryOptions, Store};

use super::DocumentError;
use super::contents::{Blob, Contents};
use super::directory::Directory;
use super::document::{self, CONFIG_TYPE, LARGEST_DOCUMENT};
use super::error::CacheError;
use super::repository::Repository;
use super::spec::CachePlace;

/// Reads and writes the manifest and the blobs of one cache.
#[derive(Debug)]
pub(super) enum Backend {
    Directory(Directory),
    Repository(Box<Repository>),
}

impl Backend {
    pub(super) fn new(
        place: &CachePlace,
        options: &RegistryOptions,
    ) -> Result<Backend, CacheError> {
        match place {
            CachePlace::Directory { path, tag } => {
                let directory = Directory::new(path.clone(), tag.clone());
                Ok(Backend::Directory(directory))
            }
            CachePlace::Registry(reference) => {
                let repository = Repository::new(reference, options)?;
                Ok(Backend::Repository(Box::new(repository)))
            }
        }
    }

    /// The list of what the cache holds; of a directory perhaps exactly this manifest's.
    pub(super) fn contents(&self, digest: Option<Digest>) -> Result<Contents, CacheError> {
        let manifest = match self {
            Backend::Directory(directory) => directory.manifest(digest)?,
            Backend::Repository(repository) => repository.manifest()?,
        };
        let config = &manifest.config;
        if config.media_type != CONFIG_TYPE {
            return Err(CacheError::Other("its name belongs to an image"));
        }
        if config.size > LARGEST_DOCUMENT {
            return Err(DocumentError::TooLarge.into());
        }
        let bytes = match self {
            Backend::Directory(directory) => directory.document(&config.digest)?,
            Backend::Repository(repository) => repository.document(&config.digest)?,
        };
        Ok(document::read(&bytes)?)
    }

    /// Whether it has a blob.
    pub(super) fn has(&self, blob: &Blob) -> Result<bool, CacheError> {
        match self {
            Backend::Directory(directory) => Ok(directory.has(blob)),
            Backend::Repository(repository) => repository.has(&blob.digest),
        }
    }

    /// Fetches a layer into the store as the snapshot that its record names: a blob with other bytes is refused.
    pub(super) fn fetch_layer(&self, store: &Store, blob: &Blob) -> Result<(), CacheError> {
        match self {
            Backend::Directory(directory) => {
                match receive(store, blob.diff_id, directory.open(&blob.digest)?) {
                    Ok(_) => Ok(()),
                    Err(_) if directory.remove_damaged(&blob.digest)? => {
                        Err(CacheError::Damaged(blob.digest))
                    }
                    Err(error) => Err(error.into()),
                }
            }
            Backend::Repository(repository) => repository.fetch_layer(store, blob),
        }
    }

    /// A blob's bytes. Of a directory nobody has checked them yet.
    pub(super) fn open(&self, store: &Store, blob: &Blob) -> Result<File, CacheError> {
        match self {
            Backend::Directory(directory) => directory.open(&blob.digest),
            Backend::Repository(repository) => {
                repository.fetch(store, blob)?;
                Ok(store.open_blob(&blob.digest)?)
            }
        }
    }

    /// Adds a blob of the store. Says whether its bytes had to move.
    pub(super) fn send(&self, store: &Store, blob: &Blob) -> Result<bool, CacheError> {
        match self {
            Backend::Directory(directory) => {
                directory.put(&blob.digest, &mut store.open_blob(&blob.digest)?)?;
                Ok(true)
            }
            Backend::Repository(repository) => repository.send(store, blob),
        }
    }

    /// Makes these contents, whose blobs are there, what the cache holds.
    pub(super) fn publish(&self, contents: &Contents) -> Result<(), CacheError> {
        let list = document::write(contents)?;
        let config = Descriptor::of(CONFIG_TYPE, &list);
        let layers = contents.blobs().into_iter();
        let layers = layers.map(|blob| Descriptor::new(&blob.media_type, blob.digest, blob.size));
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(OCI_MANIFEST.to_owned()),
            layers: layers.collect(),
            config,
        };
        let bytes =
            serde_json::to_vec(&manifest).map_err(|source| DocumentError::Json { source })?;
        match self {
            Backend::Directory(directory) => {
                let descriptor = Descriptor::of(OCI_MANIFEST, &bytes);
                directory.put(&manifest.config.digest, &mut list.as_slice())?;
                directory.put(&descriptor.digest, &mut bytes.as_slice())?;
                directory.publish(&descriptor)
            }
            Backend::Repository(repository) => {
                repository.send_document(&list)?;
                repository.publish(bytes)
            }
        }
    }
}
