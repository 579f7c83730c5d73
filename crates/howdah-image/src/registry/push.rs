//! Sending an image: blobs first, the manifest last, so that a name never leads to something incomplete.

use std::io;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::remote::Remote;
use super::upload::Content;
use super::{Blob, Document, PARALLEL, RegistryError, TransferState, manifests, sources, upload};
use crate::layer::transfer::{compressed, document};
use crate::layer::{LayerError, PackOptions};
use crate::manifest::{Descriptor, Manifest, OCI_CONFIG, OCI_MANIFEST};
use crate::store::LayerBlob;
use crate::{Digest, Image, Reference, Store};

pub(super) async fn push(
    store: &Store,
    image: &Image,
    remote: &Remote<'_>,
    reference: &Reference,
    options: &PackOptions,
) -> Result<Digest, RegistryError> {
    let packed = match send_layers(store, image, remote, reference, options).await {
        // The damaged blob has been removed, so its layer is packed again.
        Err(RegistryError::Damaged(_)) => {
            send_layers(store, image, remote, reference, options).await?
        }
        other => other?,
    };
    let diff_ids = packed.iter().map(|blob| blob.diff_id).collect();
    let config = document(store, image, diff_ids)
        .map_err(|source| layer_error(remote, 0, packed.len(), source))?
        .into_bytes();
    upload::send(remote, &Blob::of(&config), Content::Bytes(&config), &[]).await?;
    let layers = packed
        .iter()
        .map(|blob| Descriptor::new(blob.compression.media_type(), blob.digest, blob.size))
        .collect();
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(OCI_MANIFEST.to_owned()),
        config: Descriptor::of(OCI_CONFIG, &config),
        layers,
    };
    let bytes = serde_json::to_vec(&manifest).map_err(|source| RegistryError::Document {
        reference: remote.reference.clone(),
        document: "manifest",
        source,
    })?;
    let document = Document {
        media_type: OCI_MANIFEST.to_owned(),
        bytes,
    };
    manifests::put(remote, &manifests::name_of(reference), &document).await?;
    store
        .record_manifest(&image.id, &reference.with_digest(document.digest()))
        .map_err(|source| RegistryError::Store { source })?;
    Ok(document.digest())
}

/// Sends a blob of the store, and remembers that the repository has it.
pub(super) async fn send_stored(
    store: &Store,
    remote: &Remote<'_>,
    reference: &Reference,
    blob: &Blob,
) -> Result<TransferState, RegistryError> {
    let elsewhere = sources::find(store, reference, &blob.digest)?;
    let way = upload::send(remote, blob, Content::Stored(store), &elsewhere).await?;
    sources::note(store, reference, &[blob.digest])?;
    Ok(way)
}

async fn send_layers(
    store: &Store,
    image: &Image,
    remote: &Remote<'_>,
    reference: &Reference,
    options: &PackOptions,
) -> Result<Vec<LayerBlob>, RegistryError> {
    let packed = pack(store, image, remote, options).await?;
    let mut blobs: Vec<Blob> = packed
        .iter()
        .map(|blob| Blob {
            digest: blob.digest,
            size: blob.size,
        })
        .collect();
    blobs.sort_by_key(|blob| blob.digest);
    blobs.dedup();
    stream::iter(blobs)
        .map(|blob| async move { send_stored(store, remote, reference, &blob).await })
        .buffer_unordered(PARALLEL)
        .try_collect::<Vec<_>>()
        .await?;
    Ok(packed)
}

/// All layers as compressed blobs of the store. Packing is work for all processors by itself, so one layer at a time.
async fn pack(
    store: &Store,
    image: &Image,
    remote: &Remote<'_>,
    options: &PackOptions,
) -> Result<Vec<LayerBlob>, RegistryError> {
    let (store, image, options) = (store.clone(), image.clone(), *options);
    let count = image.layers.len();
    let work = move || -> Result<Vec<LayerBlob>, (usize, LayerError)> {
        let pack =
            |index| compressed(&store, &image, index, &options).map_err(|error| (index, error));
        (0..count).map(pack).collect()
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(packed) => packed.map_err(|(index, source)| layer_error(remote, index, count, source)),
        Err(panic) => {
            let source = LayerError::Write {
                source: io::Error::other(panic),
            };
            Err(layer_error(remote, 0, count, source))
        }
    }
}

fn layer_error(
    remote: &Remote<'_>,
    index: usize,
    count: usize,
    source: LayerError,
) -> RegistryError {
    RegistryError::Layer {
        reference: remote.reference.clone(),
        number: index + 1,
        count,
        source: Box::new(source),
    }
}
