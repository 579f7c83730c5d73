//! Reading an archive or a layout.

use std::io::Read;
use std::path::Path;

use rayon::iter::{
    IndexedParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _,
};

use super::docker::ManifestEntry;
use super::source::{Source, open};
use super::{ArchiveError, NamedImage, store_error};
use crate::layer::LayerError;
use crate::layer::transfer::{compression_of, receive, received};
use crate::manifest::{CONTAINERD_NAME, Descriptor, Index, Manifest, Platform, REF_NAME, is_index};
use crate::store::LayerBlob;
use crate::{Digest, Image, ImageConfig, Layer, Reference, Store};

/// Indexes may name indexes; nobody nests them deeper.
const DEEPEST_INDEX: usize = 4;

/// Reads an archive, compressed or not, into the store and gives its images their names.
pub fn load(store: &Store, reader: impl Read) -> Result<Vec<NamedImage>, ArchiveError> {
    load_source(store, &Source::spool(store, reader)?)
}

/// Reads an OCI layout in a directory.
pub fn load_directory(store: &Store, root: &Path) -> Result<Vec<NamedImage>, ArchiveError> {
    load_source(store, &Source::directory(root)?)
}

/// Reads one image of an OCI layout in a directory: the one with this tag, whole name or digest, or the only one. It gets no
/// name in the store.
pub fn load_layout(store: &Store, root: &Path, name: Option<&str>) -> Result<Image, ArchiveError> {
    let source = Source::directory(root)?;
    let document = "index.json";
    let index: Index = parse(document, &source.document(document)?)?;
    let is_named = |descriptor: &&Descriptor| match name {
        None => true,
        Some(name) => {
            descriptor.digest.to_string() == name
                || descriptor.annotation(REF_NAME) == Some(name)
                || descriptor.annotation(CONTAINERD_NAME) == Some(name)
        }
    };
    let named: Vec<&Descriptor> = index.manifests.iter().filter(is_named).collect();
    let descriptor = match named.as_slice() {
        [descriptor] => (*descriptor).clone(),
        [] => return Err(ArchiveError::NoImage(name.unwrap_or_default().to_owned())),
        // One image for several platforms may have no index of its own.
        several => several
            .iter()
            .find(|descriptor| runs_here(descriptor))
            .map(|descriptor| (*descriptor).clone())
            .ok_or(ArchiveError::SeveralImages)?,
    };
    let listed = listed_by_descriptor(&source, &descriptor)?;
    let image = load_image(store, &source, listed)?.image;
    store.settle().map_err(store_error)?;
    Ok(image)
}

fn load_source(store: &Store, source: &Source) -> Result<Vec<NamedImage>, ArchiveError> {
    let listed = if source.has("manifest.json") {
        listed_by_docker(source)?
    } else if source.has("index.json") {
        listed_by_index(source)?
    } else {
        return Err(ArchiveError::NotAnArchive);
    };
    let mut loaded: Vec<NamedImage> = Vec::new();
    for listed in listed {
        let named = load_image(store, source, listed)?;
        match loaded
            .iter_mut()
            .find(|other| other.image.id == named.image.id)
        {
            Some(same) => same.references.extend(named.references),
            None => loaded.push(named),
        }
    }
    // Names come last: a name never points to an image that a power cut could still take.
    store.settle().map_err(store_error)?;
    for named in &loaded {
        for reference in &named.references {
            store.tag(&named.image.id, reference).map_err(store_error)?;
        }
    }
    Ok(loaded)
}

/// One image's files.
struct Listed {
    config: String,
    layers: Vec<String>,
    references: Vec<Reference>,
}

fn listed_by_docker(source: &Source) -> Result<Vec<Listed>, ArchiveError> {
    let name = "manifest.json";
    let entries: Vec<ManifestEntry> = parse(name, &source.document(name)?)?;
    let listed = entries.into_iter().map(|entry| Listed {
        config: entry.config,
        layers: entry.layers.unwrap_or_default(),
        // Names that are none are left out: the image itself is sound and is told by its id.
        references: entry
            .repo_tags
            .unwrap_or_default()
            .iter()
            .filter_map(|tag| tag.parse().ok())
            .collect(),
    });
    Ok(listed.collect())
}

fn listed_by_index(source: &Source) -> Result<Vec<Listed>, ArchiveError> {
    let name = "index.json";
    let index: Index = parse(name, &source.document(name)?)?;
    // A layout of one image for several platforms has them in this one index; several images have one entry each.
    let has_foreign = index.manifests.iter().any(|descriptor| {
        descriptor
            .platform
            .as_ref()
            .is_some_and(|found| *found != Platform::default())
    });
    let wanted: Vec<&Descriptor> = if has_foreign
        && index
            .manifests
            .iter()
            .all(|descriptor| descriptor.platform.is_some())
    {
        let host: Vec<&Descriptor> = index
            .manifests
            .iter()
            .filter(|descriptor| runs_here(descriptor))
            .collect();
        if host.is_empty() {
            index.manifests.iter().take(1).collect()
        } else {
            host
        }
    } else {
        index.manifests.iter().collect()
    };
    wanted
        .into_iter()
        .map(|descriptor| listed_by_descriptor(source, descriptor))
        .collect()
}

