//! Sending blobs (distribution specification, "Pushing blobs"): mounted from another repository where possible, else in one
//! stream that goes on where it broke if the registry kept what had arrived.

use std::io::{self, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{self, Stream};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, RANGE};
use reqwest::{Body, Method, Response, StatusCode, Url};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::backoff::Backoff;
use super::remote::{Call, Remote};
use super::transport::{self, Exchange};
use super::{Blob, Notice, RegistryError, Transfer, TransferState, auth};
use crate::{Digest, Store};

const BUFFER: usize = 256 * 1024;
/// A registry that copies a large blob to its storage before it answers takes its time.
const COMMIT_PATIENCE: Duration = Duration::from_mins(10);

/// Where the bytes of a blob are.
#[derive(Clone, Copy)]
pub(super) enum Content<'a> {
    Bytes(&'a [u8]),
    /// In this store.
    Stored(&'a Store),
}

pub(super) async fn exists(
    remote: &Remote<'_>,
    digest: &Digest,
    writes: bool,
) -> Result<bool, RegistryError> {
    let url = remote.url(&format!("blobs/{digest}"));
    let make = || Exchange::new(Method::HEAD, url.clone());
    let response = remote
        .send(&Call::new(remote.scopes(writes), &make))
        .await?;
    match response.status() {
        StatusCode::OK => Ok(true),
        StatusCode::NOT_FOUND => Ok(false),
        _ => Err(remote.failure(response).await),
    }
}

/// Sends a blob unless it is there, or can be had from one of the repositories `elsewhere` at the same registry.
pub(super) async fn send(
    remote: &Remote<'_>,
    blob: &Blob,
    content: Content<'_>,
    elsewhere: &[String],
) -> Result<TransferState, RegistryError> {
    let tell = |done, state| {
        // Small documents are not worth telling of.
        if let Content::Stored(_) = content {
            (remote.notify)(Notice::Blob(Transfer {
                digest: blob.digest,
                done,
                total: blob.size,
                state,
            }));
        }
        state
    };
    if exists(remote, &blob.digest, true).await? {
        return Ok(tell(blob.size, TransferState::Present));
    }
    for repository in elsewhere {
        if mount(remote, &blob.digest, repository).await? {
            return Ok(tell(blob.size, TransferState::Mounted));
        }
    }
    let moving = |done| {
        tell(done, TransferState::Moving);
    };
    moving(0);
    if let Content::Stored(store) = content {
        check_size(store, blob)?;
    }
    match stream_all(remote, blob, content, &moving).await {
        Ok(()) => Ok(tell(blob.size, TransferState::Done)),
        Err(error) => Err(damage(blob, content).unwrap_or(error)),
    }
}

/// A blob that was cut short would be sent again and again: it ends before the request does.
fn check_size(store: &Store, blob: &Blob) -> Result<(), RegistryError> {
    let store_error = |source| RegistryError::Store { source };
    let file = store.open_blob(&blob.digest).map_err(store_error)?;
    let size = file.metadata().map(|metadata| metadata.len());
    if size.is_ok_and(|size| size == blob.size) {
        return Ok(());
    }
    let damaged = store
        .remove_damaged_blob(&blob.digest)
        .map_err(store_error)?;
    Err(if damaged {
        RegistryError::Damaged(blob.digest)
    } else {
        RegistryError::Invalid {
            reference: blob.digest.to_string(),
            document: "descriptor",
            what: "has another size than the blob",
        }
    })
}

/// A registry that refuses our bytes may be right.
fn damage(blob: &Blob, content: Content<'_>) -> Option<RegistryError> {
    let Content::Stored(store) = content else {
        return None;
    };
    match store.remove_damaged_blob(&blob.digest) {
        Ok(false) => None,
        Ok(true) => Some(RegistryError::Damaged(blob.digest)),
        Err(source) => Some(RegistryError::Store { source }),
    }
}

/// Asks the registry to take the blob from another of its repositories. A registry that will not starts an upload instead,
/// which is left to expire: it is not worth a request.
async fn mount(
    remote: &Remote<'_>,
    digest: &Digest,
    repository: &str,
) -> Result<bool, RegistryError> {
    let mut url = remote.url("blobs/uploads/");
    url.query_pairs_mut()
        .append_pair("mount", &digest.to_string())
        .append_pair("from", repository);
    let make = || empty(Method::POST, url.clone());
    let mut scopes = remote.scopes(true);
    scopes.push(auth::scope(repository, false));
    let answer = remote.send(&Call::new(scopes, &make)).await;
    // No right to that repository, most likely. The upload itself will tell if more is wrong.
    Ok(answer.is_ok_and(|response| response.status() == StatusCode::CREATED))
}

async fn stream_all(
    remote: &Remote<'_>,
    blob: &Blob,
    content: Content<'_>,
    moving: &dyn Fn(u64),
) -> Result<(), RegistryError> {
    let mut backoff = Backoff::default();
    let (mut url, mut offset) = (start(remote).await?, 0);
    loop {
        let error = match put(remote, blob, content, Part { url: &url, offset }, moving).await {
            Err(error) if error.may_pass() => error,
            other => return other,
        };
        // The connection may have broken after all was done.
        if exists(remote, &blob.digest, true).await? {
            return Ok(());
        }
        let Some(delay) = backoff.next(error.retry_after()) else {
            return Err(error);
        };
        remote.wait(&error.brief(), delay).await;
        // A registry that forgot what had arrived gets everything again.
        let known = progress_of(remote, &url, blob.size).await;
        let arrived = known.as_ref().map_or(0, |(_, arrived)| *arrived);
        if arrived > offset {
            backoff.reset();
        }
        offset = arrived;
        url = match known {
            Some((next, _)) => next,
            None => start(remote).await?,
        };
    }
}

/// Opens an upload; gives its address.
async fn start(remote: &Remote<'_>) -> Result<Url, RegistryError> {
    let url = remote.url("blobs/uploads/");
    let make = || empty(Method::POST, url.clone());
    let response = remote.send(&Call::new(remote.scopes(true), &make)).await?;
    if response.status() != StatusCode::ACCEPTED {
        return Err(remote.failure(response).await);
    }
    next_address(remote, &response)
}

/// Where an upload goes on.
struct Part<'a> {
    url: &'a Url,
    offset: u64,
}

