//! HTTP/3 (RFC 9114): a UDP socket beside a listener of TLS. Requests go to the same handler as all others.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use h3::error::Code;
use h3::server::{RequestResolver, RequestStream};
use http::header::CONTENT_LENGTH;
use http::{Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, EndpointConfig, Incoming, TokioRuntime, TransportConfig, VarInt};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::rustls::ServerConfig;

use super::{Phase, closing, leave_connection};
use crate::handler::{Handler, Link};
use crate::http::client::Client;
use crate::http::request_body::Received;
use crate::http::{Body, BodyError, response};
use crate::log::Level;
use crate::pool;
use crate::tls::Tls;

/// Requests of one connection at one time, as in HTTP/2.
const STREAMS: u32 = 128;
/// A connection on which nothing was sent for so long has nothing more on its way.
const SILENCE: Duration = Duration::from_secs(1);

type Sender = RequestStream<h3_quinn::SendStream<Bytes>, Bytes>;

/// A socket that is bound and takes no connections yet.
pub(super) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Takes the connections of one socket.
pub(super) struct QuicAcceptor {
    /// The listener's place in the configuration.
    pub(super) place: usize,
    pub(super) socket: UdpSocket,
    pub(super) tls: Arc<Tls>,
    pub(super) handler: Arc<Handler>,
    pub(super) permits: Arc<Semaphore>,
    pub(super) phase: watch::Receiver<Phase>,
}

impl QuicAcceptor {
    /// Gives the connections that are left when no more are taken.
    pub(super) async fn run(self) -> JoinSet<()> {
        let log = self.handler.log.clone();
        let mut connections = JoinSet::new();
        if let Err(error) = self.accept_all(&mut connections).await {
            let fields = json!({ "error": error.to_string() });
            log.line(Level::Error, "http", "HTTP/3 is not served", fields);
        }
        connections
    }

    async fn accept_all(self, connections: &mut JoinSet<()>) -> io::Result<()> {
        let idle = self.handler.config.timeouts.head;
        let mut certificates = self.tls.subscribe();
        let config = server_config(&certificates.borrow_and_update(), idle)?;
        let endpoint = Endpoint::new(
            EndpointConfig::default(),
            Some(config),
            self.socket,
            Arc::new(TokioRuntime),
        )?;
        let mut closing = std::pin::pin!(closing(self.phase.clone()));
        loop {
            tokio::select! {
                biased;
                () = &mut closing => break,
                Ok(()) = certificates.changed() => {
                    let config = server_config(&certificates.borrow_and_update(), idle)?;
                    endpoint.set_server_config(Some(config));
                }
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                incoming = endpoint.accept() => {
                    let Some(incoming) = incoming else { break };
                    // QUIC has no queue in the kernel to wait in.
                    let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
                        incoming.refuse();
                        continue;
                    };
                    let handler = Arc::clone(&self.handler);
                    let phase = self.phase.clone();
                    connections.spawn(open((incoming, self.place), handler, phase, permit));
                }
            }
        }
        endpoint.set_server_config(None);
        Ok(())
    }
}

fn server_config(tls: &ServerConfig, idle: Duration) -> io::Result<quinn::ServerConfig> {
    let mut tls = tls.clone();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let crypto = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS))
        .max_idle_timeout(Some(idle.try_into().map_err(io::Error::other)?));
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

async fn open(
    (incoming, place): (Incoming, usize),
    handler: Arc<Handler>,
    phase: watch::Receiver<Phase>,
    permit: OwnedSemaphorePermit,
) {
    let head = handler.config.timeouts.head;
    let Ok(connecting) = incoming.accept() else {
        return;
    };
    // What ends a connection is the client's affair or its fault.
    if let Ok(Ok(connection)) = tokio::time::timeout(head, connecting).await {
        serve((connection, place), handler, phase).await.ok();
    }
    drop(permit);
}

