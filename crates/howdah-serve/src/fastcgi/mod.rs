//! PHP by a PHP-FPM server, over FastCGI 1.0.
//!
//! The codec is our own: the maintained library (`fastcgi-client`) writes a request's whole body before it reads the answer, which
//! is a deadlock with a script that writes first, and takes only variables that are UTF-8.

mod address;
mod connections;
mod exchange;
mod head;
mod record;
mod upload;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use howdah_wire::Head;
use http::header::AUTHORIZATION;
use http::{Method, Response, StatusCode};
use serde_json::json;
use tokio::time::Sleep;

pub use address::{Address, AddressFault};

use crate::cgi::{self, Constants};
use crate::log::{Level, Log};
use crate::pool::body::{self, PhpBody};
use crate::pool::{PhpError, PhpRequest, head as php_head};
use connections::Connections;
use exchange::{Broken, Exchange};
use record::Variables;
use upload::Upload;

/// What a FastCGI back end is told.
#[derive(Debug, Clone)]
pub struct FastCgiConfig {
    /// Where PHP-FPM listens.
    pub address: Address,
    /// How many requests it is given at a time. Those connections stay open, so it must have as many processes at least. Without a
    /// limit each request has a connection of its own.
    pub connections: Option<usize>,
    /// Requests that may wait for a connection; a further one is a 503.
    pub queue: usize,
    /// How long a request waits for a connection before it is a 503.
    pub max_wait: Duration,
    /// The wall-clock limit of a request: then the client gets a 504.
    pub request_timeout: Option<Duration>,
}

/// A PHP-FPM server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FastCgi {
    connections: Arc<Connections>,
    constants: Arc<Constants>,
    request_timeout: Option<Duration>,
    log: Log,
}

impl FastCgi {
    /// Nothing is asked of the server before the first request. Of `constants` the environment stays here: it is this process's.
    pub fn new(config: FastCgiConfig, constants: Constants, log: Log) -> FastCgi {
        FastCgi {
            connections: Arc::new(Connections::new(
                config.address,
                config.connections,
                config.queue,
                config.max_wait,
            )),
            constants: Arc::new(constants),
            request_timeout: config.request_timeout,
            log,
        }
    }

    /// Has PHP answer a request. The answer is streamed; when it is dropped early, the connection is closed, which is how PHP-FPM
    /// learns that the client is gone.
    pub async fn handle(&self, request: Box<PhpRequest>) -> Result<Response<PhpBody>, PhpError> {
        let method = request.parts.method.clone();
        let start = self.encode(&request);
        let target = cgi::target(&request.parts.uri).to_owned();
        let mut upload = Upload::new(start, request.body);
        let mut deadline = self.request_timeout.map(tokio::time::sleep).map(Box::pin);
        let mut fresh = false;
        loop {
            let connection = self.open(fresh, &mut deadline).await?;
            let is_kept = connection.is_kept;
            let mut exchange = Exchange::new(connection, upload, deadline, self.log.clone());
            let broken = match self.head(&mut exchange).await {
                Ok((head, first)) => {
                    return Ok(self
                        .respond(&method, &target, (head, first), exchange)
                        .await);
                }
                Err(Fault::Head(fault)) => return Err(self.refused(&fault)),
                Err(Fault::Broken(broken)) => broken,
            };
            // A server that closes a connection it kept has not seen the request (RFC 9112 section 9.3.1 has the same for HTTP).
            let is_stale = is_kept && !exchange.answered && method.is_idempotent();
            let is_lost = matches!(broken, Broken::Ended | Broken::Socket(_));
            let (again, left) = exchange.into_parts();
            (upload, deadline) = match again {
                Some(again) if is_stale && is_lost => (again, left),
                _ => return Err(self.error(broken)),
            };
            fresh = true;
        }
    }

    async fn open(
        &self,
        fresh: bool,
        deadline: &mut Option<Pin<Box<Sleep>>>,
    ) -> Result<connections::Connection, PhpError> {
        let connection = self.connections.open(fresh);
        match deadline {
            None => connection.await,
            Some(deadline) => tokio::select! {
                connection = connection => connection,
                () = deadline => Err(self.error(Broken::Overdue)),
            },
        }
    }

