//! A request from its queue to the head of its response, with another worker if the first one dies and that does no harm.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use howdah_wire::frame::{self, HEADER_LENGTH, Kind};
use howdah_wire::{FrameError, Head, Line, PairsWriter};
use http::{Response, StatusCode};
use serde_json::json;

use super::body::{self, PhpBody};
use super::dispatch::{Dispatch, What};
use super::error::PhpError;
use super::exchange::{Broken, Exchange, Outgoing, Step};
use super::metrics::count;
use super::{PhpRequest, head, logs};
use crate::cgi::{self, Constants};
use crate::http::interim::Interim;
use crate::log::Level;

/// Workers that may die of one request. What has killed two is the request.
const ATTEMPTS: u32 = 2;
/// Workers that may be gone before they begin the request, as many may be at one time when they are killed from outside.
const TRIES: u32 = 64;

pub(super) async fn handle(
    dispatch: &Arc<Dispatch>,
    constants: &Constants,
    request: Box<PhpRequest>,
) -> Result<Response<PhpBody>, PhpError> {
    let frame = encode(constants, &request).map_err(PhpError::TooLarge)?;
    let what = What {
        method: request.parts.method,
        target: request.parts.uri.into_parts().path_and_query,
        script: request.script.file.to_string_lossy().into(),
    };
    let mut outgoing = Outgoing::new(frame, request.body);
    let (mut attempts, mut tries) = (0, 0);
    loop {
        let lease = dispatch.lease(&what).await?;
        let mut exchange = Exchange::begin(lease, outgoing).map_err(PhpError::TooLarge)?;
        let broken = match wait_for_head(&mut exchange, request.interim.as_ref()).await {
            Ok(head) => return Ok(respond(dispatch, &what, exchange, &head)),
            Err(broken) => broken,
        };
        if let Broken::Client(source) = broken {
            return Err(PhpError::Body(source));
        }
        if exchange.is_overdue() {
            let limit = dispatch.config.request_timeout.unwrap_or_default();
            return Err(PhpError::TookTooLong(limit));
        }
        tries += 1;
        let has_begun = exchange.has_begun();
        attempts += u32::from(has_begun);
        let is_harmless = !has_begun || what.method.is_idempotent();
        let may_retry = is_harmless && !exchange.answered && attempts < ATTEMPTS && tries < TRIES;
        outgoing = match exchange.into_outgoing() {
            Some(again) if may_retry => again,
            _ => return Err(PhpError::Died),
        };
        count(&dispatch.metrics.retries);
    }
}

/// The `Request` frame.
fn encode(constants: &Constants, request: &PhpRequest) -> Result<Bytes, FrameError> {
    use std::os::unix::ffi::OsStrExt as _;
    let mut bytes = Vec::with_capacity(4 << 10);
    bytes.extend_from_slice(&[0; HEADER_LENGTH]);
    let uri = &request.parts.uri;
    let line = Line {
        script: request.script.file.as_os_str().as_bytes(),
        method: request.parts.method.as_str().as_bytes(),
        uri: cgi::target(uri).as_bytes(),
        query: cgi::query(request).as_bytes(),
        content_length: cgi::content_length(&request.parts.headers),
    };
    line.encode(&mut bytes);
    let mut variables = PairsWriter::new(&mut bytes);
    cgi::variables(constants, request, |name, value| variables.put(name, value));
    variables.put_list(constants.last());
    for (name, value) in request.routed.iter().flat_map(|routed| &routed.variables) {
        variables.put(name.as_bytes(), value.as_bytes());
    }
    variables.finish();
    let mut headers = PairsWriter::new(&mut bytes);
    cgi::headers(&request.parts, |name, value| headers.put(name, value));
    headers.finish();
    let header = frame::header(Kind::Request, bytes.len() - HEADER_LENGTH)?;
    bytes[..HEADER_LENGTH].copy_from_slice(&header);
    Ok(bytes.into())
}

async fn wait_for_head(exchange: &mut Exchange, interim: Option<&Interim>) -> Result<Head, Broken> {
    loop {
        match poll_fn(|context| exchange.poll_step(context)).await? {
            Step::Head(head) => return Ok(head),
            Step::Interim(head) => {
                if let Some((interim, response)) = interim.zip(head::interim(&head)) {
                    interim.send(response);
                }
            }
            // The response may not have begun without a head.
            Step::Body(_) => return Err(FrameError::Kind(Kind::Body as u8).into()),
            Step::Finished => return Err(FrameError::Kind(Kind::Finished as u8).into()),
        }
    }
}

fn respond(dispatch: &Dispatch, what: &What, exchange: Exchange, head: &Head) -> Response<PhpBody> {
    match head::response(head) {
        Ok(response) => with_body(what, exchange, response),
        Err(fault) => {
            let target = what.target.as_ref().map_or("/", |target| target.as_str());
            let fields = json!({ "uri": target, "script": *what.script });
            logs::tell(&dispatch.log, Level::Error, &fault.to_string(), fields);
            exchange.discard();
            let mut response = Response::new(PhpBody::whole(Bytes::new()));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

/// A body that is there already goes out whole, in one write with the head; any other is streamed.
fn with_body(what: &What, mut exchange: Exchange, head: Response<()>) -> Response<PhpBody> {
    if !body::is_wanted(&what.method, &head) {
        exchange.discard();
        return head.map(|()| PhpBody::whole(Bytes::new()));
    }
    let mut first = VecDeque::new();
    loop {
        match exchange.buffered() {
            Ok(Some(Step::Body(piece))) => first.push_back(piece),
            Ok(Some(Step::Finished)) => {
                // A `Ready` that came along frees the worker here; any other is waited for in the background.
                exchange.buffered().ok();
                return body::whole(head, first);
            }
            _ => {
                let announced = body::announced(&head);
                return head.map(|()| PhpBody::stream(first, exchange, announced));
            }
        }
    }
}
