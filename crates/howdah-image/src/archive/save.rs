//! Writing an archive.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};

use super::docker::{ManifestEntry, Repositories, add_to};
use super::{ArchiveError, NamedImage, write_error};
use crate::layer::PackOptions;
use crate::layer::tar::{Kind, Metadata, Writer};
use crate::layer::transfer::{Packed, archived, document};
use crate::manifest::{
    CONTAINERD_NAME, Descriptor, Index, Manifest, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, Platform,
    REF_NAME,
};
use crate::{Digest, Reference, Store};

/// Writes the images with their names. The same images give the same bytes, as long as their layers are kept in the
/// same form: a layer with a gzip blob leaves compressed, any other as a plain tar.
pub fn save(
    store: &Store,
    images: &[NamedImage],
    writer: impl Write,
    options: &PackOptions,
) -> Result<(), ArchiveError> {
    let mut archive = Archive {
        tar: Writer::new(writer),
        blobs: BTreeSet::new(),
        options,
    };
    archive.entry("blobs", None)?;
    archive.entry("blobs/sha256", None)?;
    let mut manifests = Vec::new();
    let mut entries = Vec::new();
    let mut repositories = Repositories::new();
    for named in images {
        let written = archive.image(store, named)?;
        add_to(
            &mut repositories,
            &named.references,
            written.top_layer.as_deref().unwrap_or_default(),
        );
        manifests.extend(index_entries(&written.manifest, &named.references));
        entries.push(written.entry);
    }
    let index = Index {
        schema_version: 2,
        media_type: Some(OCI_INDEX.to_owned()),
        manifests,
    };
    archive.document("index.json", &index)?;
    archive.document("manifest.json", &entries)?;
    archive.entry("oci-layout", Some(br#"{"imageLayoutVersion":"1.0.0"}"#))?;
    archive.document("repositories", &repositories)?;
    archive.tar.finish().map_err(write_error)?;
    Ok(())
}

/// An image's documents, written.
struct Written {
    manifest: Descriptor,
    entry: ManifestEntry,
    top_layer: Option<String>,
}

struct Archive<'a, W> {
    tar: Writer<W>,
    /// Those written already: images share layers.
    blobs: BTreeSet<Digest>,
    options: &'a PackOptions,
}

impl<W: Write> Archive<'_, W> {
    fn image(&mut self, store: &Store, named: &NamedImage) -> Result<Written, ArchiveError> {
        let count = named.image.layers.len();
        let layer_error = |index: usize| {
            move |source| ArchiveError::Layer {
                number: index + 1,
                count,
                source,
            }
        };
        let mut layers = Vec::new();
        let mut diff_ids = Vec::new();
        for index in 0..count {
            let packed =
                archived(store, &named.image, index, self.options).map_err(layer_error(index))?;
            self.layer(&packed)?;
            layers.push(Descriptor::new(
                packed.blob.compression.media_type(),
                packed.blob.digest,
                packed.blob.size,
            ));
            diff_ids.push(packed.blob.diff_id);
        }
        let config = document(store, &named.image, diff_ids).map_err(layer_error(0))?;
        let config = self.blob(OCI_CONFIG, config.as_bytes())?;
        let paths: Vec<String> = layers
            .iter()
            .map(|layer| blob_path(&layer.digest))
            .collect();
        let entry = ManifestEntry {
            config: blob_path(&config.digest),
            repo_tags: Some(
                named
                    .references
                    .iter()
                    .filter(|reference| reference.tag().is_some())
                    .map(Reference::familiar)
                    .collect(),
            ),
            layers: Some(paths),
        };
        let top_layer = layers.last().map(|layer| layer.digest.hex());
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(OCI_MANIFEST.to_owned()),
            config,
            layers,
        };
        let bytes = serde_json::to_vec(&manifest).map_err(document_error("manifest"))?;
        let mut manifest = self.blob(OCI_MANIFEST, &bytes)?;
        manifest.platform = Some(Platform {
            os: named.image.config.os.clone(),
            architecture: named.image.config.architecture.clone(),
            variant: named.image.config.variant.clone(),
        });
        Ok(Written {
            manifest,
            entry,
            top_layer,
        })
    }

    fn layer(&mut self, packed: &Packed) -> Result<(), ArchiveError> {
        if !self.blobs.insert(packed.blob.digest) {
            return Ok(());
        }
        let file = fs_err::File::open(&packed.path).map_err(|source| ArchiveError::Io {
            action: "read a layer for",
            source,
        })?;
        self.append(&blob_path(&packed.blob.digest), packed.blob.size, file)
    }

    fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Result<Descriptor, ArchiveError> {
        let descriptor = Descriptor::of(media_type, bytes);
        if self.blobs.insert(descriptor.digest) {
            self.append(&blob_path(&descriptor.digest), descriptor.size, bytes)?;
        }
        Ok(descriptor)
    }

    fn document(
        &mut self,
        name: &str,
        document: &impl serde::Serialize,
    ) -> Result<(), ArchiveError> {
        let bytes = serde_json::to_vec(document).map_err(document_error(name))?;
        self.entry(name, Some(&bytes))
    }

    /// A file with this content, or a directory.
    fn entry(&mut self, path: &str, content: Option<&[u8]>) -> Result<(), ArchiveError> {
        if let Some(content) = content {
            self.append(path, content.len() as u64, content)
        } else {
            let metadata = Metadata {
                kind: Kind::Directory,
                mode: 0o755,
                ..header(path, 0)
            };
            self.tar
                .append(&metadata, std::io::empty())
                .map_err(write_error)
        }
    }

    fn append(&mut self, path: &str, size: u64, content: impl Read) -> Result<(), ArchiveError> {
        self.tar
            .append(&header(path, size), content)
            .map_err(write_error)
    }
}

fn header(path: &str, size: u64) -> Metadata {
    Metadata {
        path: path.as_bytes().to_vec(),
        kind: Kind::File,
        link: Vec::new(),
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: (0, 0),
        device: (0, 0),
        size,
        xattrs: Vec::new(),
    }
}

/// One entry of the index for each name; a single one without a name for an image that has none.
fn index_entries(manifest: &Descriptor, references: &[Reference]) -> Vec<Descriptor> {
    if references.is_empty() {
        return vec![manifest.clone()];
    }
    let named = |reference: &Reference| {
        let mut annotations = BTreeMap::from([(CONTAINERD_NAME.to_owned(), reference.to_string())]);
        annotations.extend(
            reference
                .tag()
                .map(|tag| (REF_NAME.to_owned(), tag.to_owned())),
        );
        Descriptor {
            annotations: Some(annotations),
            ..manifest.clone()
        }
    };
    references.iter().map(named).collect()
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn document_error(name: &str) -> impl FnOnce(serde_json::Error) -> ArchiveError {
    let name = name.to_owned();
    move |source| ArchiveError::Document { name, source }
}
