//! Manifests and indexes, by tag or digest (distribution specification, "Pulling manifests" and "Pushing Manifests").

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, Response, StatusCode};

use super::remote::{Call, Remote};
use super::transport::{self, Exchange};
use super::{Document, RegistryError};
use crate::manifest::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use crate::{Digest, Reference};

/// What the specification says a registry should accept at least, and what Docker reads at most.
const LARGEST_MANIFEST: u64 = 4 << 20;
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// What a name stands for at the registry: its digest, else its tag.
pub(super) fn name_of(reference: &Reference) -> String {
    match (reference.digest(), reference.tag()) {
        (Some(digest), _) => digest.to_string(),
        (None, tag) => tag.unwrap_or("latest").to_owned(),
    }
}

/// The document under a tag or digest, checked against its digest.
pub(super) async fn get(remote: &Remote<'_>, name: &str) -> Result<Document, RegistryError> {
    let call = read(remote, name);
    let mut response = remote.send(&Call::new(remote.scopes(false), &call)).await?;
    if response.status() != StatusCode::OK {
        return Err(remote.failure(response).await);
    }
    let invalid = |what| RegistryError::Invalid {
        reference: remote.reference.clone(),
        document: "manifest",
        what,
    };
    let said = digest_of(&response);
    let media_type = media_type_of(&response);
    let bytes = transport::body(&mut response, LARGEST_MANIFEST)
        .await
        .map_err(|source| remote.unreachable(source))?
        .ok_or_else(|| invalid("is larger than 4 MiB"))?;
    let document = Document { media_type, bytes };
    let asked = name.parse::<Digest>().ok();
    if asked
        .or(said)
        .is_some_and(|digest| digest != document.digest())
    {
        return Err(invalid("has another digest than it should have"));
    }
    Ok(document)
}

/// Puts a document under a tag or its digest.
pub(super) async fn put(
    remote: &Remote<'_>,
    name: &str,
    document: &Document,
) -> Result<(), RegistryError> {
    let media_type =
        HeaderValue::from_str(&document.media_type).map_err(|_| RegistryError::Invalid {
            reference: remote.reference.clone(),
            document: "manifest",
            what: "has a media type that no header may have",
        })?;
    let make = || {
        let mut exchange = Exchange::new(Method::PUT, remote.url(&format!("manifests/{name}")));
        exchange.headers.insert(CONTENT_TYPE, media_type.clone());
        exchange.body = Some(document.bytes.clone().into());
        exchange
    };
    let response = remote.send(&Call::new(remote.scopes(true), &make)).await?;
    if response.status().is_success() {
        return Ok(());
    }
    Err(remote.failure(response).await)
}

fn read(remote: &Remote<'_>, name: &str) -> impl Fn() -> Exchange + use<> {
    let url = remote.url(&format!("manifests/{name}"));
    move || {
        let mut exchange = Exchange::new(Method::GET, url.clone());
        for accepted in [OCI_MANIFEST, DOCKER_MANIFEST, OCI_INDEX, DOCKER_LIST] {
            exchange
                .headers
                .append(ACCEPT, HeaderValue::from_static(accepted));
        }
        exchange
    }
}

fn digest_of(response: &Response) -> Option<Digest> {
    let value = response.headers().get(CONTENT_DIGEST)?;
    value.to_str().ok()?.parse().ok()
}

/// Without parameters: `application/json; charset=utf-8`.
fn media_type_of(response: &Response) -> String {
    let value = response.headers().get(CONTENT_TYPE);
    let text = value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_owned()
}
