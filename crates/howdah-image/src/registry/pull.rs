//! Fetching an image.

use std::cell::Cell;
use std::io::{self, Write as _};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use oci_client::manifest::OciDescriptor;

use super::{Connection, PARALLEL, PROGRESS_STEP, RegistryError, Transfer, TransferState};
use crate::layer::LayerError;
use crate::layer::transfer::{compression_of, receive, received};
use crate::manifest::{
    DOCKER_LIST, DOCKER_MANIFEST, Descriptor, Index, Manifest, OCI_INDEX, OCI_MANIFEST,
};
use crate::store::LayerBlob;
use crate::{Digest, Image, ImageConfig, Layer, Platform, Store, StoreError};

/// Configurations are read into memory.
const LARGEST_CONFIG: u64 = 16 << 20;
/// A connection that breaks is tried anew.
const ATTEMPTS: usize = 3;

pub(super) async fn pull(
    store: &Store,
    connection: &Connection,
    platform: &Platform,
    progress: &dyn Fn(Transfer),
) -> Result<Image, RegistryError> {
    let reference = &connection.reference;
    let (manifest, digest) = manifest(connection, platform).await?;
    let document = config_document(connection, &manifest.config).await?;
    let config: ImageConfig = parse(connection, "configuration", document.as_bytes())?;
    let diff_ids = config.rootfs.diff_ids.clone();
    if diff_ids.len() != manifest.layers.len() {
        let what = "has another number of layers than the manifest";
        return Err(RegistryError::Invalid {
            reference: reference.familiar(),
            document: "configuration",
            what,
        });
    }
    let count = diff_ids.len();
    let pairs = manifest.layers.iter().zip(diff_ids).enumerate();
    let layers: Vec<Layer> = stream::iter(pairs.map(|(index, (descriptor, diff_id))| {
        let wrap = move |fault| match fault {
            Fault::Layer(source) => RegistryError::Layer {
                reference: reference.familiar(),
                number: index + 1,
                count,
                source: Box::new(source),
            },
            Fault::Registry(error) => error,
        };
        async move {
            layer(store, connection, descriptor, diff_id, progress)
                .await
                .map_err(wrap)
        }
    }))
    .buffered(PARALLEL)
    .try_collect()
    .await?;
    let keep = || -> Result<Image, StoreError> {
        let image = store.save_document(&document, config, layers)?;
        // The name comes last, when a power cut can no longer take what it names.
        store.settle()?;
        store.record_manifest(&image.id, &reference.with_digest(digest))?;
        if reference.digest().is_none() {
            store.tag(&image.id, reference)?;
        }
        Ok(image)
    };
    keep().map_err(|source| RegistryError::Store { source })
}

/// The image's manifest, and the digest of what the reference names: the manifest itself or an index.
async fn manifest(
    connection: &Connection,
    platform: &Platform,
) -> Result<(Manifest, Digest), RegistryError> {
    let (bytes, top) = document(connection, &connection.remote).await?;
    if !is_index(&bytes) {
        return Ok((parse(connection, "manifest", &bytes)?, top));
    }
    let index: Index = parse(connection, "index", &bytes)?;
    let no_platform = || RegistryError::NoPlatform {
        reference: connection.reference.familiar(),
        platform: platform.to_string(),
    };
    let chosen = index.select(platform).ok_or_else(no_platform)?.digest;
    let (bytes, _) = document(
        connection,
        &super::remote(&connection.reference.with_digest(chosen)),
    )
    .await?;
    Ok((parse(connection, "manifest", &bytes)?, top))
}

/// oci-client compares the bytes with the digest in the reference, if it has one, and with the one in the answer.
async fn document(
    connection: &Connection,
    remote: &oci_client::Reference,
) -> Result<(Vec<u8>, Digest), RegistryError> {
    let types = [OCI_MANIFEST, DOCKER_MANIFEST, OCI_INDEX, DOCKER_LIST];
    let pulled = connection
        .client
        .pull_manifest_raw(remote, &connection.auth, &types)
        .await;
    let (bytes, _) = pulled.map_err(|error| connection.error(error))?;
    let digest = Digest::of(&bytes);
    Ok((bytes.to_vec(), digest))
}

fn is_index(bytes: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Shape {
        manifests: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_slice::<Shape>(bytes).is_ok_and(|shape| shape.manifests.is_some())
}

async fn config_document(
    connection: &Connection,
    descriptor: &Descriptor,
) -> Result<String, RegistryError> {
    let invalid = |what| RegistryError::Invalid {
        reference: connection.reference.familiar(),
        document: "configuration",
        what,
    };
    if descriptor.size > LARGEST_CONFIG {
        return Err(invalid("is larger than 16 MiB"));
    }
    let mut bytes = Vec::new();
    let mut stream = open(connection, descriptor).await?;
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk.map_err(|source| RegistryError::Blob {
            digest: descriptor.digest,
            source,
        })?);
        if bytes.len() as u64 > LARGEST_CONFIG {
            return Err(invalid("is larger than 16 MiB"));
        }
    }
    String::from_utf8(bytes).map_err(|_| invalid("is not UTF-8"))
}

