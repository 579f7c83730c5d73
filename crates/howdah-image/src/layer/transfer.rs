//! Layers that leave the store, and layers that arrive.

use std::io::{BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

use super::pack::{Ground, pack_layer, pack_trees};
use super::{GzipWriter, LayerError, Limits, PackOptions, decompress, unpack};
use crate::store::{Compression, LayerBlob, Temporary};
use crate::{
    Digest, DigestWriter, Image, ImageConfig, Layer, SnapshotId, Staging, Store, StoreError,
};

/// A layer's tar as a file, for the time of this value: a blob of the store, or packed for the occasion.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) blob: LayerBlob,
    pub(crate) path: PathBuf,
    // Removes the file that was packed for the occasion.
    _holder: Option<Temporary>,
}

/// The image's layer with this index as a compressed blob of the store: the one it came with, or was packed to before, or
/// a new one.
pub(crate) fn compressed(
    store: &Store,
    image: &Image,
    index: usize,
    options: &PackOptions,
) -> Result<LayerBlob, LayerError> {
    compressed_layer(
        store,
        &image.layers[..=index],
        &of_layer(image, index, options),
    )
}

/// The last layer of `stack` as a compressed blob of the store.
pub fn compressed_layer(
    store: &Store,
    stack: &[Layer],
    options: &PackOptions,
) -> Result<LayerBlob, LayerError> {
    if let Some(blob) = existing(
        store,
        stack,
        options,
        &[Compression::Gzip, Compression::Zstd, Compression::None],
    )? {
        return Ok(blob);
    }
    let write = |source| LayerError::Write { source };
    let blob_writer = store.write_blob().map_err(store_error)?;
    let mut tar = DigestWriter::new(GzipWriter::new(blob_writer));
    let ground = pack_layer(
        store,
        stack,
        BufWriter::with_capacity(256 * 1024, &mut tar),
        options,
    )?;
    let (gzip, diff_id, _) = tar.finish();
    let (digest, size) = gzip
        .finish()
        .map_err(write)?
        .commit(None)
        .map_err(store_error)?;
    let blob = LayerBlob {
        diff_id,
        compression: Compression::Gzip,
        digest,
        size,
    };
    store
        .record_diff_id(grounded(stack, ground), options.epoch, diff_id)
        .map_err(store_error)?;
    store.record_layer_blob(&blob).map_err(store_error)?;
    Ok(blob)
}

/// The files of a directory that is no layer as a blob of the store, compressed as layers are.
pub fn compressed_directory(store: &Store, directory: &Path) -> Result<LayerBlob, LayerError> {
    let blob_writer = store.write_blob().map_err(store_error)?;
    let mut tar = DigestWriter::new(GzipWriter::new(blob_writer));
    pack_trees(
        &[directory.to_owned()],
        &[],
        BufWriter::with_capacity(256 * 1024, &mut tar),
        &[None],
    )?;
    let (gzip, diff_id, _) = tar.finish();
    let blob_writer = gzip
        .finish()
        .map_err(|source| LayerError::Write { source })?;
    let (digest, size) = blob_writer.commit(None).map_err(store_error)?;
    Ok(LayerBlob {
        diff_id,
        compression: Compression::Gzip,
        digest,
        size,
    })
}

/// The image's layer with this index as a file that every Docker reads: its gzip blob when there is one, else a plain tar
/// outside of the blobs, which would only take the snapshot's space twice.
pub(crate) fn archived(
    store: &Store,
    image: &Image,
    index: usize,
    options: &PackOptions,
) -> Result<Packed, LayerError> {
    let (stack, options) = (&image.layers[..=index], &of_layer(image, index, options));
    if let Some(blob) = existing(
        store,
        stack,
        options,
        &[Compression::Gzip, Compression::None],
    )? {
        return Ok(Packed {
            blob,
            path: store.blob_path(&blob.digest),
            _holder: None,
        });
    }
    let holder = Temporary::new(&store.temporary_directory()).map_err(store_error)?;
    let path = holder.path().join("layer.tar");
    let file = fs_err::File::create_new(&path)
        .map_err(StoreError::io("create", &path))
        .map_err(store_error)?;
    let mut tar = DigestWriter::new(BufWriter::with_capacity(256 * 1024, file));
    let ground = match existing(store, stack, options, &[Compression::Zstd])? {
        // Received with zstd, which Docker before 23 cannot read; the tar itself must stay as it is.
        Some(zstd) => {
            let (mut reader, _) = decompress(store.open_blob(&zstd.digest).map_err(store_error)?)?;
            std::io::copy(&mut reader, &mut tar).map_err(|source| LayerError::Write { source })?;
            Ground::Stack
        }
        None => pack_layer(store, stack, &mut tar, options)?,
    };
    tar.flush().map_err(|source| LayerError::Write { source })?;
    let (_, diff_id, size) = tar.finish();
    store
        .record_diff_id(grounded(stack, ground), options.epoch, diff_id)
        .map_err(store_error)?;
    let blob = LayerBlob {
        diff_id,
        compression: Compression::None,
        digest: diff_id,
        size,
    };
    Ok(Packed {
        blob,
        path,
        _holder: Some(holder),
    })
}

/// Without a time of its own, a layer has that of the image.
fn of_layer(image: &Image, index: usize, options: &PackOptions) -> PackOptions {
    PackOptions {
        epoch: options.epoch.or_else(|| Some(image.layer_epoch(index))),
    }
}

/// What the tar of the last layer of `stack` depends on.
fn grounded(stack: &[Layer], ground: Ground) -> &[Layer] {
    match ground {
        Ground::Layer => &stack[stack.len().saturating_sub(1)..],
        Ground::Stack => stack,
    }
}

fn existing(
    store: &Store,
    stack: &[Layer],
    options: &PackOptions,
    wanted: &[Compression],
) -> Result<Option<LayerBlob>, LayerError> {
    let diff_id = store
        .layer_diff_id(stack, options.epoch)
        .map_err(store_error)?;
    diff_id
        .map_or(Ok(None), |diff_id| store.layer_blob(diff_id, wanted))
        .map_err(store_error)
}

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
    if !store.has_snapshot(&id) {
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
