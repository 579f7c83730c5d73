//! Fetching blobs: resumed after a broken connection and after the death of the process (distribution specification,
//! "Pulling blobs", with RFC 9110's range requests).

use std::io::{self, Write as _};

use reqwest::header::{CONTENT_RANGE, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};

use super::backoff::Backoff;
use super::remote::{Call, Remote};
use super::transport::{self, Exchange};
use super::{Blob, Notice, PROGRESS_STEP, RegistryError, Transfer, TransferState};
use crate::store::PartialBlob;
use crate::{Digest, Store, StoreError};

/// A blob as bytes; for configurations and other small documents.
pub(super) async fn read(
    remote: &Remote<'_>,
    digest: &Digest,
    limit: u64,
) -> Result<Option<Vec<u8>>, RegistryError> {
    let mut response = open(remote, digest, 0).await?;
    let bytes = transport::body(&mut response, limit)
        .await
        .map_err(|source| remote.unreachable(source))?;
    if let Some(bytes) = &bytes
        && Digest::of(bytes) != *digest
    {
        return Err(mismatch(*digest, Digest::of(bytes)));
    }
    Ok(bytes)
}

/// Fetches a blob into the store unless it is there.
pub(super) async fn fetch(
    remote: &Remote<'_>,
    store: &Store,
    blob: &Blob,
) -> Result<(), RegistryError> {
    // Whether another process left a part of it: its bytes may be damaged, and are then fetched once more.
    let mut resumed = true;
    loop {
        let Some(mut part) = part(store, blob.digest).await? else {
            return Ok(());
        };
        resumed &= part.length() > 0;
        fill(remote, &mut part, blob).await?;
        match blocking(move || part.commit()).await {
            Err(RegistryError::Store {
                source: StoreError::DigestMismatch { .. },
            }) if resumed => resumed = false,
            other => return other,
        }
    }
}

/// Brings the part to the blob's full length.
async fn fill(
    remote: &Remote<'_>,
    part: &mut PartialBlob,
    blob: &Blob,
) -> Result<(), RegistryError> {
    let store_error = |source| RegistryError::Store { source };
    if part.length() > blob.size {
        part.restart().map_err(store_error)?;
    }
    tell(remote, blob, part.length());
    let mut backoff = Backoff::default();
    while part.length() < blob.size {
        let before = part.length();
        let mut response = open(remote, &blob.digest, before).await?;
        if before > 0 && !continues(&response, before) {
            part.restart().map_err(store_error)?;
        }
        let Err(source) = copy(remote, &mut response, part, blob).await? else {
            continue;
        };
        if part.length() > before {
            backoff.reset();
        }
        let Some(delay) = backoff.next(None) else {
            return Err(remote.unreachable(source));
        };
        remote.wait(&source.to_string(), delay).await;
    }
    Ok(())
}

/// Appends the body. The outer error is final, the inner one may pass.
async fn copy(
    remote: &Remote<'_>,
    response: &mut Response,
    part: &mut PartialBlob,
    blob: &Blob,
) -> Result<Result<(), super::TransportError>, RegistryError> {
    let wrong = |what| RegistryError::Blob {
        digest: blob.digest,
        source: io::Error::new(io::ErrorKind::InvalidData, what),
    };
    let mut told = part.length();
    loop {
        let chunk = match transport::next_chunk(response).await {
            Ok(Some(chunk)) => chunk,
            Ok(None) if part.length() < blob.size => {
                return Err(wrong("it is smaller than its manifest says"));
            }
            Ok(None) => return Ok(Ok(())),
            Err(error) => return Ok(Err(error)),
        };
        if part.length() + chunk.as_ref().len() as u64 > blob.size {
            return Err(wrong("it is larger than its manifest says"));
        }
        part.write_all(chunk.as_ref())
            .map_err(|source| RegistryError::Store {
                source: StoreError::io("write", part.path())(source),
            })?;
        if part.length() - told >= PROGRESS_STEP {
            told = part.length();
            tell(remote, blob, told);
        }
    }
}

/// Asks for the bytes from `offset` on. An answer that is not the rest is the whole.
async fn open(
    remote: &Remote<'_>,
    digest: &Digest,
    offset: u64,
) -> Result<Response, RegistryError> {
    let make = || {
        let mut exchange = Exchange::new(Method::GET, remote.url(&format!("blobs/{digest}")));
        let range = HeaderValue::try_from(format!("bytes={offset}-"));
        if let Some(range) = range.ok().filter(|_| offset > 0) {
            exchange.headers.insert(RANGE, range);
        }
        exchange
    };
    let response = remote.send(&Call::new(remote.scopes(false), &make)).await?;
    match response.status() {
        StatusCode::OK => Ok(response),
        StatusCode::PARTIAL_CONTENT if offset > 0 => Ok(response),
        _ => Err(remote.failure(response).await),
    }
}

/// Whether an answer goes on at `offset`: `206` with `Content-Range: bytes 5-9/10`.
fn continues(response: &Response, offset: u64) -> bool {
    let start = || {
        let text = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
        let (start, _) = text.strip_prefix("bytes ")?.split_once('-')?;
        start.parse::<u64>().ok()
    };
    response.status() == StatusCode::PARTIAL_CONTENT && start() == Some(offset)
}

fn tell(remote: &Remote<'_>, blob: &Blob, done: u64) {
    (remote.notify)(Notice::Blob(Transfer {
        digest: blob.digest,
        done,
        total: blob.size,
        state: TransferState::Moving,
    }));
}

/// The blob's part, once no other process holds it.
async fn part(store: &Store, digest: Digest) -> Result<Option<PartialBlob>, RegistryError> {
    let store = store.clone();
    blocking(move || store.partial_blob(&digest)).await
}

/// Store work that waits for the disk or for another process.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, RegistryError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|source| RegistryError::Store { source }),
        Err(panic) => Err(RegistryError::Start {
            source: io::Error::other(panic),
        }),
    }
}

fn mismatch(expected: Digest, found: Digest) -> RegistryError {
    RegistryError::Store {
        source: StoreError::DigestMismatch { expected, found },
    }
}
