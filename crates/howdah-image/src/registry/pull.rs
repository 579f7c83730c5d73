//! Fetching an image.

use std::io;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::remote::Remote;
use super::{
    Blob, Document, Notice, PARALLEL, RegistryError, Transfer, TransferState, download, manifests,
    sources,
};
use crate::layer::LayerError;
use crate::layer::transfer::{receive_blob, received};
use crate::manifest::{Descriptor, Index, Manifest};
use crate::{Digest, Image, ImageConfig, Layer, Platform, Reference, Store, StoreError};

/// Configurations are read into memory.
const LARGEST_CONFIG: u64 = 16 << 20;
/// An index may hold indexes (image specification, `image-index.md`); nobody makes more than two levels.
const DEEPEST_INDEX: usize = 4;
/// What registries before 2017 hold.
const SCHEMA_1: [&str; 2] = [
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
];

pub(super) async fn pull(
    store: &Store,
    remote: &Remote<'_>,
    reference: &Reference,
    platform: &Platform,
) -> Result<Image, RegistryError> {
    let (manifest, digest) = manifest(remote, &manifests::name_of(reference), platform).await?;
    let document = config_document(remote, &manifest.config).await?;
    let config: ImageConfig = parse(remote, "configuration", document.as_bytes())?;
    let diff_ids = config.rootfs.diff_ids.clone();
    if diff_ids.len() != manifest.layers.len() {
        let what = "has another number of layers than the manifest";
        return Err(invalid(remote, "configuration", what));
    }
    let count = diff_ids.len();
    let pairs = manifest.layers.iter().zip(diff_ids).enumerate();
    let layers: Vec<Layer> = stream::iter(pairs.map(|(index, (descriptor, diff_id))| async move {
        layer(store, remote, descriptor, diff_id)
            .await
            .map_err(|fault| match fault {
                Fault::Layer(source) => RegistryError::Layer {
                    reference: remote.reference.clone(),
                    number: index + 1,
                    count,
                    source: Box::new(source),
                },
                Fault::Registry(error) => error,
            })
    }))
    .buffered(PARALLEL)
    .try_collect()
    .await?;
    let blobs = manifest.layers.iter().chain([&manifest.config]);
    let blobs: Vec<Digest> = blobs.map(|descriptor| descriptor.digest).collect();
    sources::note(store, reference, &blobs)?;
    let keep = || -> Result<Image, StoreError> {
        let image = store.save_document(&document, config, layers)?;
        // The name comes last, when a power cut can no longer take what it names.
        store.settle()?;
        store.record_manifest(&image, &reference.with_digest(digest))?;
        if reference.digest().is_none() {
            store.tag_beside(&image, reference)?;
        }
        Ok(image)
    };
    keep().map_err(|source| RegistryError::Store { source })
}

/// The image's manifest, and the digest of what the reference names: the manifest itself or an index.
async fn manifest(
    remote: &Remote<'_>,
    name: &str,
    platform: &Platform,
) -> Result<(Manifest, Digest), RegistryError> {
    let mut document = manifests::get(remote, name).await?;
    let top = document.digest();
    for _ in 0..DEEPEST_INDEX {
        if SCHEMA_1.contains(&document.media_type.as_str()) {
            let what = "is in Docker's schema 1, which has no layers that can be checked";
            return Err(invalid(remote, "manifest", what));
        }
        if !is_index(&document) {
            return Ok((parse(remote, "manifest", &document.bytes)?, top));
        }
        let index: Index = parse(remote, "index", &document.bytes)?;
        let no_platform = || RegistryError::NoPlatform {
            reference: remote.reference.clone(),
            platform: platform.to_string(),
        };
        let chosen = index.select(platform).ok_or_else(no_platform)?.digest;
        document = manifests::get(remote, &chosen.to_string()).await?;
    }
    Err(invalid(remote, "index", "holds indexes upon indexes"))
}

fn is_index(document: &Document) -> bool {
    #[derive(serde::Deserialize)]
    struct Shape {
        manifests: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_slice::<Shape>(&document.bytes).is_ok_and(|shape| shape.manifests.is_some())
}

async fn config_document(
    remote: &Remote<'_>,
    descriptor: &Descriptor,
) -> Result<String, RegistryError> {
    let bytes = download::read(remote, &descriptor.digest, LARGEST_CONFIG).await?;
    let bytes = bytes.ok_or_else(|| invalid(remote, "configuration", "is larger than 16 MiB"))?;
    String::from_utf8(bytes).map_err(|_| invalid(remote, "configuration", "is not UTF-8"))
}

enum Fault {
    Layer(LayerError),
    Registry(RegistryError),
}

/// One layer: in the store already, or fetched, checked and unpacked.
async fn layer(
    store: &Store,
    remote: &Remote<'_>,
    descriptor: &Descriptor,
    diff_id: Digest,
) -> Result<Layer, Fault> {
    let blob = Blob {
        digest: descriptor.digest,
        size: descriptor.size,
    };
    let tell = |state| {
        (remote.notify)(Notice::Blob(Transfer {
            digest: blob.digest,
            done: blob.size,
            total: blob.size,
            state,
        }));
    };
    if let Some(layer) = received(store, diff_id).map_err(Fault::Layer)? {
        tell(TransferState::Present);
        return Ok(layer);
    }
    // A blob that was here before may be damaged; one that just came has been checked.
    let mut suspect = store.has_blob(&blob.digest);
    loop {
        download::fetch(remote, store, &blob)
            .await
            .map_err(Fault::Registry)?;
        tell(TransferState::Unpacking);
        let owned = store.clone();
        let work = move || receive_blob(&owned, diff_id, &blob);
        let unpacked = match tokio::task::spawn_blocking(work).await {
            Ok(unpacked) => unpacked,
            Err(panic) => Err(LayerError::Archive {
                source: io::Error::other(panic),
            }),
        };
        let Err(error) = unpacked else {
            tell(TransferState::Done);
            return unpacked.map_err(Fault::Layer);
        };
        let damaged = suspect && store.remove_damaged_blob(&blob.digest).unwrap_or(false);
        if !damaged {
            return Err(Fault::Layer(error));
        }
        suspect = false;
    }
}

fn parse<T: serde::de::DeserializeOwned>(
    remote: &Remote<'_>,
    document: &'static str,
    bytes: &[u8],
) -> Result<T, RegistryError> {
    serde_json::from_slice(bytes).map_err(|source| RegistryError::Document {
        reference: remote.reference.clone(),
        document,
        source,
    })
}

fn invalid(remote: &Remote<'_>, document: &'static str, what: &'static str) -> RegistryError {
    RegistryError::Invalid {
        reference: remote.reference.clone(),
        document,
        what,
    }
}
