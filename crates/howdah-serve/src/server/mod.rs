//! The server's life: listeners, connections, and the end of both.

mod connection;
mod stream;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::config::ServeConfig;
use crate::handler::{Handler, Link};
use crate::log::Log;

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be listened at.
    #[error("cannot listen at `{address}`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// What a running server can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Finish what is in flight and end.
    Drain,
}

/// How a server ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Connections that were still open when the time for them was over.
    pub cut: usize,
}

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not begun.
    Serving,
    /// No more connections are taken, and those there are end with their request.
    Closing,
}

/// A server that is bound and not yet running.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<TcpListener>,
    handler: Arc<Handler>,
}

impl Server {
    /// Listens at all addresses; connections wait in the kernel until [`Server::run`].
    pub async fn bind(config: ServeConfig, log: Log) -> Result<Self, ServeError> {
        let mut listeners = Vec::new();
        for address in &config.listeners {
            let listener = TcpListener::bind(address).await;
            listeners.push(listener.map_err(|source| ServeError::Listen {
                address: *address,
                source,
            })?);
        }
        let handler = Arc::new(Handler::new(config, log));
        Ok(Self { listeners, handler })
    }

    /// Where it listens, with the ports that the kernel chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect()
    }

    /// Serves until it is told to drain, or nobody is left who could tell it.
    pub async fn run(self, mut orders: mpsc::Receiver<Order>) -> Report {
        let (phase, _) = watch::channel(Phase::Serving);
        let permits = Arc::new(Semaphore::new(self.handler.config.limits.connections));
        let mut acceptors = JoinSet::new();
        for listener in self.listeners {
            let acceptor = Acceptor {
                listener,
                handler: Arc::clone(&self.handler),
                permits: Arc::clone(&permits),
                phase: phase.subscribe(),
            };
            acceptors.spawn(acceptor.run());
        }
        match orders.recv().await {
            Some(Order::Drain) | None => {}
        }
        let timeouts = self.handler.config.timeouts;
        tokio::time::sleep(timeouts.drain_delay).await;
        phase.send_replace(Phase::Closing);
        let mut connections = JoinSet::new();
        while let Some(acceptor) = acceptors.join_next().await {
            if let Ok(mut remaining) = acceptor {
                connections.spawn(async move { while remaining.join_next().await.is_some() {} });
            }
        }
        let all = async { while connections.join_next().await.is_some() {} };
        let in_time = tokio::time::timeout(timeouts.drain, all).await.is_ok();
        let cut = self.handler.config.limits.connections - permits.available_permits();
        Report {
            cut: if in_time { 0 } else { cut },
        }
    }
}

/// Takes the connections of one listener.
struct Acceptor {
    listener: TcpListener,
    handler: Arc<Handler>,
    permits: Arc<Semaphore>,
    phase: watch::Receiver<Phase>,
}

impl Acceptor {
    /// Gives the connections that are left when no more are taken.
    async fn run(self) -> JoinSet<()> {
        let mut connections = JoinSet::new();
        let mut phase = self.phase.clone();
        let closing = phase.wait_for(|phase| *phase == Phase::Closing);
        tokio::pin!(closing);
        loop {
            tokio::select! {
                biased;
                _ = &mut closing => return connections,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = self.accept() => if let Some((stream, link, permit)) = accepted {
                    let handler = Arc::clone(&self.handler);
                    let phase = self.phase.clone();
                    connections.spawn(async move {
                        connection::serve(stream, link, handler, phase).await;
                        drop(permit);
                    });
                },
            }
        }
    }

    /// The next connection, once there is room for it.
    async fn accept(&self) -> Option<(TcpStream, Link, OwnedSemaphorePermit)> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        let (stream, peer) = match self.listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                self.refused(&error).await;
                return None;
            }
        };
        let local = stream.local_addr().ok()?;
        stream.set_nodelay(true).ok()?;
        Some((stream, Link { peer, local }, permit))
    }

    /// Without descriptors (`EMFILE`) the kernel keeps the connection; asking again at once would only burn the processor.
    async fn refused(&self, error: &io::Error) {
        const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);
        let gone = matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
        );
        if !gone {
            let fields = serde_json::json!({ "error": error.to_string() });
            self.handler.log.line(
                crate::log::Level::Error,
                "http",
                "cannot accept a connection",
                fields,
            );
            tokio::time::sleep(PAUSE).await;
        }
    }
}