async fn serve(
    (quic, place): (quinn::Connection, usize),
    handler: Arc<Handler>,
    phase: watch::Receiver<Phase>,
) -> Result<(), h3::error::ConnectionError> {
    let link = Link {
        client: Client {
            address: quic.remote_address(),
            is_https: true,
        },
        // quinn does not tell the cipher.
        tls: Some(pool::Tls {
            protocol: "TLSv1.3",
            cipher: String::new(),
        }),
        alternative: None,
        listener: place,
        interim: None,
    };
    let mut connection = h3::server::builder()
        .max_field_section_size(handler.config.limits.head_bytes as u64)
        .build::<_, Bytes>(h3_quinn::Connection::new(quic.clone()))
        .await?;
    let mut requests = JoinSet::new();
    let mut closing = std::pin::pin!(closing(phase));
    let mut is_told = false;
    loop {
        tokio::select! {
            () = &mut closing, if !is_told => {
                is_told = true;
                connection.shutdown(0).await?;
            }
            Some(_) = requests.join_next(), if !requests.is_empty() => {}
            () = silence(&quic), if is_told && requests.is_empty() => return Ok(()),
            accepted = connection.accept() => match accepted? {
                Some(resolver) => {
                    requests.spawn(exchange(resolver, Arc::clone(&handler), link.clone()));
                }
                // The client says that it goes away.
                None => break,
            },
        }
    }
    while requests.join_next().await.is_some() {}
    silence(&quic).await;
    Ok(())
}

/// Returns when nothing more is on its way to the client: closing a connection of QUIC drops what it has not got yet.
async fn silence(quic: &quinn::Connection) {
    let mut before = None;
    loop {
        let stats = quic.stats();
        let now = (stats.udp_tx.datagrams, stats.udp_rx.datagrams);
        if quic.close_reason().is_some() || before == Some(now) {
            return;
        }
        before = Some(now);
        tokio::time::timeout(SILENCE, quic.closed()).await.ok();
    }
}

async fn exchange(
    resolver: RequestResolver<h3_quinn::Connection, Bytes>,
    handler: Arc<Handler>,
    link: Link,
) {
    let timeouts = handler.config.timeouts;
    let head = tokio::time::timeout(timeouts.head, resolver.resolve_request());
    // h3 has answered what is no request.
    let Ok(Ok((request, stream))) = head.await else {
        return;
    };
    let (mut sender, receiver) = stream.split();
    let length = request.headers().get(CONTENT_LENGTH);
    let left = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let has_too_many = request.headers().len() > handler.config.limits.headers;
    let response = if has_too_many {
        response::plain(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    } else if length.is_some() && left.is_none() {
        response::plain(StatusCode::BAD_REQUEST)
    } else {
        let body = Received::Other(Box::pin(QuicBody { receiver, left }));
        let (parts, ()) = request.into_parts();
        handler.handle(Request::from_parts(parts, body), link).await
    };
    if send(&mut sender, response, timeouts.write).await.is_err() {
        // The client must not take what it has for the whole (RFC 9114 section 4.1).
        sender.stop_stream(Code::H3_INTERNAL_ERROR);
    }
}

/// Each piece must be taken within `patience`.
async fn send(
    sender: &mut Sender,
    response: Response<Body>,
    patience: Duration,
) -> Result<(), BodyError> {
    let (mut parts, mut body) = response.into_parts();
    leave_connection(&mut parts.headers);
    let head = sender.send_response(Response::from_parts(parts, ()));
    tokio::time::timeout(patience, head).await??;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        tokio::time::timeout(patience, sender.send_data(data)).await??;
    }
    tokio::time::timeout(patience, sender.finish()).await??;
    Ok(())
}

/// The body of a request, as long as it says (RFC 9114 section 4.1.2).
struct QuicBody {
    receiver: RequestStream<h3_quinn::RecvStream, Bytes>,
    left: Option<u64>,
}

impl http_body::Body for QuicBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = &mut *self;
        let mut data = match ready!(body.receiver.poll_recv_data(context)) {
            Err(error) => return Poll::Ready(Some(Err(error.into()))),
            Ok(None) if body.left.unwrap_or(0) == 0 => return Poll::Ready(None),
            Ok(None) => return Poll::Ready(Some(Err("the body is shorter than it says".into()))),
            Ok(Some(data)) => data,
        };
        let length = data.remaining();
        if let Some(left) = &mut body.left {
            match left.checked_sub(length as u64) {
                Some(rest) => *left = rest,
                None => return Poll::Ready(Some(Err("the body is longer than it says".into()))),
            }
        }
        Poll::Ready(Some(Ok(Frame::data(data.copy_to_bytes(length)))))
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
