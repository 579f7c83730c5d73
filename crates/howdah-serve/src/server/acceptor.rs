//! Takes the connections of one listener.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ProtocolVersion, ServerConnection};

use super::stream::Watched;
use super::{Phase, connection, http2, proxy_protocol};
use crate::handler::{Handler, Link};
use crate::http::client::Client;
use crate::log::Level;
use crate::pool;
use crate::tls::{ACME_TLS, Tls};

pub(super) struct Acceptor {
    /// The listener's place in the configuration.
    pub(super) place: usize,
    pub(super) listener: Arc<TcpListener>,
    pub(super) proxy_protocol: bool,
    pub(super) tls: Option<Arc<Tls>>,
    /// `Alt-Svc`.
    pub(super) alternative: Option<HeaderValue>,
    pub(super) handler: Arc<Handler>,
    pub(super) permits: Arc<Semaphore>,
    pub(super) phase: watch::Receiver<Phase>,
}

impl Acceptor {
    /// Gives the connections that are left when no more are taken.
    pub(super) async fn run(self) -> JoinSet<()> {
        let mut connections = JoinSet::new();
        let mut phase = self.phase.clone();
        let closing = phase.wait_for(|phase| *phase == Phase::Closing);
        tokio::pin!(closing);
        loop {
            tokio::select! {
                biased;
                _ = &mut closing => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = self.accept() => if let Some(accepted) = accepted {
                    self.spawn(accepted, &mut connections);
                },
            }
        }
        // Those whose clients believe to be connected: closing the listener would reset them.
        while let Ok(Some(accepted)) =
            tokio::time::timeout(Duration::from_millis(1), self.accept()).await
        {
            self.spawn(accepted, &mut connections);
        }
        connections
    }

    /// The next connection, once there is room for it.
    async fn accept(&self) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        let (stream, peer) = match self.listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                self.refused(&error).await;
                return None;
            }
        };
        stream.set_nodelay(true).ok()?;
        Some((stream, peer, permit))
    }

    /// Without descriptors (`EMFILE`) the kernel keeps the connection; asking again at once would only burn the processor.
    async fn refused(&self, error: &io::Error) {
        const PAUSE: Duration = Duration::from_millis(500);
        let is_gone = matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
        );
        if !is_gone {
            let fields = json!({ "error": error.to_string() });
            let message = "cannot accept a connection";
            self.handler.log.line(Level::Error, "http", message, fields);
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn spawn(
        &self,
        (stream, peer, permit): (TcpStream, SocketAddr, OwnedSemaphorePermit),
        connections: &mut JoinSet<()>,
    ) {
        let opening = Opening {
            place: self.place,
            proxy_protocol: self.proxy_protocol,
            tls: self.tls.clone(),
            alternative: self.alternative.clone(),
            handler: Arc::clone(&self.handler),
            phase: self.phase.clone(),
        };
        let open = self.handler.activity.connect();
        connections.spawn(async move {
            opening.serve(stream, peer).await;
            drop((permit, open));
        });
    }
}

/// A connection before its first request.
struct Opening {
    place: usize,
    proxy_protocol: bool,
    tls: Option<Arc<Tls>>,
    alternative: Option<HeaderValue>,
    handler: Arc<Handler>,
    phase: watch::Receiver<Phase>,
}

impl Opening {
    async fn serve(self, mut stream: TcpStream, peer: SocketAddr) {
        let timeouts = self.handler.config.timeouts;
        let mut client = Client {
            // A listener for both families has IPv4 clients at mapped addresses.
            address: SocketAddr::new(peer.ip().to_canonical(), peer.port()),
            is_https: self.tls.is_some(),
        };
        let mut ahead = Bytes::new();
        if self.proxy_protocol {
            let header = proxy_protocol::read(&mut stream);
            // A peer that does not speak it is none of ours.
            let Ok(Ok((told, rest))) = tokio::time::timeout(timeouts.head, header).await else {
                return;
            };
            client.address = told.unwrap_or(client.address);
            ahead = rest.freeze();
        }
        let stream = Watched::new(stream, ahead, timeouts.write);
        let mut link = Link {
            client,
            interim: None,
            tls: None,
            alternative: self.alternative,
            listener: self.place,
        };
        let Some(tls) = self.tls else {
            return connection::serve(stream, link, self.handler, self.phase).await;
        };
        let handshake = TlsAcceptor::from(tls.current()).accept(stream);
        let Ok(Ok(stream)) = tokio::time::timeout(timeouts.head, handshake).await else {
            return;
        };
        let session = stream.get_ref().1;
        link.tls = Some(told(session));
        match session.alpn_protocol() {
            // The handshake was all that the authority wanted.
            Some(ACME_TLS) => {}
            Some(b"h2") => {
                http2::serve(stream, link, self.handler, self.phase).await;
            }
            _ => connection::serve(stream, link, self.handler, self.phase).await,
        }
    }
}

/// What PHP is told, by the names that FrankenPHP has from Go.
fn told(session: &ServerConnection) -> pool::Tls {
    let cipher = session.negotiated_cipher_suite();
    let cipher = cipher.and_then(|cipher| cipher.suite().as_str());
    pool::Tls {
        protocol: match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        },
        cipher: cipher.unwrap_or_default().replace("TLS13_", "TLS_"),
    }
}
