//! Images as one tar file that is both an OCI layout (`image-layout.md`) and a Docker archive (`docker save`), as
//! Docker 25 and later write it. Reading takes either form, and an OCI layout in a directory.

mod docker;
mod layout;
mod listed;
mod load;
mod save;
mod source;

use std::io;

use crate::export::ExportError;
use crate::layer::LayerError;
use crate::{Image, Reference, StoreError};

pub use load::{load, load_directory, load_layout};
pub use save::{save, save_bundle, save_directory};

/// An image and the names it has in an archive.
#[derive(Debug, Clone)]
pub struct NamedImage {
    /// One for each platform, at least one.
    pub images: Vec<Image>,
    /// Their names.
    pub references: Vec<Reference>,
}

impl NamedImage {
    /// Whether both are of the same images.
    pub fn is_like(&self, images: &[Image]) -> bool {
        let ids = |images: &[Image]| images.iter().map(|image| image.id).collect::<Vec<_>>();
        ids(&self.images) == ids(images)
    }
}

/// An archive that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Neither of the two forms.
    #[error("this is no image archive: it has neither `manifest.json` nor `index.json`")]
    NotAnArchive,
    /// Not a readable tar.
    #[error("the archive cannot be read")]
    Read {
        /// Why not.
        source: LayerError,
    },
    /// A file that the archive's documents name, and that it does not have.
    #[error("the archive has no file `{0}`, which its manifest names")]
    Missing(String),
    /// A document that cannot be understood.
    #[error("cannot read `{name}` in the archive")]
    Document {
        /// Its path.
        name: String,
        /// Why not.
        source: serde_json::Error,
    },
    /// A document that contradicts itself.
    #[error("`{name}` in the archive {what}")]
    Invalid {
        /// Its path.
        name: String,
        /// What is wrong.
        what: &'static str,
    },
    /// No image of that name.
    #[error("it has no image with the tag or digest `{0}`")]
    NoImage(String),
    /// Several images, and no name that says which.
    #[error("it has several images, and no tag or digest says which one")]
    SeveralImages,
    /// No image for the platform in an index of several.
    #[error("it has no image for {0}")]
    NoPlatform(String),
    /// A layer that cannot be packed or unpacked.
    #[error("layer {number} of {count} failed")]
    Layer {
        /// Counted from one.
        number: usize,
        /// All layers of the image.
        count: usize,
        /// Why.
        source: LayerError,
    },
    /// The images cannot leave.
    #[error("cannot export the image")]
    Export {
        /// Why not.
        source: ExportError,
    },
    /// The file or pipe where the archive should go, or comes from.
    #[error("cannot {action} the archive")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The store refused.
    #[error("cannot reach the images of the archive")]
    Store {
        /// Why not.
        source: StoreError,
    },
}

fn store_error(source: StoreError) -> ArchiveError {
    ArchiveError::Store { source }
}

fn write_error(source: io::Error) -> ArchiveError {
    ArchiveError::Io {
        action: "write",
        source,
    }
}
