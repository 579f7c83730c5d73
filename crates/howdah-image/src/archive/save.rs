//! Writing an archive, or an OCI layout in a directory.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use super::docker::{ManifestEntry, Repositories, add_to};
use super::layout::Layout;
use super::{ArchiveError, NamedImage, store_error};
use crate::export::{Blob, Bundle, Document, Export, ExportOptions, ExportedImage, Variant};
use crate::manifest::{CONTAINERD_NAME, Descriptor, Index, OCI_LAYOUT, REF_NAME};
use crate::{Digest, Reference, Store};

/// Writes the images with their names as one tar, which is an OCI layout, and a Docker archive of those that are for one
/// platform. The same images give the same bytes.
pub fn save(
    store: &Store,
    images: &[NamedImage],
    writer: impl Write,
    options: &ExportOptions,
) -> Result<(), ArchiveError> {
    let mut output = Output::new(Layout::tar(writer))?;
    let mut documents = DockerDocuments::default();
    for named in images {
        let variants: Vec<Variant<'_>> = named.images.iter().map(Variant::from).collect();
        let export = Export {
            variants: &variants,
            names: &named.references,
            options,
        };
        let bundle = export
            .bundle(store)
            .map_err(|source| ArchiveError::Export { source })?;
        output.bundle(store, &bundle, &named.references)?;
        if variants.len() == 1 {
            documents.add(&bundle, &named.references);
        }
    }
    output.finish((!documents.entries.is_empty()).then_some(&documents))
}

/// Writes a bundle as a tar that is an OCI layout, and a Docker archive too if `docker` says so.
pub fn save_bundle(
    store: &Store,
    bundle: &Bundle,
    names: &[Reference],
    writer: impl Write,
    docker: bool,
) -> Result<(), ArchiveError> {
    let mut output = Output::new(Layout::tar(writer))?;
    output.bundle(store, bundle, names)?;
    let mut documents = DockerDocuments::default();
    documents.add(bundle, names);
    output.finish(docker.then_some(&documents))
}

/// Writes a bundle into a directory as an OCI layout. A layout that is there keeps its images, except those of the same names.
pub fn save_directory(
    store: &Store,
    bundle: &Bundle,
    names: &[Reference],
    directory: &Path,
) -> Result<(), ArchiveError> {
    let mut output = Output::new(Layout::<io::Empty>::directory(directory)?)?;
    output.bundle(store, bundle, names)?;
    output.finish(None)
}

/// `manifest.json` and `repositories`.
#[derive(Default)]
struct DockerDocuments {
    entries: Vec<ManifestEntry>,
    repositories: Repositories,
}

impl DockerDocuments {
    fn add(&mut self, bundle: &Bundle, names: &[Reference]) {
        for image in bundle.images() {
            let top_layer = image.layers.last().map(|layer| layer.digest.hex());
            add_to(
                &mut self.repositories,
                names,
                top_layer.as_deref().unwrap_or_default(),
            );
            self.entries.push(manifest_entry(image, names));
        }
    }
}

fn manifest_entry(image: &ExportedImage, names: &[Reference]) -> ManifestEntry {
    let tagged = names.iter().filter(|name| name.tag().is_some());
    ManifestEntry {
        config: path_of(&image.config),
        repo_tags: Some(tagged.map(Reference::familiar).collect()),
        layers: Some(image.layers.iter().map(path_of).collect()),
    }
}

fn path_of(descriptor: &Descriptor) -> String {
    format!("blobs/sha256/{}", descriptor.digest.hex())
}

/// A layout that is being written.
struct Output<W: Write> {
    layout: Layout<W>,
    /// Blobs written already: images share layers.
    written: BTreeSet<Digest>,
    manifests: Vec<Descriptor>,
}

impl<W: Write> Output<W> {
    fn new(mut layout: Layout<W>) -> Result<Self, ArchiveError> {
        layout.make_directory("blobs")?;
        layout.make_directory("blobs/sha256")?;
        Ok(Self {
            layout,
            written: BTreeSet::new(),
            manifests: Vec::new(),
        })
    }

    fn bundle(
        &mut self,
        store: &Store,
        bundle: &Bundle,
        names: &[Reference],
    ) -> Result<(), ArchiveError> {
        for blob in &bundle.blobs {
            match blob {
                Blob::Stored(layer) => self.layer(store, layer)?,
                Blob::Document(document) => self.named(document)?,
            }
        }
        for manifest in bundle.manifests() {
            self.named(manifest)?;
        }
        self.manifests.extend(index_entries(bundle.root(), names));
        Ok(())
    }

    fn layer(&mut self, store: &Store, layer: &Descriptor) -> Result<(), ArchiveError> {
        if !self.written.insert(layer.digest) {
            return Ok(());
        }
        let mut file = store.open_blob(&layer.digest).map_err(store_error)?;
        self.layout.write(&path_of(layer), layer.size, &mut file)
    }

    fn named(&mut self, document: &Document) -> Result<(), ArchiveError> {
        let Document { descriptor, bytes } = document;
        if !self.written.insert(descriptor.digest) {
            return Ok(());
        }
        self.layout
            .write(&path_of(descriptor), descriptor.size, &mut bytes.as_slice())
    }

    /// The documents that name the blobs, last.
    fn finish(mut self, docker: Option<&DockerDocuments>) -> Result<(), ArchiveError> {
        let mut manifests = self.layout.other_manifests(&self.manifests)?;
        manifests.append(&mut self.manifests);
        let index = Index {
            manifests,
            ..Index::default()
        };
        let layout = OCI_LAYOUT.as_bytes();
        self.layout
            .write("oci-layout", layout.len() as u64, &mut &*layout)?;
        self.document("index.json", &index)?;
        if let Some(documents) = docker {
            self.document("manifest.json", &documents.entries)?;
            self.document("repositories", &documents.repositories)?;
        }
        self.layout.finish()
    }

    fn document(
        &mut self,
        name: &str,
        document: &impl serde::Serialize,
    ) -> Result<(), ArchiveError> {
        let bytes = serde_json::to_vec(document).map_err(|source| ArchiveError::Document {
            name: name.to_owned(),
            source,
        })?;
        self.layout
            .write(name, bytes.len() as u64, &mut bytes.as_slice())
    }
}

/// One entry of the index for each name; a single one without a name for an image that has none.
fn index_entries(manifest: &Descriptor, references: &[Reference]) -> Vec<Descriptor> {
    if references.is_empty() {
        return vec![manifest.clone()];
    }
    let named = |reference: &Reference| {
        let mut annotations = manifest.annotations.clone().unwrap_or_default();
        annotations.insert(CONTAINERD_NAME.to_owned(), reference.to_string());
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
