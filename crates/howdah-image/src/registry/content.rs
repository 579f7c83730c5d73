//! What registries hold: blobs by digest, and the documents that name them.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// A blob's name and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Blob {
    /// The SHA-256 of its bytes.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
}

impl Blob {
    /// The blob that these bytes are.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
        }
    }
}

/// A manifest or an index, byte for byte: its digest is its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// `application/vnd.oci.image.manifest.v1+json` and the like.
    pub media_type: String,
    /// JSON.
    pub bytes: Vec<u8>,
}

impl Document {
    /// The name under which a registry has it.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }
}
