//! Layers that arrive, and the configuration of images that leave.

use std::io::{BufWriter, Read};

use super::pack::pack_trees;
use super::{LayerError, Limits, unpack};
use crate::registry::Blob;
use crate::store::{Compression, LayerBlob};
use crate::{
    Digest, DigestWriter, Image, ImageConfig, Layer, SnapshotId, Staging, Store, StoreError,
};

/// The configuration as it leaves with layers of these diff ids: the document as it came if they are those it names.
pub(crate) fn document(
    store: &Store,
    image: &Image,
    diff_ids: Vec<Digest>,
) -> Result<String, LayerError> {
    if image.config.rootfs.diff_ids == diff_ids
        && let Some(document) = store.image_document(&image.id).map_err(store_error)?
    {
        return Ok(document);
    }
    let rootfs = crate::RootFs {
        diff_ids,
        ..crate::RootFs::default()
    };
    let config = ImageConfig {
        rootfs,
        ..image.config.clone()
    };
    serde_json::to_string(&config).map_err(|source| {
        store_error(StoreError::Config {
            id: image.id.to_string(),
            source,
        })
    })
}

/// The layer with this diff id, when it is in the store already.
pub(crate) fn received(store: &Store, diff_id: Digest) -> Result<Option<Layer>, LayerError> {
    let id = SnapshotId::from(&diff_id);
    if !store.hold([&id]).map_err(store_error)? {
        return Ok(None);
    }
    let layer = Layer {
        snapshots: vec![id],
    };
    // The snapshot may be older than its record: the process that sealed it may have died in between.
    store
        .record_diff_id(std::slice::from_ref(&layer), None, diff_id)
        .map_err(store_error)?;
    Ok(Some(layer))
}

/// Unpacks a layer that arrives, after checking that its tar has the digest that the image's configuration names.
pub fn receive(store: &Store, diff_id: Digest, reader: impl Read) -> Result<Layer, LayerError> {
    let id = SnapshotId::from(&diff_id);
    let staging = store.stage().map_err(store_error)?;
    let found = unpack(reader, staging.upper(), &Limits::default())?;
    if found != diff_id {
        return Err(LayerError::DiffId {
            expected: diff_id,
            found,
        });
    }
    staging.seal(&id).map_err(store_error)?;
    let layer = Layer {
        snapshots: vec![id],
    };
    store
        .record_diff_id(std::slice::from_ref(&layer), None, diff_id)
        .map_err(store_error)?;
    Ok(layer)
}

/// Unpacks a layer that arrived as a blob of the store, and remembers the blob: the layer leaves again as it came.
pub fn receive_blob(store: &Store, diff_id: Digest, blob: &Blob) -> Result<Layer, LayerError> {
    let open = || store.open_blob(&blob.digest).map_err(store_error);
    let compression = compression_of(open()?)?;
    let layer = receive(store, diff_id, open()?)?;
    store
        .record_layer_blob(&LayerBlob {
            diff_id,
            compression,
            digest: blob.digest,
            size: blob.size,
        })
        .map_err(store_error)?;
    Ok(layer)
}

/// Seals a tree that was made here as a layer that leaves with exactly the diff id that its snapshot is named after.
pub(crate) fn seal_tree(store: &Store, staging: Staging) -> Result<(Layer, Digest), LayerError> {
    let mut tar = DigestWriter::new(std::io::sink());
    let roots = [staging.upper().to_owned()];
    pack_trees(
        &roots,
        &[],
        BufWriter::with_capacity(256 * 1024, &mut tar),
        &[None],
    )?;
    let (_, diff_id, _) = tar.finish();
    let id = SnapshotId::from(&diff_id);
    staging.seal(&id).map_err(store_error)?;
    let layer = Layer {
        snapshots: vec![id],
    };
    store
        .record_diff_id(std::slice::from_ref(&layer), None, diff_id)
        .map_err(store_error)?;
    Ok((layer, diff_id))
}

/// The compression of a file that holds a layer.
pub(crate) fn compression_of(mut file: impl Read) -> Result<Compression, LayerError> {
    let mut start = [0; 6];
    let mut filled = 0;
    while filled < start.len() {
        match file
            .read(&mut start[filled..])
            .map_err(|source| LayerError::Archive { source })?
        {
            0 => break,
            read => filled += read,
        }
    }
    super::sniff(&start[..filled])
}

fn store_error(source: StoreError) -> LayerError {
    LayerError::Store { source }
}
