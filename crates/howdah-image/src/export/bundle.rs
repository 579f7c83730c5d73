//! Making a bundle.

use std::collections::BTreeSet;

use super::attestation::{self, Attestation};
use super::document::{IndexDocument, ManifestDocument, media_types};
use super::{ExportError, ExportOptions, Level};
use crate::layer::LayerError;
use crate::layer::outgoing::image_layer;
use crate::layer::transfer::document;
use crate::manifest::Descriptor;
use crate::store::{Compression, LayerBlob};
use crate::{Digest, Image, Platform, Reference, Store};

/// One image of a bundle, and what is said of it.
#[derive(Debug, Clone, Copy)]
pub struct Variant<'a> {
    /// The image.
    pub image: &'a Image,
    /// Statements about it, such as what it was built from.
    pub attestations: &'a [Attestation],
}

impl<'a> From<&'a Image> for Variant<'a> {
    fn from(image: &'a Image) -> Self {
        Self {
            image,
            attestations: &[],
        }
    }
}

/// Images for several platforms, or one image, ready to leave: everything but where it goes.
#[derive(Debug)]
pub struct Bundle {
    /// Layers, configurations and statements, each once.
    pub(crate) blobs: Vec<Blob>,
    /// Manifests to which the root leads.
    pub(crate) children: Vec<Document>,
    /// What a name leads to: the index if there is one, else the only manifest.
    pub(crate) root: Document,
    images: Vec<ExportedImage>,
}

/// An image's documents in a bundle.
#[derive(Debug, Clone)]
pub struct ExportedImage {
    /// Of its manifest.
    pub manifest: Descriptor,
    /// Of its configuration.
    pub config: Descriptor,
    /// Of its layers, lowest first.
    pub layers: Vec<Descriptor>,
}

/// A blob that images need beside their manifests.
#[derive(Debug)]
pub(crate) enum Blob {
    /// A layer, which is in the store.
    Stored(Descriptor),
    /// A configuration or a statement.
    Document(Document),
}

/// Bytes with a name.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) descriptor: Descriptor,
    pub(crate) bytes: Vec<u8>,
}

impl Blob {
    pub(crate) fn descriptor(&self) -> &Descriptor {
        match self {
            Self::Stored(descriptor) => descriptor,
            Self::Document(document) => &document.descriptor,
        }
    }
}

impl Document {
    pub(super) fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        Self {
            descriptor: Descriptor::of(media_type, &bytes),
            bytes,
        }
    }
}

impl Bundle {
    /// What a name of the bundle leads to.
    pub fn root(&self) -> &Descriptor {
        &self.root.descriptor
    }

    /// All manifests and the index, in an order in which each one's parts come first.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = &Document> {
        self.children.iter().chain([&self.root])
    }

    /// The images, in the order they were given.
    pub fn images(&self) -> &[ExportedImage] {
        &self.images
    }
}

/// Images on their way out.
#[derive(Debug, Clone, Copy)]
pub struct Export<'a> {
    /// One for each platform.
    pub variants: &'a [Variant<'a>],
    /// The names they get together.
    pub names: &'a [Reference],
    /// How they leave.
    pub options: &'a ExportOptions,
}

