//! The server's life: listeners, connections, and the end of both.

mod acceptor;
mod connection;
mod proxy_protocol;
mod stream;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use crate::backend::Backend;
use crate::config::{Listener, ServeConfig};
use crate::handler::Handler;
use crate::log::{Level, Log};
use crate::tls::{Tls, TlsError};
use acceptor::Acceptor;

/// Connections that wait in the kernel to be accepted.
const BACKLOG: u32 = 4096;

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
    /// There is no certificate to use.
    #[error("cannot serve https")]
    Tls(#[from] TlsError),
    /// A listener is to be one of https, and no certificates are given.
    #[error("cannot serve https at `{0}` without a certificate")]
    NoCertificate(SocketAddr),
}

/// What a running server can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Finish what is in flight and end.
    Drain,
    /// Read the certificates anew.
    Reload,
}

/// How a server ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Requests that were being answered when no more connections were taken, or came after that on those there were.
    pub in_flight: usize,
    /// Those of them that were answered to their end.
    pub finished: usize,
}

impl Report {
    /// Requests that were cut off.
    pub fn lost(&self) -> usize {
        self.in_flight.saturating_sub(self.finished)
    }
}

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not begun.
    Serving,
    /// No more connections are taken, and those there are end with their request.
    Closing,
}

/// A server that is bound and not yet running.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<(Listener, TcpListener)>,
    admin: Option<TcpListener>,
    tls: Option<Arc<Tls>>,
    handler: Arc<Handler>,
}

impl Server {
    /// Listens at all addresses, in a runtime of tokio; connections wait in the kernel until [`Server::run`].
    /// `backend`: the PHP of the server, which ends with it.
    pub fn bind(
        config: ServeConfig,
        backend: Option<Backend>,
        log: Log,
    ) -> Result<Self, ServeError> {
        let tls = config.certificates.clone().map(Tls::new).transpose()?;
        let mut listeners = Vec::new();
        for listener in &config.listeners {
            if listener.tls && tls.is_none() {
                return Err(ServeError::NoCertificate(listener.address));
            }
            listeners.push((*listener, listen(listener.address)?));
        }
        let admin = config.admin.map(listen).transpose()?;
        Ok(Self {
            listeners,
            admin,
            tls: tls.map(Arc::new),
            handler: Arc::new(Handler::new(config, backend, log)),
        })
    }

    /// Where it listens, with the ports that the kernel chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let bound = self.listeners.iter().map(|(_, listener)| listener);
        bound.filter_map(|bound| bound.local_addr().ok()).collect()
    }

    /// Where health and metrics are asked for.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref()?.local_addr().ok()
    }

    /// Serves until it is told to drain, or nobody is left who could tell it.
    pub async fn run(self, mut orders: mpsc::Receiver<Order>) -> Report {
        let handler = self.handler;
        let _admin = self.admin.map(|listener| {
            Aborted(
                tokio::spawn(crate::admin::serve(listener, Arc::clone(&handler))).abort_handle(),
            )
        });
        let (phase, _) = watch::channel(Phase::Serving);
        let permits = Arc::new(Semaphore::new(handler.config.limits.connections));
        let mut acceptors = JoinSet::new();
        for (options, listener) in self.listeners {
            let acceptor = Acceptor {
                listener,
                proxy_protocol: options.proxy_protocol,
                tls: self.tls.clone().filter(|_| options.tls),
                handler: Arc::clone(&handler),
                permits: Arc::clone(&permits),
                phase: phase.subscribe(),
            };
            acceptors.spawn(acceptor.run());
        }
        while let Some(Order::Reload) = orders.recv().await {
            reload(self.tls.as_deref(), &handler.log);
            if let Some(backend) = handler.backend.clone() {
                tokio::spawn(reload_php(backend, handler.log.clone()));
            }
        }
        let report = drain(&handler, &phase, acceptors).await;
        if let Some(backend) = &handler.backend {
            backend.stop().await;
        }
        report
    }
}

/// Ends a task with its owner.
struct Aborted(AbortHandle);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Readiness fails first; once nobody sends more, connections end with what is in flight on them.
async fn drain(
    handler: &Handler,
    phase: &watch::Sender<Phase>,
    mut acceptors: JoinSet<JoinSet<()>>,
) -> Report {
    let timeouts = handler.config.timeouts;
    handler.activity.leave();
    tokio::time::sleep(timeouts.drain_delay).await;
    handler.activity.drain();
    phase.send_replace(Phase::Closing);
    let all = async {
        while let Some(connections) = acceptors.join_next().await {
            let Ok(mut connections) = connections else {
                continue;
            };
            while connections.join_next().await.is_some() {}
        }
    };
    // What is not done in time is cut off, with the tasks that these sets own; the report says so.
    tokio::time::timeout(timeouts.drain, all).await.ok();
    let (in_flight, finished) = handler.activity.drained();
    Report {
        in_flight,
        finished,
    }
}

/// Has PHP read the code anew; when that fails, what runs goes on.
async fn reload_php(backend: Backend, log: Log) {
    match backend.reload().await {
        Ok(()) => log.line(Level::Info, "php", "reloaded", json!({})),
        Err(error) => {
            let fields = json!({ "error": chain(&*error) });
            let message = "the reload failed, the workers from before go on";
            log.line(Level::Error, "php", message, fields);
        }
    }
}

fn reload(tls: Option<&Tls>, log: &Log) {
    match tls.map(Tls::reload) {
        None => {}
        Some(Ok(())) => log.line(Level::Info, "tls", "certificates reloaded", json!({})),
        Some(Err(error)) => {
            let fields = json!({ "error": chain(&error) });
            log.line(
                Level::Error,
                "tls",
                "certificates not reloaded, the ones from before stay",
                fields,
            );
        }
    }
}

/// An error with its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let told: Vec<String> = causes.map(ToString::to_string).collect();
    told.join(": ")
}

fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let bind = || {
        let socket = match address {
            SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4(),
            SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6(),
        }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bind().map_err(|source| ServeError::Listen { address, source })
}

/// A connection that is idle when the server closes has this long to send the request that may be on its way already. A request
/// that it sends is answered with `Connection: close`.
const LINGER: Duration = Duration::from_millis(500);
