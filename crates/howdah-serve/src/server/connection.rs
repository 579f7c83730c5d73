//! One connection: which HTTP it speaks, and its requests one after the other or side by side.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;

use super::Phase;
use super::stream::Watched;
use crate::handler::{Handler, Link};
use crate::http::Body;

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
    let first = tokio::time::timeout(timeouts.head, read_first(&mut stream)).await;
    let Ok(Ok(ahead)) = first else {
        return;
    };
    let is_http2 = ahead.starts_with(PREFACE);
    let stream = Watched::new(stream, ahead, timeouts.write);
    if is_http2 {
        serve_http2(stream, link, handler, phase).await;
    } else {
        serve_http1(stream, link, handler, phase).await;
    }
}

/// Reads until the bytes are the preface of HTTP/2, or cannot become it.
async fn read_first(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Bytes> {
    let mut first = BytesMut::with_capacity(8 << 10);
    loop {
        let read = stream.read_buf(&mut first).await?;
        let undecided = first.len() < PREFACE.len() && PREFACE.starts_with(&first);
        if read == 0 || !undecided {
            return Ok(first.freeze());
        }
    }
}

async fn serve_http1<S>(
    stream: Watched<S>,
    link: Link,
    handler: Arc<Handler>,
    mut phase: watch::Receiver<Phase>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
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
    let service = service_fn(move |request: Request<Incoming>| -> Answer {
        let response = Arc::clone(&answering).handle(request, link);
        Box::pin(async move { Ok(response.await) })
    });
    let mut connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut closing = std::pin::pin!(phase.wait_for(|phase| *phase == Phase::Closing));
    let mut told = false;
    let served = loop {
        tokio::select! {
            served = poll_fn(|context| connection.poll_without_shutdown(context)) => break served,
            _ = &mut closing, if !told => {
                told = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner();
    // A client that has begun a request and does not go on is told so; one that only waits is left.
    if served.is_err_and(|error| error.is_timeout()) && !parts.read_buf.is_empty() {
        // Whether it hears it is its own business.
        drop(stream.write_all(TIMED_OUT).await);
    }
    drop(stream.shutdown().await);
}

async fn serve_http2<S>(
    stream: Watched<S>,
    link: Link,
    handler: Arc<Handler>,
    mut phase: watch::Receiver<Phase>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    const PING: std::time::Duration = std::time::Duration::from_secs(30);
    const STREAMS: u32 = 128;
    let limits = handler.config.limits;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .adaptive_window(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let response = Arc::clone(&handler).handle(request, link);
        async move { Ok::<_, Infallible>(response.await) }
    });
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut closing = std::pin::pin!(phase.wait_for(|phase| *phase == Phase::Closing));
    let mut told = false;
    loop {
        tokio::select! {
            // What ends a connection of HTTP/2 is the client's affair or its fault.
            _ = &mut connection => break,
            _ = &mut closing, if !told => {
                told = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}
