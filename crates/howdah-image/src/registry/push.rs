//! Sending images: blobs first, then manifests, the name last, so that a name never leads to something incomplete.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::remote::Remote;
use super::upload::Content;
use super::{Blob, Document, PARALLEL, RegistryError, TransferState, manifests, sources, upload};
use crate::export::{self, Bundle};
use crate::{Reference, Store};

/// Sends what the repository lacks of a bundle, all but the manifest or index that names lead to.
pub(super) async fn send_parts(
    store: &Store,
    bundle: &Bundle,
    remote: &Remote<'_>,
    reference: &Reference,
) -> Result<(), RegistryError> {
    stream::iter(&bundle.blobs)
        .map(|blob| send(store, remote, reference, blob))
        .buffer_unordered(PARALLEL)
        .try_collect::<Vec<_>>()
        .await?;
    for child in &bundle.children {
        manifests::put(
            remote,
            &child.descriptor.digest.to_string(),
            &document(child),
        )
        .await?;
    }
    Ok(())
}

/// Lets the name lead to a bundle whose parts are there.
pub(super) async fn send_root(
    bundle: &Bundle,
    remote: &Remote<'_>,
    reference: &Reference,
) -> Result<(), RegistryError> {
    let name = manifests::name_of(reference);
    manifests::put(remote, &name, &document(&bundle.root)).await
}

async fn send(
    store: &Store,
    remote: &Remote<'_>,
    reference: &Reference,
    blob: &export::Blob,
) -> Result<TransferState, RegistryError> {
    let descriptor = blob.descriptor();
    let named = Blob {
        digest: descriptor.digest,
        size: descriptor.size,
    };
    match blob {
        export::Blob::Stored(_) => send_stored(store, remote, reference, &named).await,
        export::Blob::Document(document) => {
            upload::send(remote, &named, Content::Bytes(&document.bytes), &[]).await
        }
    }
}

fn document(manifest: &export::Document) -> Document {
    Document {
        media_type: manifest.descriptor.media_type.clone(),
        bytes: manifest.bytes.clone(),
    }
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