enum Fault {
    Layer(LayerError),
    Registry(RegistryError),
}

/// One layer: in the store already, or fetched, checked and unpacked.
async fn layer(
    store: &Store,
    connection: &Connection,
    descriptor: &Descriptor,
    diff_id: Digest,
    progress: &dyn Fn(Transfer),
) -> Result<Layer, Fault> {
    let tell = |done, state| {
        progress(Transfer {
            digest: descriptor.digest,
            done,
            total: descriptor.size,
            state,
        });
    };
    if let Some(layer) = received(store, diff_id).map_err(Fault::Layer)? {
        tell(descriptor.size, TransferState::Present);
        return Ok(layer);
    }
    if !store.has_blob(&descriptor.digest) {
        fetch(store, connection, descriptor, &tell)
            .await
            .map_err(Fault::Registry)?;
    }
    tell(descriptor.size, TransferState::Unpacking);
    let (owned_store, digest, size) = (store.clone(), descriptor.digest, descriptor.size);
    let unpacked =
        tokio::task::spawn_blocking(move || unpack(&owned_store, diff_id, digest, size)).await;
    let unpacked = unpacked.unwrap_or_else(|panic| {
        Err(LayerError::Archive {
            source: io::Error::other(panic),
        })
    });
    tell(descriptor.size, TransferState::Done);
    unpacked.map_err(Fault::Layer)
}

fn unpack(store: &Store, diff_id: Digest, digest: Digest, size: u64) -> Result<Layer, LayerError> {
    let store_error = |source| LayerError::Store { source };
    let compression = compression_of(store.open_blob(&digest).map_err(store_error)?)?;
    let layer = receive(
        store,
        diff_id,
        store.open_blob(&digest).map_err(store_error)?,
    )?;
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

/// Fetches a blob into the store; a connection that breaks is tried anew.
async fn fetch(
    store: &Store,
    connection: &Connection,
    descriptor: &Descriptor,
    tell: &dyn Fn(u64, TransferState),
) -> Result<(), RegistryError> {
    let mut attempt = 1;
    loop {
        match fetch_once(store, connection, descriptor, tell).await {
            Err(RegistryError::Blob { .. } | RegistryError::Unreachable { .. })
                if attempt < ATTEMPTS =>
            {
                attempt += 1;
            }
            other => return other,
        }
    }
}

async fn fetch_once(
    store: &Store,
    connection: &Connection,
    descriptor: &Descriptor,
    tell: &dyn Fn(u64, TransferState),
) -> Result<(), RegistryError> {
    let store_error = |source| RegistryError::Store { source };
    let blob_error = |source| RegistryError::Blob {
        digest: descriptor.digest,
        source,
    };
    let mut blob = store.write_blob().map_err(store_error)?;
    let mut stream = open(connection, descriptor).await?;
    let (mut done, told) = (0, Cell::new(0));
    tell(0, TransferState::Moving);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(blob_error)?;
        done += chunk.len() as u64;
        if done > descriptor.size {
            return Err(blob_error(io::Error::new(
                io::ErrorKind::InvalidData,
                "it is larger than its manifest says",
            )));
        }
        blob.write_all(&chunk)
            .map_err(StoreError::io("write to", store.root()))
            .map_err(store_error)?;
        if done - told.get() >= PROGRESS_STEP {
            told.set(done);
            tell(done, TransferState::Moving);
        }
    }
    blob.commit(Some(&descriptor.digest)).map_err(store_error)?;
    Ok(())
}

async fn open(
    connection: &Connection,
    descriptor: &Descriptor,
) -> Result<oci_client::client::SizedStream, RegistryError> {
    let wanted = OciDescriptor {
        digest: descriptor.digest.to_string(),
        ..OciDescriptor::default()
    };
    connection
        .client
        .pull_blob_stream(&connection.remote, &wanted)
        .await
        .map_err(|error| connection.error(error))
}

fn parse<T: serde::de::DeserializeOwned>(
    connection: &Connection,
    document: &'static str,
    bytes: &[u8],
) -> Result<T, RegistryError> {
    let reference = connection.reference.familiar();
    serde_json::from_slice(bytes).map_err(|source| RegistryError::Document {
        reference,
        document,
        source,
    })
}