/// Sends the bytes from the offset on, and says what the digest of all of them must be. One request, as containerd does it.
async fn put(
    remote: &Remote<'_>,
    blob: &Blob,
    content: Content<'_>,
    part: Part<'_>,
    moving: &dyn Fn(u64),
) -> Result<(), RegistryError> {
    let offset = part.offset;
    let sent = Arc::new(AtomicU64::new(0));
    let mut url = part.url.clone();
    url.query_pairs_mut()
        .append_pair("digest", &blob.digest.to_string());
    let make = || {
        let mut exchange = Exchange::new(Method::PUT, url.clone());
        exchange.length = blob.size;
        exchange.patience = COMMIT_PATIENCE;
        let headers = &mut exchange.headers;
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        );
        headers.insert(CONTENT_LENGTH, HeaderValue::from(blob.size - offset));
        // Nobody says a range of a whole blob, and some registries understand no other.
        let range = HeaderValue::try_from(format!("{offset}-{}", blob.size.saturating_sub(1)));
        if let Some(range) = range.ok().filter(|_| offset > 0 && offset < blob.size) {
            headers.insert(CONTENT_RANGE, range);
        }
        exchange.body = Some(body(blob, content, offset, &sent));
        exchange
    };
    let call = Call {
        repeatable: false,
        sent: Arc::clone(&sent),
        progress: moving,
        ..Call::new(remote.scopes(true), &make)
    };
    let response = remote.send(&call).await?;
    if response.status().is_success() {
        return Ok(());
    }
    Err(remote.failure(response).await)
}

/// The bytes from the offset on; `sent` counts from there.
fn body(blob: &Blob, content: Content<'_>, offset: u64, sent: &Arc<AtomicU64>) -> Body {
    match content {
        Content::Bytes(bytes) => {
            sent.store(blob.size, Ordering::Relaxed);
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            bytes.get(start..).unwrap_or_default().to_vec().into()
        }
        Content::Stored(store) => {
            sent.store(offset, Ordering::Relaxed);
            let path = store.blob_path(&blob.digest);
            Body::wrap_stream(chunks(path, offset, Arc::clone(sent)))
        }
    }
}

/// Asks how much of an upload has arrived; `None` when the registry does not know it any more.
async fn progress_of(remote: &Remote<'_>, url: &Url, size: u64) -> Option<(Url, u64)> {
    let make = || Exchange::new(Method::GET, url.clone());
    let call = Call::new(remote.scopes(true), &make);
    let response = remote.send(&call).await.ok()?;
    if response.status() != StatusCode::NO_CONTENT {
        return None;
    }
    // `0-99` for a hundred bytes, and `0-0` for none (or one, which is then refused and begun anew).
    let text = response.headers().get(RANGE)?.to_str().ok()?;
    let text = text.strip_prefix("bytes=").unwrap_or(text);
    let last: u64 = text.strip_prefix("0-")?.parse().ok()?;
    let arrived = if last == 0 { 0 } else { last + 1 };
    let next = next_address(remote, &response).unwrap_or_else(|_| url.clone());
    (arrived <= size).then_some((next, arrived))
}

fn next_address(remote: &Remote<'_>, response: &Response) -> Result<Url, RegistryError> {
    transport::location(response.url(), response)
        .ok_or_else(|| remote.unreachable(super::TransportError::Address))
}

/// A request with an empty body, which some servers want to be told of.
fn empty(method: Method, url: Url) -> Exchange {
    let mut exchange = Exchange::new(method, url);
    exchange
        .headers
        .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    exchange
}

/// The file's bytes from `offset` on, as a stream that counts what was taken of it.
fn chunks(
    path: PathBuf,
    offset: u64,
    sent: Arc<AtomicU64>,
) -> impl Stream<Item = io::Result<Vec<u8>>> + Send + 'static {
    stream::try_unfold(None, move |file| {
        let (path, sent) = (path.clone(), Arc::clone(&sent));
        async move {
            let mut file = if let Some(file) = file {
                file
            } else {
                let mut file = tokio::fs::File::open(&path).await?;
                file.seek(SeekFrom::Start(offset)).await?;
                file
            };
            let mut buffer = vec![0; BUFFER];
            let read = file.read(&mut buffer).await?;
            buffer.truncate(read);
            sent.fetch_add(read as u64, Ordering::Relaxed);
            Ok((read > 0).then_some((buffer, Some(file))))
        }
    })
}
