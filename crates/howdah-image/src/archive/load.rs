//! Reading an archive or a layout.

use std::io::Read;
use std::path::Path;

use rayon::iter::{
    IndexedParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _,
};

use super::listed::{self, Listed, parse};
use super::source::{Source, open};
use super::{ArchiveError, NamedImage, store_error};
use crate::layer::LayerError;
use crate::layer::transfer::{compression_of, receive, received};
use crate::store::LayerBlob;
use crate::{Digest, Image, ImageConfig, Layer, Platform, Store};

/// Reads an archive, compressed or not, into the store and gives its images their names.
pub fn load(store: &Store, reader: impl Read) -> Result<Vec<NamedImage>, ArchiveError> {
    load_source(store, &Source::spool(store, reader)?)
}

/// Reads an OCI layout in a directory.
pub fn load_directory(store: &Store, root: &Path) -> Result<Vec<NamedImage>, ArchiveError> {
    load_source(store, &Source::directory(root)?)
}

/// Reads one image of an OCI layout in a directory: the one with this tag, whole name or digest, or the only one; of several
/// platforms the one that suits `platform` best. It gets no name in the store.
pub fn load_layout(
    store: &Store,
    root: &Path,
    name: Option<&str>,
    platform: &Platform,
) -> Result<Image, ArchiveError> {
    let source = Source::directory(root)?;
    let listed = listed::one(&source, name, platform)?;
    let image = load_image(store, &source, &listed)?;
    store.settle().map_err(store_error)?;
    Ok(image)
}

fn load_source(store: &Store, source: &Source) -> Result<Vec<NamedImage>, ArchiveError> {
    let mut loaded: Vec<NamedImage> = Vec::new();
    for (listed, references) in listed::all(source)? {
        let images = listed
            .iter()
            .map(|listed| load_image(store, source, listed));
        let images = images.collect::<Result<Vec<_>, _>>()?;
        match loaded.iter_mut().find(|other| other.is_like(&images)) {
            Some(same) => same.references.extend(references),
            None => loaded.push(NamedImage { images, references }),
        }
    }
    // Names come last: a name never points to an image that a power cut could still take.
    store.settle().map_err(store_error)?;
    for NamedImage { images, references } in &loaded {
        let together: Vec<&Image> = images.iter().collect();
        for reference in references {
            store
                .tag_together(&together, reference)
                .map_err(store_error)?;
        }
    }
    Ok(loaded)
}

fn load_image(store: &Store, source: &Source, listed: &Listed) -> Result<Image, ArchiveError> {
    let bytes = source.document(&listed.config)?;
    let config: ImageConfig = parse(&listed.config, &bytes)?;
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != listed.layers.len() {
        let what = "has another number of layers than the image's manifest";
        return Err(ArchiveError::Invalid {
            name: listed.config.clone(),
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
    store
        .save_document(&document, config, layers)
        .map_err(store_error)
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
