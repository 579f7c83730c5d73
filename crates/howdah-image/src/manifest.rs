//! Manifests and indexes: the OCI image specification's `manifest.md`, `image-index.md`, `descriptor.md`, and Docker's
//! schema 2, which has the same fields under other media types.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Digest, Platform};

/// The media type of an OCI manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an OCI index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// The content of the file `oci-layout` (`image-layout.md`).
pub(crate) const OCI_LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
/// The name of an image in an OCI layout, as containerd and Docker have it.
pub(crate) const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// The tag alone, or a whole name (`annotations.md`).
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// A blob: what it is, its name and its size.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    #[serde(default)]
    pub media_type: String,
    /// Its name.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// In an index: what it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Remarks, such as a tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

impl Descriptor {
    /// A descriptor of a blob that is known.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            platform: None,
            annotations: None,
        }
    }

    /// A descriptor of these bytes.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// One of its remarks.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(name).map(String::as_str)
    }
}

/// One image.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// 2.
    pub schema_version: u32,
    /// Its own media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The configuration blob.
    pub config: Descriptor,
    /// Lowest first.
    pub layers: Vec<Descriptor>,
}

/// One name for several platforms' images.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// 2.
    pub schema_version: u32,
    /// Its own media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Manifests, or more indexes.
    pub manifests: Vec<Descriptor>,
}

impl Default for Index {
    /// An index of nothing.
    fn default() -> Self {
        Self {
            schema_version: 2,
            media_type: Some(OCI_INDEX.to_owned()),
            manifests: Vec::new(),
        }
    }
}

impl Index {
    /// The entry that suits `platform` best. A single entry that names no platform is taken as it is.
    pub(crate) fn select(&self, platform: &Platform) -> Option<&Descriptor> {
        let rank = |descriptor: &Descriptor| platform.rank(descriptor.platform.as_ref()?);
        let named = self.manifests.iter();
        let best = named.filter_map(|descriptor| Some((rank(descriptor)?, descriptor)));
        match best.min_by_key(|(rank, _)| *rank) {
            Some((_, descriptor)) => Some(descriptor),
            None => match self.manifests.as_slice() {
                [only] if only.platform.is_none() => Some(only),
                _ => None,
            },
        }
    }
}

/// Whether the media type, or without one the document itself, is an index of several platforms.
pub(crate) fn is_index(media_type: &str) -> bool {
    media_type == OCI_INDEX || media_type == DOCKER_LIST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selects_the_wanted_platform_and_never_an_attestation() {
        let text = r#"{"schemaVersion":2,"manifests":[
            {"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":1,"platform":{"os":"unknown","architecture":"unknown"}},
            {"digest":"sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae","size":1,"platform":{"os":"linux","architecture":"arm64","variant":"v8"}}]}"#;
        let index: Index = serde_json::from_str(text).unwrap();
        let wanted: Platform = "linux/arm64".parse().unwrap();
        assert_eq!(index.select(&wanted).unwrap().digest, Digest::of("foo"));
        assert!(index.select(&"linux/arm/v7".parse().unwrap()).is_none());
        assert!(index.select(&"linux/riscv64".parse().unwrap()).is_none());
    }
}
