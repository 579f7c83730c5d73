//! Layers that leave the store.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::compression::{CompressionOptions, CompressionWriter, decompress};
use super::pack::{Ground, pack_layer, pack_trees};
use super::{LayerError, PackOptions};
use crate::store::{Compression, LayerBlob};
use crate::{Digest, DigestWriter, Image, Layer, Store, StoreError};

/// Between the packer, which writes blocks of a tar, and what compresses.
const BUFFER: usize = 256 * 1024;
/// All forms in which a layer may be in the store.
const ANY: [Compression; 3] = [Compression::Gzip, Compression::Zstd, Compression::None];

/// The image's layer with this index as it leaves. Without a time of its own in `pack`, a layer has that of the image.
pub(crate) fn image_layer(
    store: &Store,
    image: &Image,
    index: usize,
    pack: &PackOptions,
    compression: &CompressionOptions,
) -> Result<LayerBlob, LayerError> {
    let pack = PackOptions {
        epoch: pack.epoch.or_else(|| Some(image.layer_epoch(index))),
    };
    compressed_layer(store, &image.layers[..=index], &pack, compression)
}

/// The files of a directory that is no layer as a blob of the store, compressed as layers are.
pub fn compressed_directory(store: &Store, directory: &Path) -> Result<LayerBlob, LayerError> {
    let roots = [directory.to_owned()];
    let compressed = compress(
        store.write_blob().map_err(store_error)?,
        &CompressionOptions::default(),
        |tar| pack_trees(&roots, &[], tar, &[None]),
    )?;
    let (digest, size) = compressed.writer.commit(None).map_err(store_error)?;
    Ok(LayerBlob {
        diff_id: compressed.diff_id,
        compression: Compression::Gzip,
        digest,
        size,
    })
}

/// The last layer of `stack` as a compressed blob of the store. A layer that came compressed leaves as it came, unless a
/// compression is forced on it. Any other is packed once for each compression.
pub fn compressed_layer(
    store: &Store,
    stack: &[Layer],
    pack: &PackOptions,
    compression: &CompressionOptions,
) -> Result<LayerBlob, LayerError> {
    let Some(layer) = stack.last() else {
        return Err(LayerError::Entry {
            path: String::new(),
            what: "is missing: an image without layers has none to pack",
        });
    };
    let received = store.received_diff_id(layer).map_err(store_error)?;
    let pack = match received {
        Some(_) => PackOptions { epoch: None },
        None => *pack,
    };
    let known = store
        .layer_diff_id(stack, pack.epoch)
        .map_err(store_error)?;
    let kept = |wanted: &[Compression]| match known {
        Some(diff_id) => store.layer_blob(diff_id, wanted).map_err(store_error),
        None => Ok(None),
    };
    let suits = if received.is_some() && !compression.force {
        kept(&[compression.kind(), Compression::Gzip, Compression::Zstd])?
    } else if compression.level.is_none() {
        kept(&[compression.kind()])?
    } else {
        None
    };
    if let Some(blob) = suits {
        return Ok(blob);
    }
    let other_form = kept(&ANY)?;
    let write_tar = |tar: &mut dyn Write| match other_form {
        Some(blob) => {
            let blob = store.open_blob(&blob.digest).map_err(store_error)?;
            let (mut reader, _) = decompress(blob)?;
            io::copy(&mut reader, tar).map_err(|source| LayerError::Write { source })?;
            Ok(Ground::Stack)
        }
        None => pack_layer(store, stack, tar, &pack),
    };
    let writer = store.write_blob().map_err(store_error)?;
    let compressed = compress(writer, compression, write_tar)?;
    let diff_id = compressed.diff_id;
    if let Some(expected) = received.filter(|expected| *expected != diff_id) {
        return Err(LayerError::DiffId {
            expected,
            found: diff_id,
        });
    }
    let (digest, size) = compressed.writer.commit(None).map_err(store_error)?;
    let blob = LayerBlob {
        diff_id,
        compression: compression.kind(),
        digest,
        size,
    };
    store
        .record_diff_id(grounded(stack, compressed.ground), pack.epoch, diff_id)
        .map_err(store_error)?;
    // Another push without a level must find the bytes of the usual one.
    if compression.level.is_none() {
        store.record_layer_blob(&blob).map_err(store_error)?;
    }
    Ok(blob)
}

/// What the tar of the last layer of `stack` depends on.
fn grounded(stack: &[Layer], ground: Ground) -> &[Layer] {
    match ground {
        Ground::Layer => &stack[stack.len().saturating_sub(1)..],
        Ground::Stack => stack,
    }
}

/// A tar that went through a compression.
struct Compressed<W> {
    writer: W,
    diff_id: Digest,
    ground: Ground,
}

fn compress<W: Write>(
    writer: W,
    options: &CompressionOptions,
    write_tar: impl FnOnce(&mut dyn Write) -> Result<Ground, LayerError>,
) -> Result<Compressed<W>, LayerError> {
    let write = |source| LayerError::Write { source };
    let compression =
        CompressionWriter::new(writer, options.kind(), options.level).map_err(write)?;
    let mut tar = BufWriter::with_capacity(BUFFER, DigestWriter::new(compression));
    let ground = write_tar(&mut tar)?;
    let tar = tar.into_inner().map_err(io::IntoInnerError::into_error);
    let (compression, diff_id, _) = tar.map_err(write)?.finish();
    let writer = compression.finish().map_err(write)?;
    Ok(Compressed {
        writer,
        diff_id,
        ground,
    })
}

fn store_error(source: StoreError) -> LayerError {
    LayerError::Store { source }
}
