//! Images as one tar file that is both an OCI layout and a Docker archive, as Docker 25 and later write it.

use std::io::{Read, Write};

use crate::layer::PackOptions;
use crate::{Image, Reference, Store, StoreError};

/// An image and the names it has in an archive.
#[derive(Debug, Clone)]
pub struct NamedImage {
    /// The image.
    pub image: Image,
    /// Its names.
    pub references: Vec<Reference>,
}

/// An archive that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The store refused.
    #[error("cannot reach the images of the archive")]
    Store {
        /// Why not.
        source: StoreError,
    },
}

/// Writes the images with their names.
pub fn save(
    store: &Store,
    images: &[NamedImage],
    writer: impl Write,
    options: &PackOptions,
) -> Result<(), ArchiveError> {
    let _ = (store, images, writer, options);
    todo!()
}

/// Reads an archive, compressed or not, into the store and gives its images their names.
pub fn load(store: &Store, reader: impl Read) -> Result<Vec<NamedImage>, ArchiveError> {
    let _ = (store, reader);
    todo!()
}
