//! Manifests and indexes: the OCI image specification's `manifest.md`, `image-index.md`, `descriptor.md`, and Docker's
//! schema 2, which has the same fields under other media types.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Digest, ImageConfig, host_architecture};

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

/// What a descriptor in an index runs on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// In Go's names: `amd64`.
    pub architecture: String,
    /// `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// A text is not a platform.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a platform of the form linux/amd64 or linux/arm64/v8")]
pub struct ParsePlatformError(String);

impl Default for Platform {
    /// This machine.
    fn default() -> Self {
        Self {
            os: "linux".to_owned(),
            architecture: host_architecture().to_owned(),
            variant: None,
        }
    }
}

impl std::str::FromStr for Platform {
    type Err = ParsePlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts.as_slice() {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some((*variant).to_owned())),
            _ => return Err(ParsePlatformError(text.to_owned())),
        };
        if os.is_empty() || architecture.is_empty() {
            return Err(ParsePlatformError(text.to_owned()));
        }
        Ok(Self {
            os: (*os).to_owned(),
            architecture: (*architecture).to_owned(),
            variant,
        })
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        self.variant
            .iter()
            .try_for_each(|variant| write!(formatter, "/{variant}"))
    }
}

impl Platform {
    /// What the configuration of an image says that it runs on.
    pub fn of(config: &ImageConfig) -> Self {
        Self {
            os: config.os.clone(),
            architecture: config.architecture.clone(),
            variant: config.variant.clone(),
        }
    }

    /// Whether both name the same machine. A variant counts where both have one; for arm64 it never does, since there is
    /// only v8 (containerd `platforms/defaults.go`).
    pub fn is_like(&self, other: &Self) -> bool {
        let variants = match (&self.variant, &other.variant) {
            (Some(one), Some(other)) => self.architecture == "arm64" || one == other,
            _ => true,
        };
        self.os == other.os && self.architecture == other.architecture && variants
    }

    /// Whether an image for `other` runs where this platform is wanted. No variant wanted means any.
    fn accepts(&self, other: &Self) -> bool {
        self.os == other.os
            && self.architecture == other.architecture
            && (self.variant.is_none() || self.variant == other.variant)
    }
}

impl Index {
    /// The entry for `platform`. A single entry that names no platform is taken as it is.
    pub(crate) fn select(&self, platform: &Platform) -> Option<&Descriptor> {
        let named = |descriptor: &&Descriptor| {
            descriptor
                .platform
                .as_ref()
                .is_some_and(|found| platform.accepts(found))
        };
        self.manifests
            .iter()
            .find(named)
            .or(match self.manifests.as_slice() {
                [only] if only.platform.is_none() => Some(only),
                _ => None,
            })
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
        assert!(index.select(&"linux/arm64/v7".parse().unwrap()).is_none());
        assert!(index.select(&"linux/riscv64".parse().unwrap()).is_none());
        assert!("linux".parse::<Platform>().is_err());
    }
}
