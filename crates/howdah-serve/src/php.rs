//! From a request of a client to one for PHP, and from PHP's answer to the client's.

use http::Response;
use http::header::{HeaderValue, RETRY_AFTER};
use http_body_util::BodyExt as _;
use serde_json::json;

use crate::backend::Backend;
use crate::files::lookup::Script;
use crate::handler::Asked;
use crate::http::ahead::{self, Disk};
use crate::http::request_body::RequestBodyError;
use crate::http::{Body, BodyError, response};
use crate::log::{Level, Log};
use crate::pool::{PhpBody, PhpError, PhpRequest};

/// Has PHP answer; a fault is a status too.
pub(crate) async fn answer(
    backend: &Backend,
    disk: Disk<'_>,
    request: Box<PhpRequest>,
) -> Response<Body> {
    let target = crate::cgi::target(&request.parts.uri).to_owned();
    match received(backend, disk, request).await {
        Ok(response) => response.map(|body| Body::stream(body.map_err(BodyError::from))),
        Err(error) => refusal(disk.log, &target, &error),
    }
}

async fn received(
    backend: &Backend,
    disk: Disk<'_>,
    mut request: Box<PhpRequest>,
) -> Result<Response<PhpBody>, PhpError> {
    let backend = backend.of(&request);
    let received = ahead::receive(request.body, || backend.has_many_idle(), disk).await;
    request.body = received.map_err(PhpError::Body)?;
    backend.handle(request).await
}

/// The request that PHP gets. Boxed, as it goes through many hands.
pub(crate) fn request(script: Script, asked: Asked) -> Box<PhpRequest> {
    Box::new(PhpRequest {
        parts: asked.parts,
        body: Box::pin(asked.body),
        peer: asked.client.address,
        tls: asked.tls,
        is_https: asked.client.is_https,
        script,
        interim: asked.interim,
        routed: None,
    })
}

fn refusal(log: &Log, target: &str, error: &PhpError) -> Response<Body> {
    let status = RequestBodyError::status_of(error).unwrap_or_else(|| error.status());
    let level = if status.is_client_error() {
        Level::Info
    } else {
        Level::Error
    };
    let fields = json!({ "uri": target, "status": status.as_u16() });
    log.line(level, "php", error.to_string(), fields);
    let mut response = response::plain(status);
    if let Some(seconds) = error.retry_after() {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