impl Export<'_> {
    /// Packs the layers that are not yet packed and writes the documents. The same images and options give the same digests
    /// everywhere.
    pub fn bundle(&self, store: &Store) -> Result<Bundle, ExportError> {
        let Self {
            variants, options, ..
        } = *self;
        let has_index = options.index
            || variants.len() != 1
            || variants
                .iter()
                .any(|variant| !variant.attestations.is_empty());
        let platforms: Vec<Platform> = variants
            .iter()
            .map(|variant| Platform::of(&variant.image.config))
            .collect();
        let annotations = &options.annotations;
        annotations.check(has_index, options.docker_types, &platforms)?;
        let mut packing = Packing {
            store,
            options,
            blobs: Vec::new(),
            known: BTreeSet::new(),
            images: Vec::new(),
        };
        let (mut children, mut entries) = (Vec::new(), Vec::new());
        let mut attestations = Vec::new();
        for (variant, platform) in variants.iter().zip(&platforms) {
            let manifest = packing.image(variant.image, platform)?;
            if !variant.attestations.is_empty() {
                attestations.push(packing.attestation(
                    variant,
                    &manifest.descriptor,
                    self.names,
                )?);
            }
            entries.push(manifest.descriptor.clone());
            children.push(manifest);
        }
        for made in attestations {
            entries.push(made.entry);
            children.push(made.manifest);
        }
        let root = match children.pop() {
            Some(only) if !has_index => only,
            last => {
                children.extend(last);
                let index = IndexDocument {
                    annotations: annotations.of(Level::Index, None),
                    ..IndexDocument::new(media_types(options.docker_types).index, entries)
                };
                let mut index = index.write()?;
                index.descriptor.annotations = annotations.of(Level::IndexDescriptor, None);
                index
            }
        };
        Ok(Bundle {
            blobs: packing.blobs,
            children,
            root,
            images: packing.images,
        })
    }
}

/// A bundle in the making.
struct Packing<'a> {
    store: &'a Store,
    options: &'a ExportOptions,
    blobs: Vec<Blob>,
    /// Images share layers.
    known: BTreeSet<Digest>,
    images: Vec<ExportedImage>,
}

impl Packing<'_> {
    /// An image's layers, configuration and manifest; gives the manifest.
    fn image(&mut self, image: &Image, platform: &Platform) -> Result<Document, ExportError> {
        let ExportOptions {
            docker_types,
            annotations,
            ..
        } = self.options;
        let types = media_types(*docker_types);
        let (mut layers, mut diff_ids) = (Vec::new(), Vec::new());
        for index in 0..image.layers.len() {
            let packed = self.layer(image, index)?;
            if packed.compression == Compression::Zstd && *docker_types {
                return Err(ExportError::DockerTypes("a zstd layer"));
            }
            let media_type = types.layer(packed.compression);
            let descriptor = Descriptor::new(media_type, packed.digest, packed.size);
            diff_ids.push(packed.diff_id);
            layers.push(self.add(Blob::Stored(descriptor)));
        }
        let config = document(self.store, image, diff_ids).map_err(layer_error(image, 0))?;
        let config = Document::new(types.config, config.into_bytes());
        let config = self.add(Blob::Document(config));
        let manifest = ManifestDocument {
            annotations: annotations.of(Level::Manifest, Some(platform)),
            ..ManifestDocument::new(types.manifest, config.clone().into(), layers.clone())
        };
        let mut manifest = manifest.write()?;
        manifest.descriptor.platform = Some(platform.clone());
        manifest.descriptor.annotations = annotations.of(Level::ManifestDescriptor, Some(platform));
        self.images.push(ExportedImage {
            manifest: manifest.descriptor.clone(),
            config,
            layers,
        });
        Ok(manifest)
    }

    fn layer(&self, image: &Image, index: usize) -> Result<LayerBlob, ExportError> {
        let (pack, compression) = (&self.options.pack, &self.options.compression);
        image_layer(self.store, image, index, pack, compression).map_err(layer_error(image, index))
    }

    fn attestation(
        &mut self,
        variant: &Variant<'_>,
        image: &Descriptor,
        names: &[Reference],
    ) -> Result<attestation::Made, ExportError> {
        if self.options.docker_types {
            return Err(ExportError::DockerTypes("an attestation"));
        }
        let mut made = attestation::manifest(variant.attestations, image, names)?;
        for blob in made.blobs.drain(..) {
            self.add(Blob::Document(blob));
        }
        Ok(made)
    }

    fn add(&mut self, blob: Blob) -> Descriptor {
        let descriptor = blob.descriptor().clone();
        if self.known.insert(descriptor.digest) {
            self.blobs.push(blob);
        }
        descriptor
    }
}

fn layer_error(image: &Image, index: usize) -> impl FnOnce(LayerError) -> ExportError + use<> {
    let count = image.layers.len();
    move |source| ExportError::Layer {
        number: index + 1,
        count,
        source,
    }
}
