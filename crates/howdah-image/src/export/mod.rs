//! Images as they leave: blobs, manifests over them, and an index when there are several platforms or attestations.
//!
//! A [`Bundle`] is complete before anything is sent or written, so an archive, a directory and every registry get the same
//! digests.

mod annotations;
mod attestation;
mod bundle;
mod document;

use crate::layer::{CompressionOptions, LayerError, PackOptions};

pub use annotations::{Annotation, Annotations, Level, ParseAnnotationError};
pub use attestation::{Attestation, package_url};
pub(crate) use bundle::{Blob, Document};
pub use bundle::{Bundle, Export, ExportedImage, Variant};

/// How images leave.
#[derive(Debug, Clone, Default)]
pub struct ExportOptions {
    /// How layers made here are packed.
    pub pack: PackOptions,
    /// How layers are compressed.
    pub compression: CompressionOptions,
    /// Docker's media types instead of OCI's (`oci-mediatypes=false`).
    pub docker_types: bool,
    /// Remarks on manifests and the index.
    pub annotations: Annotations,
    /// An index also over one image alone.
    pub index: bool,
}

/// Images that cannot leave.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A layer that cannot be packed.
    #[error("layer {number} of {count} failed")]
    Layer {
        /// Counted from one.
        number: usize,
        /// All layers of the image.
        count: usize,
        /// Why.
        source: LayerError,
    },
    /// A document that has no JSON form.
    #[error("cannot write the {document}")]
    Document {
        /// Which.
        document: &'static str,
        /// Why not.
        source: serde_json::Error,
    },
    /// Docker's media types have no zstd and no annotations of indexes.
    #[error("{0} needs OCI media types")]
    DockerTypes(&'static str),
    /// An annotation of an index, and there is none.
    #[error("the annotation `{0}` is for an index, and one image without attestations has none")]
    NoIndex(String),
    /// An annotation of an image that is not there.
    #[error("the annotation `{key}` is for {platform}, and no image is")]
    NoPlatform {
        /// Its name.
        key: String,
        /// As asked for.
        platform: String,
    },
}
