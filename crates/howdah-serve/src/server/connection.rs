//! One connection: which HTTP it speaks, and its requests one after the other or side by side.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::BytesMut;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;

use super::lingering::{Lingering, SILENCE};
use super::stream::Watched;
use super::{LINGER, Phase, closing, http2};
use crate::handler::{Handler, Link};
use crate::http::Body;
use crate::http::interim::Detour;
use crate::http::request_body::Received;
use crate::websocket::{Slot, Tunnel};

/// What an HTTP/2 client sends first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const TIMED_OUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Serves one connection to its end.
pub(crate) async fn serve<S>(
    mut stream: S,
    link: Link,
    handler: Arc<Handler>,
    phase: watch::Receiver<Phase>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let timeouts = handler.config.timeouts;
    let mut ahead = BytesMut::with_capacity(8 << 10);
    let first = read_first(&mut stream, &mut ahead);
    match tokio::time::timeout(timeouts.head, first).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) => return,
        Err(_) => {
            if !ahead.is_empty() {
                stream.write_all(TIMED_OUT).await.ok();
            }
            return;
        }
    }
    if is_other_protocol(&ahead) {
        return;
    }
    let ahead = ahead.freeze();
    let is_http2 = ahead.starts_with(PREFACE);
    let stream = Watched::new(stream, ahead, timeouts.write);
    if is_http2 {
        http2::serve(stream, link, handler, phase).await;
    } else {
        serve_http1(stream, link, handler, phase).await;
    }
}

/// Reads until the bytes are the preface of HTTP/2, or cannot become it.
async fn read_first(stream: &mut (impl AsyncRead + Unpin), first: &mut BytesMut) -> io::Result<()> {
    loop {
        let read = stream.read_buf(first).await?;
        let is_undecided = first.len() < PREFACE.len() && PREFACE.starts_with(first);
        if read == 0 || !is_undecided {
            return Ok(());
        }
    }
}

/// A line of three words of which the last is no version of HTTP, as a wrong preface of HTTP/2 is one: who sends it would not
/// understand a response of HTTP/1 (RFC 9113 section 3.4).
fn is_other_protocol(first: &[u8]) -> bool {
    let line = first.split(|byte| *byte == b'\n').next();
    let mut words = line
        .unwrap_or_default()
        .trim_ascii_end()
        .split(|byte| *byte == b' ');
    let version = words.nth(2);
    first.contains(&b'\n')
        && words.next().is_none()
        && version.is_some_and(|version| !version.to_ascii_uppercase().starts_with(b"HTTP/"))
}

async fn serve_http1<S>(
    stream: Watched<S>,
    mut link: Link,
    handler: Arc<Handler>,
    phase: watch::Receiver<Phase>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let detour = Detour::default();
    let stream = stream.with_detour(detour.clone());
    link.interim = Some(detour.interim());
    let config = &handler.config;
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(config.timeouts.head)
        .max_headers(config.limits.headers)
        .max_buf_size(config.limits.head_bytes.max(8 << 10))
        .max_header_size(config.limits.head_bytes)
        .half_close(false);
    let answering = Arc::clone(&handler);
    let slot = Slot::default();
    let filled = handler.websockets.as_ref().map(|_| slot.clone());
    let service = service_fn(move |mut request: Request<Incoming>| -> Answer {
        if let Some(slot) = filled.clone() {
            request.extensions_mut().insert(slot);
        }
        // Boxed at once: what holds it below would else be made and moved with all its room for each request.
        let response =
            Box::pin(Arc::clone(&answering).handle(request.map(Received::Hyper), link.clone()));
        let detour = detour.clone();
        Box::pin(async move { Ok(detour.before(response).await) })
    });
    let mut connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut closed = std::pin::pin!(closed(phase.clone()));
    let mut is_told = false;
    let served = loop {
        tokio::select! {
            served = poll_fn(|context| connection.poll_without_shutdown(context)) => break served,
            () = &mut closed, if !is_told => {
                is_told = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner();
    if let Some(upstream) = slot.take() {
        let tunnel = Tunnel {
            client: Watched::new(stream, parts.read_buf, handler.config.timeouts.write),
            upstream,
            idle: handler.config.timeouts.websocket,
        };
        // Few connections need its room.
        return Box::pin(tunnel.run(closing(phase))).await;
    }
    // A client that has begun a request and does not go on is told so; one that only waits is left.
    if served.is_err_and(|error| error.is_timeout()) && !parts.read_buf.is_empty() {
        // Whether it hears it is its own business.
        stream.write_all(TIMED_OUT).await.ok();
    }
    // At the server's end there is not so much time for those who were idle.
    let patience = if is_told { LINGER } else { SILENCE };
    Lingering::new(stream, patience).shutdown().await.ok();
}

/// Returns when a connection of HTTP/1 that is still idle should be closed. In HTTP/2 the server can say that it goes away; here
/// a request may cross with the close of its connection.
async fn closed(phase: watch::Receiver<Phase>) {
    closing(phase).await;
    tokio::time::sleep(LINGER).await;
}
