//! Manifests and indexes as they are written, with the fields that only writers need.

use std::collections::BTreeMap;

use serde::Serialize;

use super::ExportError;
use super::bundle::Document;
use crate::manifest::{
    DOCKER_LIST, DOCKER_MANIFEST, Descriptor, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST,
};
use crate::store::Compression;

/// The names of one family of documents.
#[derive(Debug, Clone, Copy)]
pub(super) struct MediaTypes {
    pub(super) manifest: &'static str,
    pub(super) config: &'static str,
    pub(super) index: &'static str,
    docker: bool,
}

/// OCI's, or those of Docker's image manifest version 2, schema 2.
pub(super) const fn media_types(docker: bool) -> MediaTypes {
    if docker {
        MediaTypes {
            manifest: DOCKER_MANIFEST,
            config: "application/vnd.docker.container.image.v1+json",
            index: DOCKER_LIST,
            docker,
        }
    } else {
        MediaTypes {
            manifest: OCI_MANIFEST,
            config: OCI_CONFIG,
            index: OCI_INDEX,
            docker,
        }
    }
}

impl MediaTypes {
    pub(super) const fn layer(self, compression: Compression) -> &'static str {
        match (self.docker, compression) {
            (true, Compression::None) => "application/vnd.docker.image.rootfs.diff.tar",
            (true, Compression::Gzip) => "application/vnd.docker.image.rootfs.diff.tar.gzip",
            (_, compression) => compression.media_type(),
        }
    }
}

/// A descriptor that may have its content with it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ConfigDescriptor {
    #[serde(flatten)]
    descriptor: Descriptor,
    /// In Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'static str>,
}

impl From<Descriptor> for ConfigDescriptor {
    fn from(descriptor: Descriptor) -> Self {
        Self {
            descriptor,
            data: None,
        }
    }
}

impl ConfigDescriptor {
    /// Of the empty object, the configuration of what is no image (`manifest.md`, "Guidance for an Empty Descriptor").
    pub(super) fn empty() -> (Self, Document) {
        let document = Document::new("application/vnd.oci.empty.v1+json", b"{}".to_vec());
        let config = Self {
            descriptor: document.descriptor.clone(),
            data: Some("e30="),
        };
        (config, document)
    }
}

/// `manifest.md`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ManifestDocument {
    pub(super) schema_version: u32,
    pub(super) media_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) artifact_type: Option<&'static str>,
    pub(super) config: ConfigDescriptor,
    pub(super) layers: Vec<Descriptor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<Descriptor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) annotations: Option<BTreeMap<String, String>>,
}

impl ManifestDocument {
    pub(super) fn new(
        media_type: &'static str,
        config: ConfigDescriptor,
        layers: Vec<Descriptor>,
    ) -> Self {
        Self {
            schema_version: 2,
            media_type,
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: None,
        }
    }

    pub(super) fn write(&self) -> Result<Document, ExportError> {
        write("manifest", self.media_type, self)
    }
}

/// `image-index.md`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IndexDocument {
    pub(super) schema_version: u32,
    pub(super) media_type: &'static str,
    pub(super) manifests: Vec<Descriptor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) annotations: Option<BTreeMap<String, String>>,
}

impl IndexDocument {
    pub(super) fn new(media_type: &'static str, manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type,
            manifests,
            annotations: None,
        }
    }

    pub(super) fn write(&self) -> Result<Document, ExportError> {
        write("index", self.media_type, self)
    }
}

fn write(
    document: &'static str,
    media_type: &str,
    value: &impl Serialize,
) -> Result<Document, ExportError> {
    let bytes =
        serde_json::to_vec(value).map_err(|source| ExportError::Document { document, source })?;
    Ok(Document::new(media_type, bytes))
}
