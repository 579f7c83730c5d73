//! Downloads over HTTP into blobs of the store.
//!
//! An unchanged file is not transferred again (conditional requests, RFC 9110 section 13), and a transfer that breaks goes on
//! where it was (range requests, section 14), as long as the server names its content by a strong validator.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use howdah_image::{BlobWriter, Digest, Store, StoreError};
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, LAST_MODIFIED, RANGE,
};
use reqwest::{Client, Response, StatusCode, Url};
use tokio::sync::Notify;

use super::downloads::{self, Known};
use super::reference::shown;
use super::{Remote, RemoteError};

/// Transfers are tried so often before they fail.
const ATTEMPTS: u32 = 5;
/// Before the second attempt; doubled before each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// Without a single byte.
const SILENCE_LIMIT: Duration = Duration::from_mins(1);
/// Of one download with all its attempts.
const TIME_LIMIT: Duration = Duration::from_hours(2);
/// Far above any sane source of an image.
const SIZE_LIMIT: u64 = 32 << 30;

/// A file that was downloaded: a blob of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Download {
    pub(crate) digest: Digest,
    /// `Last-Modified` in seconds since 1970, which is also what a file without it gets (moby/buildkit `source/http`).
    pub(crate) modified: i64,
}

impl From<&Known> for Download {
    fn from(known: &Known) -> Download {
        let time = known
            .modified
            .as_deref()
            .and_then(|text| DateTimeParser::new().parse_timestamp(text).ok());
        Download {
            digest: known.digest,
            modified: time.map_or(0, jiff::Timestamp::as_second),
        }
    }
}

impl Remote {
    /// Gets what `address` leads to into the store, or finds that the store has it. With an expected digest a known file
    /// needs no request, and another content is an error.
    pub(crate) fn download(
        &self,
        address: &str,
        expected: Option<&Digest>,
    ) -> Result<Download, RemoteError> {
        let url = Url::parse(address).map_err(|_| RemoteError::Url {
            address: shown(address),
        })?;
        let known = downloads::find(&self.store, address)?;
        if let Some(known) = known
            .as_ref()
            .filter(|known| expected == Some(&known.digest))
        {
            return Ok(known.into());
        }
        let fetched = self.wait_for(&Transfer {
            store: &self.store,
            url,
            known: known.as_ref(),
        })?;
        let current = match (fetched, known) {
            (Some(fetched), _) => {
                downloads::save(&self.store, address, &fetched)?;
                fetched
            }
            (None, Some(known)) => known,
            (None, None) => return Err(RemoteError::Cancelled),
        };
        match expected {
            Some(expected) if *expected != current.digest => Err(RemoteError::Checksum {
                address: shown(address),
                expected: expected.to_string(),
                found: current.digest.to_string(),
            }),
            _ => Ok((&current).into()),
        }
    }

    /// Runs a transfer until it is done, cancelled, or takes too long.
    fn wait_for(&self, transfer: &Transfer<'_>) -> Result<Option<Known>, RemoteError> {
        // The first one wins, and it does not matter whose it was.
        drop(rustls::crypto::ring::default_provider().install_default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(RemoteError::io("start a download"))?;
        let stop = Arc::new(Notify::new());
        let hook = self.cancel.on_cancel({
            let stop = Arc::clone(&stop);
            move || stop.notify_one()
        });
        let address = shown(transfer.url.as_str());
        let result = runtime.block_on(async {
            tokio::select! {
                result = tokio::time::timeout(TIME_LIMIT, transfer.run()) => {
                    result.unwrap_or(Err(RemoteError::Stalled { address, seconds: TIME_LIMIT.as_secs() }))
                }
                () = stop.notified() => Err(RemoteError::Cancelled),
            }
        });
        drop(hook);
        result
    }
}

/// One download with all its attempts.
struct Transfer<'a> {
    store: &'a Store,
    url: Url,
    known: Option<&'a Known>,
}

/// What has arrived so far.
struct Partial {
    writer: BlobWriter,
    received: u64,
    etag: Option<String>,
    modified: Option<String>,
}

