//! Sending an image: blobs first, the manifest last, so that a name never leads to something incomplete.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use oci_client::errors::OciDistributionError;
use tokio::io::AsyncReadExt as _;

use super::{Connection, PARALLEL, RegistryError, Transfer, TransferState};
use crate::layer::transfer::{compressed, document};
use crate::layer::{LayerError, PackOptions};
use crate::manifest::{Descriptor, Manifest, OCI_CONFIG, OCI_MANIFEST};
use crate::store::LayerBlob;
use crate::{Digest, Image, Store};

const BUFFER: usize = 256 * 1024;
/// Between two reports of progress.
const PROGRESS_INTERVAL: std::time::Duration = std::time::Duration::from_millis(100);

pub(super) async fn push(
    store: &Store,
    image: &Image,
    connection: &Connection,
    options: &PackOptions,
    progress: &dyn Fn(Transfer),
) -> Result<Digest, RegistryError> {
    let packed = pack(store, image, connection, options).await?;
    let mut missing: Vec<&LayerBlob> = packed.iter().collect();
    missing.sort_by_key(|blob| blob.digest);
    missing.dedup_by_key(|blob| blob.digest);
    stream::iter(
        missing
            .into_iter()
            .map(|blob| send(store, connection, blob, progress)),
    )
    .buffer_unordered(PARALLEL)
    .try_collect::<Vec<()>>()
    .await?;
    let diff_ids = packed.iter().map(|blob| blob.diff_id).collect();
    let config = document(store, image, diff_ids)
        .map_err(|source| layer_error(connection, 0, packed.len(), source))?;
    let config = config.into_bytes();
    let config_descriptor = Descriptor::of(OCI_CONFIG, &config);
    if !exists(connection, &config_descriptor.digest).await? {
        let size = Some(config_descriptor.size);
        let bytes = stream::iter([Ok(config.into())]);
        let digest = config_descriptor.digest.to_string();
        let sent = connection
            .client
            .push_blob_stream(&connection.remote, bytes, &digest, size)
            .await;
        sent.map_err(|error| connection.error(error))?;
    }
    let layers = packed
        .iter()
        .map(|blob| Descriptor::new(blob.compression.media_type(), blob.digest, blob.size))
        .collect();
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(OCI_MANIFEST.to_owned()),
        config: config_descriptor,
        layers,
    };
    let digest = send_manifest(connection, &manifest).await?;
    store
        .record_manifest(&image.id, &connection.reference.with_digest(digest))
        .map_err(|source| RegistryError::Store { source })?;
    Ok(digest)
}

async fn send_manifest(
    connection: &Connection,
    manifest: &Manifest,
) -> Result<Digest, RegistryError> {
    let bytes = serde_json::to_vec(manifest).map_err(|source| RegistryError::Document {
        reference: connection.reference.familiar(),
        document: "manifest",
        source,
    })?;
    let digest = Digest::of(&bytes);
    let media_type = OCI_MANIFEST
        .parse()
        .expect("the media type is a constant of visible ASCII");
    let sent = connection
        .client
        .push_manifest_raw(&connection.remote, bytes, media_type)
        .await;
    sent.map_err(|error| connection.error(error))?;
    Ok(digest)
}

/// All layers as compressed blobs of the store. Packing is work for all processors by itself, so one layer at a time.
async fn pack(
    store: &Store,
    image: &Image,
    connection: &Connection,
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
        Ok(packed) => {
            packed.map_err(|(index, source)| layer_error(connection, index, count, source))
        }
        Err(panic) => {
            let source = LayerError::Write {
                source: io::Error::other(panic),
            };
            Err(layer_error(connection, 0, count, source))
        }
    }
}

async fn send(
    store: &Store,
    connection: &Connection,
    blob: &LayerBlob,
    progress: &dyn Fn(Transfer),
) -> Result<(), RegistryError> {
    let tell = |done, state| {
        progress(Transfer {
            digest: blob.digest,
            done,
            total: blob.size,
            state,
        });
    };
    if exists(connection, &blob.digest).await? {
        tell(blob.size, TransferState::Present);
        return Ok(());
    }
    let file = store
        .open_blob(&blob.digest)
        .map_err(|source| RegistryError::Store { source })?;
    let sent = Arc::new(AtomicU64::new(0));
    let bytes = chunks(file, Arc::clone(&sent));
    let digest = blob.digest.to_string();
    let mut push = std::pin::pin!(connection.client.push_blob_stream(
        &connection.remote,
        bytes,
        &digest,
        Some(blob.size)
    ));
    let mut tick = tokio::time::interval(PROGRESS_INTERVAL);
    let result = loop {
        tokio::select! {
            result = &mut push => break result,
            _ = tick.tick() => tell(sent.load(Ordering::Relaxed), TransferState::Moving),
        }
    };
    result.map_err(|error| connection.error(error))?;
    tell(blob.size, TransferState::Done);
    Ok(())
}

async fn exists(connection: &Connection, digest: &Digest) -> Result<bool, RegistryError> {
    connection
        .client
        .blob_exists(&connection.remote, &digest.to_string())
        .await
        .map_err(|error| connection.error(error))
}

/// The file's bytes as a stream that counts what was taken of it.
fn chunks<B: From<Vec<u8>>>(
    file: std::fs::File,
    sent: Arc<AtomicU64>,
) -> impl Stream<Item = Result<B, OciDistributionError>> + Send + 'static {
    stream::try_unfold(
        (tokio::fs::File::from_std(file), sent),
        |(mut file, sent)| async move {
            let mut buffer = vec![0; BUFFER];
            let read = file.read(&mut buffer).await?;
            buffer.truncate(read);
            sent.fetch_add(read as u64, Ordering::Relaxed);
            Ok(if read == 0 {
                None
            } else {
                Some((B::from(buffer), (file, sent)))
            })
        },
    )
}

fn layer_error(
    connection: &Connection,
    index: usize,
    count: usize,
    source: LayerError,
) -> RegistryError {
    RegistryError::Layer {
        reference: connection.reference.familiar(),
        number: index + 1,
        count,
        source: Box::new(source),
    }
}