    /// The request's records but for its body.
    fn encode(&self, request: &PhpRequest) -> Vec<u8> {
        let mut variables = Variables::default();
        variables.put(b"AUTH_TYPE", b"");
        cgi::variables(&self.constants, request, |name, value| {
            variables.put(name, value);
        });
        let mut name = Vec::with_capacity(32);
        cgi::headers(&request.parts, |field, value| {
            name.clear();
            name.extend_from_slice(b"HTTP_");
            name.extend(field.iter().map(|byte| match byte {
                b'-' => b'_',
                byte => byte.to_ascii_uppercase(),
            }));
            variables.put(&name, value);
        });
        if let Some(user) = basic_user(request) {
            variables.put(b"REMOTE_USER", &user);
        }
        self.constants
            .each_last(|name, value| variables.put(name, value));
        let mut start = Vec::with_capacity(4 << 10);
        record::append_request(&mut start, self.connections.keeps(), &variables);
        start
    }

    async fn head(&self, exchange: &mut Exchange) -> Result<(Head, Bytes), Fault> {
        let mut incoming = head::Incoming::default();
        loop {
            let piece = poll_fn(|context| exchange.poll_output(context)).await?;
            let piece = piece.ok_or(head::HeadFault::Ended)?;
            if let Some(whole) = incoming.push(&piece)? {
                return Ok(whole);
            }
        }
    }

    /// As in the other modes: a head that is none of HTTP is the script's fault.
    async fn respond(
        &self,
        method: &Method,
        target: &str,
        (head, first): (Head, Bytes),
        mut exchange: Exchange,
    ) -> Response<PhpBody> {
        let head = match php_head::response(&head) {
            Ok(head) => head,
            Err(fault) => {
                let fields = json!({ "uri": target });
                self.log
                    .line(Level::Error, "php", fault.to_string(), fields);
                exchange.discard();
                let mut response = Response::new(PhpBody::whole(Bytes::new()));
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                return response;
            }
        };
        if !body::is_wanted(method, &head) {
            exchange.discard();
            return head.map(|()| PhpBody::whole(Bytes::new()));
        }
        let mut pieces = VecDeque::from([first]);
        pieces.retain(|piece| !piece.is_empty());
        loop {
            // Without waiting.
            match poll_fn(|context| Poll::Ready(exchange.poll_output(context))).await {
                Poll::Ready(Ok(Some(piece))) if pieces.len() < WHOLE => pieces.push_back(piece),
                Poll::Ready(Ok(None)) => return body::whole(head, pieces),
                Poll::Ready(Ok(Some(piece))) => {
                    pieces.push_back(piece);
                    break;
                }
                Poll::Ready(Err(_)) | Poll::Pending => break,
            }
        }
        let announced = body::announced(&head);
        head.map(|()| PhpBody::stream(pieces, exchange, announced))
    }

    fn error(&self, broken: Broken) -> PhpError {
        match broken {
            Broken::Client(source) => PhpError::Body(source),
            Broken::Overdue => PhpError::TookTooLong(self.request_timeout.unwrap_or_default()),
            Broken::Overloaded => PhpError::Overloaded {
                address: self.connections.address.to_string(),
            },
            other => self.refused(&other),
        }
    }

    fn refused(&self, fault: &dyn std::error::Error) -> PhpError {
        PhpError::Refused {
            address: self.connections.address.to_string(),
            fault: fault.to_string(),
        }
    }
}

/// Pieces of a body that are collected without waiting, so that it goes out with its head and its length.
const WHOLE: usize = 8;

/// Why there is no head.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Head(#[from] head::HeadFault),
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// `REMOTE_USER` as the other modes have it: the name in HTTP's basic authentication (RFC 7617).
fn basic_user(request: &PhpRequest) -> Option<Vec<u8>> {
    let value = request.parts.headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, credentials) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let engine = base64::engine::general_purpose::STANDARD;
    let mut user = engine.decode(credentials.trim_ascii()).ok()?;
    let colon = user.iter().position(|byte| *byte == b':')?;
    user.truncate(colon);
    Some(user)
}