fn runs_here(descriptor: &Descriptor) -> bool {
    let host = Platform::default();
    descriptor
        .platform
        .as_ref()
        .is_some_and(|found| found.os == host.os && found.architecture == host.architecture)
}

fn listed_by_descriptor(source: &Source, descriptor: &Descriptor) -> Result<Listed, ArchiveError> {
    let mut current = descriptor.clone();
    for _ in 0..DEEPEST_INDEX {
        let name = blob_name(&current.digest);
        let bytes = source.document(&name)?;
        if Digest::of(&bytes) != current.digest {
            return Err(ArchiveError::Invalid {
                name,
                what: "does not have the digest that its name says",
            });
        }
        if !is_index(&current.media_type) {
            let manifest: Manifest = parse(&name, &bytes)?;
            return Ok(Listed {
                config: blob_name(&manifest.config.digest),
                layers: manifest
                    .layers
                    .iter()
                    .map(|layer| blob_name(&layer.digest))
                    .collect(),
                references: index_name(descriptor).into_iter().collect(),
            });
        }
        let index: Index = parse(&name, &bytes)?;
        let platform = Platform::default();
        current = index
            .select(&platform)
            .cloned()
            .ok_or_else(|| ArchiveError::NoPlatform(platform.to_string()))?;
    }
    Err(ArchiveError::Invalid {
        name: blob_name(&descriptor.digest),
        what: "is an index of indexes of indexes",
    })
}

/// containerd's annotation has the whole name. The specification's own may be a tag alone, which names nothing.
fn index_name(descriptor: &Descriptor) -> Option<Reference> {
    let whole = descriptor.annotation(CONTAINERD_NAME);
    let name = whole.or_else(|| {
        descriptor
            .annotation(REF_NAME)
            .filter(|name| name.contains(['/', ':']))
    });
    name.and_then(|name| name.parse().ok())
}

fn load_image(store: &Store, source: &Source, listed: Listed) -> Result<NamedImage, ArchiveError> {
    let bytes = source.document(&listed.config)?;
    let config: ImageConfig = parse(&listed.config, &bytes)?;
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != listed.layers.len() {
        let what = "has another number of layers than the image's manifest";
        return Err(ArchiveError::Invalid {
            name: listed.config,
            what,
        });
    }
    let count = diff_ids.len();
    let layers: Vec<Layer> = diff_ids
        .par_iter()
        .zip(&listed.layers)
        .enumerate()
        .map(|(index, (diff_id, name))| {
            let path = source.path(name)?;
            load_layer(store, *diff_id, path).map_err(|source| ArchiveError::Layer {
                number: index + 1,
                count,
                source,
            })
        })
        .collect::<Result<_, ArchiveError>>()?;
    let document = String::from_utf8_lossy(&bytes);
    let image = store
        .save_document(&document, config, layers)
        .map_err(store_error)?;
    Ok(NamedImage {
        image,
        references: listed.references,
    })
}

/// Unpacks a layer. It is kept as a blob too, so that it leaves again with the same content: tars of other tools have headers
/// that no snapshot remembers. But only when its content was just checked, else a lying archive could give a known layer
/// another blob.
fn load_layer(store: &Store, diff_id: Digest, path: &Path) -> Result<Layer, LayerError> {
    let store_error = |source| LayerError::Store { source };
    if let Some(layer) = received(store, diff_id)? {
        return Ok(layer);
    }
    let layer = receive(store, diff_id, open(path).map_err(store_error)?)?;
    let mut file = open(path).map_err(store_error)?;
    let compression = compression_of(&file)?;
    std::io::Seek::rewind(&mut file).map_err(|source| LayerError::Archive { source })?;
    let mut writer = store.write_blob().map_err(store_error)?;
    std::io::copy(&mut file, &mut writer).map_err(|source| LayerError::Write { source })?;
    let (digest, size) = writer.commit(None).map_err(store_error)?;
    store
        .record_layer_blob(&LayerBlob {
            diff_id,
            compression,
            digest,
            size,
        })
        .map_err(store_error)?;
    Ok(layer)
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn parse<T: serde::de::DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, ArchiveError> {
    serde_json::from_slice(bytes).map_err(|source| ArchiveError::Document {
        name: name.to_owned(),
        source,
    })
}
