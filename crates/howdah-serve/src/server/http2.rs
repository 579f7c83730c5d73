//! HTTP/2 (RFC 9113) by the crate that hyper has it from: hyper's own server offers no way to send interim responses.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Ping, PingPong, Reason, RecvStream, SendStream};
use http::header::{CONTENT_LENGTH, EXPECT};
use http::{Request, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::lingering::{Lingering, SILENCE, WHOLE};
use super::{Phase, closing, leave_connection};
use crate::handler::{Handler, Link};
use crate::http::interim::Interim;
use crate::http::request_body::Received;
use crate::http::{Body, BodyError, response};

/// Requests of one connection at one time.
const STREAMS: u32 = 128;
/// Bytes of bodies that a client may send before the handler has taken them, of a stream and of all of a connection.
const WINDOW: u32 = 1 << 20;
/// How often a client is asked whether it is still there, and how long it may take to answer.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(20);
/// A script that sends more interim responses than that loses the rest.
const MOST_INTERIM: usize = 64;

/// Serves one connection to its end.
pub(super) async fn serve<S>(
    stream: S,
    link: Link,
    handler: Arc<Handler>,
    phase: watch::Receiver<Phase>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (limits, timeouts) = (handler.config.limits, handler.config.timeouts);
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(STREAMS)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX));
    // A client acknowledges what it reads, also when nothing more is to come.
    let handshake = builder.handshake(Lingering::new(stream, SILENCE));
    let Ok(Ok(mut connection)) = timeout(timeouts.head, handshake).await else {
        return;
    };
    let mut lost = std::pin::pin!(lost(connection.ping_pong()));
    let mut closing = std::pin::pin!(closing(phase));
    let mut is_told = false;
    let mut requests = JoinSet::new();
    loop {
        tokio::select! {
            () = &mut closing, if !is_told => {
                is_told = true;
                connection.graceful_shutdown();
            }
            Some(_) = requests.join_next(), if !requests.is_empty() => {}
            () = &mut lost => break,
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    requests.spawn(exchange(request, respond, Arc::clone(&handler), link.clone()));
                }
                // What ends a connection is the client's affair or its fault.
                Some(Err(_)) | None => break,
            },
        }
    }
}

/// Returns when the client does not answer any more.
async fn lost(pings: Option<PingPong>) {
    let Some(mut pings) = pings else {
        return std::future::pending().await;
    };
    loop {
        sleep(PING).await;
        if !matches!(timeout(PONG, pings.ping(Ping::opaque())).await, Ok(Ok(_))) {
            return;
        }
    }
}

/// Where the response to one request goes, and those before it. Cheap to clone.
#[derive(Clone)]
struct Reply(Arc<Mutex<Replying>>);

struct Replying {
    respond: SendResponse<Bytes>,
    /// Interim responses that may still be sent.
    interim: usize,
}

impl Reply {
    fn new(respond: SendResponse<Bytes>) -> Self {
        let interim = MOST_INTERIM;
        Self(Arc::new(Mutex::new(Replying { respond, interim })))
    }

    fn lock(&self) -> MutexGuard<'_, Replying> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn interim(&self) -> Interim {
        let reply = self.clone();
        Interim::new(move |response| {
            let mut replying = reply.lock();
            if let Some(left) = replying.interim.checked_sub(1) {
                replying.interim = left;
                // One that cannot be sent any more is not missed.
                replying.respond.send_informational(response).ok();
            }
        })
    }

    /// Returns when the client does not want the response any more.
    async fn refused(&self) {
        poll_fn(|context| self.lock().respond.poll_reset(context))
            .await
            .ok();
    }

    async fn send(&self, response: Response<Body>, patience: Duration) {
        let (mut parts, body) = response.into_parts();
        let is_empty = body.is_end_stream();
        leave_connection(&mut parts.headers);
        if let Some(length) = body.size_hint().exact().filter(|_| !is_empty) {
            let entry = parts.headers.entry(CONTENT_LENGTH);
            entry.or_insert(length.into());
        }
        let head = Response::from_parts(parts, ());
        let begun = self.lock().respond.send_response(head, is_empty);
        let sent = match begun {
            Ok(_) if is_empty => return,
            Ok(mut stream) => send(&mut stream, body, patience).await,
            Err(error) => Err(error.into()),
        };
        if sent.is_err() {
            // The client must not take what it has for the whole (RFC 9113 section 8.1).
            self.lock().respond.send_reset(Reason::INTERNAL_ERROR);
        }
    }
}

