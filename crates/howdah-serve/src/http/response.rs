//! Responses that the server makes itself.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use http_body::Body as _;

use super::Body;

/// The status and its name as text.
pub(crate) fn plain(status: StatusCode) -> Response<Body> {
    let reason = status.canonical_reason().unwrap_or("error");
    let mut response = Response::new(Body::from(format!("{} {reason}\n", status.as_u16())));
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}

/// Nothing but a status.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = status;
    response
}

/// The answer to HEAD: what GET would be told, without its content. HTTP/1 would leave that out by itself, HTTP/2 and 3 take it
/// for a fault (RFC 9110 section 9.3.2).
pub(crate) fn head_of(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let length = body.size_hint().exact().filter(|_| !body.is_end_stream());
    if let Some(length) = length {
        let entry = parts.headers.entry(CONTENT_LENGTH);
        entry.or_insert(length.into());
    }
    Response::from_parts(parts, Body::default())
}