impl Partial {
    fn new(store: &Store, headers: &HeaderMap) -> Result<Partial, StoreError> {
        let text = |name: HeaderName| {
            let value = headers.get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        Ok(Partial {
            writer: store.write_blob()?,
            received: 0,
            etag: text(ETAG),
            modified: text(LAST_MODIFIED),
        })
    }

    /// What names exactly these bytes; a weak validator does not.
    fn validator(&self) -> Option<&str> {
        self.etag
            .as_deref()
            .filter(|etag| self.received > 0 && is_strong(etag))
    }

    fn finish(self) -> Result<Known, RemoteError> {
        let (digest, _) = self.writer.commit(None)?;
        Ok(Known {
            etag: self.etag,
            modified: self.modified,
            digest,
        })
    }
}

/// What a request led to.
enum Answer {
    /// What is known is still right.
    Unchanged,
    /// Everything is there.
    Arrived,
}

impl Transfer<'_> {
    /// What arrived; `None` if it is still what is known.
    async fn run(&self) -> Result<Option<Known>, RemoteError> {
        let client = Client::builder()
            .user_agent(concat!("howdah/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_LIMIT)
            .read_timeout(SILENCE_LIMIT)
            .build()
            .map_err(|source| self.error(source))?;
        let mut partial = None;
        let mut pause = FIRST_PAUSE;
        let mut attempts = 1;
        loop {
            match self.attempt(&client, &mut partial).await {
                Ok(Answer::Unchanged) => return Ok(None),
                Ok(Answer::Arrived) => return partial.map(Partial::finish).transpose(),
                Err(error) if attempts == ATTEMPTS || !is_transient(&error) => return Err(error),
                Err(_) => {}
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
            attempts += 1;
        }
    }

    /// One request, for all or for what `partial` still lacks.
    async fn attempt(
        &self,
        client: &Client,
        partial: &mut Option<Partial>,
    ) -> Result<Answer, RemoteError> {
        let mut request = client
            .get(self.url.clone())
            .header(ACCEPT_ENCODING, "identity");
        if partial
            .as_ref()
            .is_some_and(|partial| partial.validator().is_none())
        {
            *partial = None;
        }
        if let Some(partial) = partial {
            request = request.header(RANGE, format!("bytes={}-", partial.received));
            request = request.header(IF_RANGE, partial.validator().unwrap_or_default());
        } else if let Some(known) = self.known {
            for (name, value) in [
                (IF_NONE_MATCH, &known.etag),
                (IF_MODIFIED_SINCE, &known.modified),
            ] {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
        }
        let response = request.send().await.map_err(|source| self.error(source))?;
        let status = response.status();
        if status == StatusCode::NOT_MODIFIED && self.known.is_some() {
            return Ok(Answer::Unchanged);
        }
        if !status.is_success() {
            return Err(RemoteError::Status {
                address: shown(self.url.as_str()),
                status,
            });
        }
        let continued = partial
            .take()
            .filter(|partial| begins_at(&response, partial.received));
        let partial = if let Some(continued) = continued {
            partial.insert(continued)
        } else {
            let new = Partial::new(self.store, response.headers())?;
            // Some servers send an ETag and know nothing of If-None-Match (moby/buildkit#905).
            let same = |known: &Known| {
                known.etag == new.etag && known.etag.as_deref().is_some_and(is_strong)
            };
            if self.known.is_some_and(same) {
                return Ok(Answer::Unchanged);
            }
            partial.insert(new)
        };
        self.receive(response, partial).await?;
        Ok(Answer::Arrived)
    }

    async fn receive(
        &self,
        mut response: Response,
        partial: &mut Partial,
    ) -> Result<(), RemoteError> {
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|source| self.error(source))?
        {
            partial.received += chunk.len() as u64;
            if partial.received > SIZE_LIMIT {
                return Err(RemoteError::TooLarge {
                    address: shown(self.url.as_str()),
                    limit: SIZE_LIMIT,
                });
            }
            partial
                .writer
                .write_all(&chunk)
                .map_err(RemoteError::io("write a download into the store"))?;
        }
        Ok(())
    }

    fn error(&self, source: reqwest::Error) -> RemoteError {
        let address = shown(self.url.as_str());
        RemoteError::Transfer {
            address,
            // It may hold credentials.
            source: source.without_url(),
        }
    }
}

/// Whether an answer has the bytes from `position` on.
fn begins_at(response: &Response, position: u64) -> bool {
    let range = response
        .headers()
        .get(CONTENT_RANGE)
        .and_then(|value| value.to_str().ok());
    response.status() == StatusCode::PARTIAL_CONTENT
        && range.is_some_and(|range| range.starts_with(&format!("bytes {position}-")))
}

fn is_strong(etag: &str) -> bool {
    !etag.starts_with("W/")
}

/// Whether another attempt may help.
fn is_transient(error: &RemoteError) -> bool {
    match error {
        RemoteError::Transfer { source, .. } => !source.is_builder() && !source.is_redirect(),
        RemoteError::Status { status, .. } => {
            status.is_server_error()
                || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(status)
        }
        _ => false,
    }
}

/// The name that a URL gives its file, and the one for URLs that give none (moby/buildkit `convert_copy.go`).
pub(crate) fn file_name(address: &str) -> String {
    let path = Url::parse(address).map(|url| super::reference::decode(url.path()));
    let name = path.ok().and_then(|path| {
        let name = path.trim_end_matches('/').rsplit('/').next()?.to_owned();
        (!name.is_empty() && name != "." && name != ".." && !name.contains('\0')).then_some(name)
    });
    name.unwrap_or_else(|| "__unnamed__".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_the_last_part_of_its_path() {
        for (address, name) in [
            ("https://h/a/b.tar.gz?x=1#y", "b.tar.gz"),
            ("https://h/a/", "a"),
            ("https://h/a%20b", "a b"),
            ("https://h", "__unnamed__"),
            ("https://h/", "__unnamed__"),
            ("https://h/%2e%2e%2f", "__unnamed__"),
        ] {
            assert_eq!(file_name(address), name, "{address}");
        }
    }

    #[test]
    fn the_time_is_the_servers() {
        let known = |modified: Option<&str>| Known {
            etag: None,
            modified: modified.map(str::to_owned),
            digest: Digest::of("x"),
        };
        let time = |modified| Download::from(&known(modified)).modified;
        assert_eq!(time(Some("Tue, 15 Nov 1994 08:12:31 GMT")), 784_887_151);
        assert_eq!(time(Some("yesterday")), 0);
        assert_eq!(time(None), 0);
    }
}