async fn exchange(
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    handler: Arc<Handler>,
    mut link: Link,
) {
    let patience = handler.config.timeouts.write;
    let reply = Reply::new(respond);
    let interim = reply.interim();
    link.interim = Some(interim.clone());
    let has_too_many = request.headers().len() > handler.config.limits.headers;
    let (parts, stream) = request.into_parts();
    let has_body = !stream.is_end_stream();
    let stream = Arc::new(Mutex::new(stream));
    let (held, released) = oneshot::channel();
    let response = if has_too_many {
        response::plain(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    } else {
        let length = parts.headers.get(CONTENT_LENGTH);
        let body = StreamBody {
            length: length.and_then(|length| length.to_str().ok()?.parse().ok()),
            asked: parts.headers.contains_key(EXPECT).then_some(interim),
            stream: Arc::clone(&stream),
            _held: held,
        };
        let request = Request::from_parts(parts, Received::Other(Box::pin(body)));
        tokio::select! {
            response = handler.handle(request, link) => response,
            () = reply.refused() => return,
        }
    };
    let sending = reply.send(response, patience);
    if has_body {
        let discarding = async {
            // While somebody has the body it is theirs.
            released.await.ok();
            while let Some(Ok(_)) = poll_fn(|context| poll_data(&stream, context)).await {}
        };
        // A client that is stopped in the middle of its body may not look at the answer, though it should (RFC 9113 section 8.1).
        tokio::join!(sending, async { timeout(WHOLE, discarding).await.ok() });
    } else {
        sending.await;
    }
}

/// Each piece must find room within `patience`.
async fn send(
    stream: &mut SendStream<Bytes>,
    mut body: Body,
    patience: Duration,
) -> Result<(), BodyError> {
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            reason = poll_fn(|context| stream.poll_reset(context)) => return Err(h2::Error::from(reason?).into()),
        };
        let Some(frame) = frame else {
            return Ok(stream.send_data(Bytes::new(), true)?);
        };
        let Ok(mut data) = frame?.into_data() else {
            continue;
        };
        let is_last = body.is_end_stream();
        while !data.is_empty() {
            let room = timeout(patience, room(stream, data.len())).await??;
            let piece = data.split_to(room.min(data.len()));
            stream.send_data(piece, is_last && data.is_empty())?;
        }
        if is_last {
            return Ok(());
        }
    }
}

/// How many of so many bytes the client takes at the moment, at least one.
async fn room(stream: &mut SendStream<Bytes>, length: usize) -> Result<usize, BodyError> {
    stream.reserve_capacity(length);
    while stream.capacity() == 0 {
        match poll_fn(|context| stream.poll_capacity(context)).await {
            Some(room) => room?,
            None => return Err("the client wants no more".into()),
        };
    }
    Ok(stream.capacity())
}

/// The next bytes of a request's body; the client may send as many again.
fn poll_data(
    stream: &Mutex<RecvStream>,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Bytes, h2::Error>>> {
    let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
    let data = ready!(stream.poll_data(context));
    Poll::Ready(data.map(|data| {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        Ok(data)
    }))
}

/// The body of a request; h2 sees to it that it is as long as it says.
struct StreamBody {
    stream: Arc<Mutex<RecvStream>>,
    length: Option<u64>,
    /// Where the client is told that it should send it, if it asked.
    asked: Option<Interim>,
    /// Its end tells that nobody wants the body any more.
    _held: oneshot::Sender<()>,
}

impl http_body::Body for StreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(interim) = self.asked.take() {
            let mut response = Response::new(());
            *response.status_mut() = StatusCode::CONTINUE;
            interim.send(response);
        }
        let data = ready!(poll_data(&self.stream, context));
        Poll::Ready(data.map(|data| Ok(Frame::data(data?))))
    }

    fn is_end_stream(&self) -> bool {
        let stream = self.stream.lock();
        stream
            .unwrap_or_else(PoisonError::into_inner)
            .is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
