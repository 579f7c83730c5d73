//! The server's life: listeners, connections, and the end of both.

mod acceptor;
mod connection;
mod http2;
mod http3;
mod lingering;
mod operator;
mod proxy_protocol;
mod sockets;
mod stream;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::header::{CONNECTION, DATE, HeaderName, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use crate::admin::AdminListener;
use crate::backend::Backend;
use crate::config::{AdminAddress, Listener, ServeConfig};
use crate::descriptor;
use crate::handler::Handler;
use crate::log::{Level, Log};
use crate::sites::Sites;
use crate::tls::{Tls, TlsError};
use crate::watch::Watcher;
use crate::websocket::WebSockets;
use acceptor::Acceptor;
use http3::QuicAcceptor;
pub(crate) use operator::Operator;
use operator::Successor;
pub use sockets::Sockets;
pub(crate) use sockets::share;

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
    /// The socket for the administration cannot be made.
    #[error("cannot listen at the socket `{}`", path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Files cannot be watched.
    #[error("cannot watch the files below `{}`", directory.display())]
    Watch {
        /// Where.
        directory: PathBuf,
        /// Why: `ENOSPC` means that the kernel allows no more (`fs.inotify.max_user_watches`, inotify(7)).
        source: io::Error,
    },
    /// There is no certificate to use.
    #[error("cannot serve https")]
    Tls(#[from] TlsError),
    /// A listener is to be one of https, and no certificates are given.
    #[error("cannot serve https at `{0}` without a certificate")]
    NoCertificate(SocketAddr),
    /// There is no way to other servers.
    #[error("cannot make a client for other servers")]
    WebSockets(#[from] reqwest::Error),
}

/// What a running server can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Finish what is in flight and end.
    Drain,
    /// After that: wait for it no longer.
    End,
    /// The same without a delay: another server has taken its place.
    Leave,
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

/// A listener's sockets.
#[derive(Debug)]
struct Bound {
    options: Listener,
    listener: Arc<TcpListener>,
    /// For HTTP/3, if it is served.
    datagrams: Option<UdpSocket>,
}

impl Bound {
    fn new(options: Listener, http3: bool, sockets: &mut Sockets) -> Result<Self, ServeError> {
        let address = options.address;
        let listener = Arc::new(sockets.listen(address)?);
        // The PROXY protocol is one of streams.
        let has_datagrams = http3 && options.tls && !options.proxy_protocol;
        let datagrams = has_datagrams.then(|| http3::bind(address)).transpose();
        Ok(Self {
            options,
            listener,
            datagrams: datagrams.map_err(|source| ServeError::Listen { address, source })?,
        })
    }

    /// Tells clients of HTTP/1 and 2 where HTTP/3 is (RFC 7838).
    fn alternative(&self) -> Option<HeaderValue> {
        let port = self.datagrams.as_ref()?.local_addr().ok()?.port();
        HeaderValue::try_from(format!("h3=\":{port}\"; ma=86400")).ok()
    }
}

/// A server that is bound and not yet running.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Bound>,
    admin: Option<Arc<AdminListener>>,
    watchers: Vec<Watcher>,
    tls: Option<Arc<Tls>>,
    handler: Arc<Handler>,
    /// Told of the operator of this one.
    predecessor: Successor,
    successor: Successor,
    /// No more connections are taken.
    closed: watch::Sender<bool>,
}

impl Server {
    /// Listens at all addresses, in a runtime of tokio; connections wait in the kernel until [`Server::run`].
    /// `backend`: the PHP of the server, which ends with it.
    pub fn bind(
        config: ServeConfig,
        backend: Option<Backend>,
        log: Log,
    ) -> Result<Self, ServeError> {
        Self::bind_after(Sockets::default(), config, backend, log)
    }

    /// In the place of a server that still runs, whose sockets are taken over where the addresses are the same.
    pub fn bind_after(
        mut sockets: Sockets,
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
            listeners.push(Bound::new(*listener, config.http3, &mut sockets)?);
        }
        let challenges = tls.as_ref().map(Tls::challenges).unwrap_or_default();
        let has_upstreams = config.sites.as_ref().is_some_and(Sites::have_upstreams);
        let websockets = (has_upstreams || !config.websockets.is_empty())
            .then(|| WebSockets::new(config.websockets.clone()))
            .transpose()?;
        let admin = config.admin.as_ref();
        let admin = admin
            .map(|address| sockets.listen_admin(address).map(Arc::new))
            .transpose()?;
        let watchers = config
            .watch
            .iter()
            .map(|directory| watch(directory))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            listeners,
            admin,
            watchers,
            tls: tls.map(Arc::new),
            predecessor: sockets.successor,
            successor: Successor::default(),
            closed: watch::Sender::new(false),
            handler: Arc::new(Handler::new(config, backend, (challenges, websockets), log)),
        })
    }

    /// Where it listens, with the ports that the kernel chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let bound = self
            .listeners
            .iter()
            .map(|bound| bound.listener.local_addr());
        bound.filter_map(Result::ok).collect()
    }

    /// Its sockets, for a server that takes its place.
    pub fn sockets(&self) -> Sockets {
        let admin = self.handler.config.admin.as_ref();
        let admin = admin.zip(self.admin.as_ref());
        let successor = Arc::clone(&self.successor);
        Sockets::of(&self.listeners, admin, (successor, self.closed.subscribe()))
    }

    /// Where it takes HTTP/3.
    pub fn http3_addresses(&self) -> Vec<SocketAddr> {
        let bound = self
            .listeners
            .iter()
            .filter_map(|bound| bound.datagrams.as_ref());
        bound.filter_map(|bound| bound.local_addr().ok()).collect()
    }

    /// Where it is administrated.
    pub fn admin_address(&self) -> Option<AdminAddress> {
        self.admin.as_ref()?.address().ok()
    }

    /// Serves until it is told to drain, or nobody is left who could tell it.
    pub async fn run(self, mut orders: mpsc::Receiver<Order>) -> Report {
        let handler = self.handler;
        let (sender, mut own_orders) = mpsc::channel(1);
        let operator = Arc::new(Operator::new(
            Arc::clone(&handler),
            self.tls.clone(),
            sender,
            self.successor,
        ));
        // Nobody else sets it, and nobody at all if no server was there before.
        self.predecessor.set(Arc::clone(&operator)).ok();
        let admin = self
            .admin
            .map(|listener| tokio::spawn(crate::admin::serve(listener, Arc::clone(&operator))));
        let _admin = admin.as_ref().map(|task| Aborted(task.abort_handle()));
        let _watching: Vec<Aborted> = self
            .watchers
            .into_iter()
            .map(|watcher| crate::watch::run(watcher, Arc::clone(&operator)))
            .map(|watching| Aborted(tokio::spawn(watching).abort_handle()))
            .collect();
        let (phase, _) = watch::channel(Phase::Serving);
        let permits = Arc::new(Semaphore::new(room(&handler)));
        let mut acceptors = JoinSet::new();
        let has_plain = self.listeners.iter().any(|bound| !bound.options.tls);
        let _certificates = self.tls.clone().map(|tls| {
            let log = handler.log.clone();
            Aborted(
                tokio::spawn(async move { tls.keep_valid(has_plain, &log).await }).abort_handle(),
            )
        });
        for (place, bound) in self.listeners.into_iter().enumerate() {
            let alternative = bound.alternative();
            let acceptor = Acceptor {
                place,
                listener: bound.listener,
                proxy_protocol: bound.options.proxy_protocol,
                tls: self.tls.clone().filter(|_| bound.options.tls),
                alternative,
                handler: Arc::clone(&handler),
                permits: Arc::clone(&permits),
                phase: phase.subscribe(),
            };
            acceptors.spawn(acceptor.run());
            if let (Some(socket), Some(tls)) = (bound.datagrams, self.tls.clone()) {
                let acceptor = QuicAcceptor {
                    place,
                    socket,
                    tls,
                    handler: Arc::clone(&handler),
                    permits: Arc::clone(&permits),
                    phase: phase.subscribe(),
                };
                acceptors.spawn(acceptor.run());
            }
        }
        let delay = until_drain(&operator, &mut orders, &mut own_orders).await;
        let closing = (&phase, &self.closed);
        let (report, deadline) = drain(&handler, closing, acceptors, (&mut orders, delay)).await;
        if let Some(backend) = &handler.backend {
            backend.stop(deadline).await;
        }
        operator.end();
        if let Some(admin) = admin {
            // Who asked for the end is told of it, unless it does not listen. What was asked of the next server by a connection
            // of this one may take that server longer.
            let has_successor = !Arc::ptr_eq(&operator, &operator.current());
            let patience = if has_successor {
                HANDED_OVER
            } else {
                LAST_WORDS
            };
            tokio::time::timeout(patience, admin).await.ok();
        }
        report
    }
}

/// How many connections there may be at a time.
fn room(handler: &Handler) -> usize {
    let wanted = handler.config.limits.connections;
    let room = descriptor::connections(wanted);
    if room < wanted {
        let message = "fewer connections at a time than usual: the limit of open files is low";
        let fields = json!({ "connections": room, "usual": wanted });
        handler.log.line(Level::Warn, "http", message, fields);
    }
    room
}

/// Makes the fields of a response fit HTTP/2 and 3, which have none about a connection (RFC 9113 section 8.2.2, RFC 9114 section
/// 4.2), and says when it was made, as hyper does for HTTP/1.
fn leave_connection(headers: &mut HeaderMap) {
    const ABOUT: [HeaderName; 5] = [
        CONNECTION,
        TRANSFER_ENCODING,
        UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ];
    for name in ABOUT {
        headers.remove(name);
    }
    if !headers.contains_key(DATE)
        && let Ok(now) = HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::now()))
    {
        headers.insert(DATE, now);
    }
}

/// Reloads as often as it is told to. Gives the time before the drain begins.
async fn until_drain(
    operator: &Arc<Operator>,
    orders: &mut mpsc::Receiver<Order>,
    own_orders: &mut mpsc::Receiver<Order>,
) -> Duration {
    loop {
        let order = tokio::select! {
            order = orders.recv() => order,
            order = own_orders.recv() => order,
        };
        match order {
            Some(Order::Reload) => {
                let operator = Arc::clone(operator);
                // The log has what came of it.
                tokio::spawn(async move { operator.reload().await.ok() });
            }
            Some(Order::Leave) => return Duration::ZERO,
            Some(Order::Drain | Order::End) | None => {
                return operator.handler.config.timeouts.drain_delay;
            }
        }
    }
}

/// Returns when no more connections are taken, or the server is gone.
async fn closing(mut phase: watch::Receiver<Phase>) {
    phase.wait_for(|phase| *phase == Phase::Closing).await.ok();
}

/// Ends a task with its owner.
struct Aborted(AbortHandle);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Readiness fails first; once nobody sends more, connections end with what is in flight on them. Gives the moment by which PHP
/// must have ended, too.
async fn drain(
    handler: &Handler,
    (phase, closed): (&watch::Sender<Phase>, &watch::Sender<bool>),
    mut acceptors: JoinSet<JoinSet<()>>,
    (orders, delay): (&mut mpsc::Receiver<Order>, Duration),
) -> (Report, Instant) {
    let timeouts = handler.config.timeouts;
    handler.activity.leave();
    let is_over = tokio::time::timeout(delay, end(orders)).await;
    let time = is_over.map_or(timeouts.drain, |()| Duration::ZERO);
    let mut deadline = Instant::now() + time;
    handler.activity.drain();
    phase.send_replace(Phase::Closing);
    let all = async {
        let mut open = Vec::new();
        while let Some(connections) = acceptors.join_next().await {
            open.extend(connections.ok());
        }
        closed.send_replace(true);
        for mut connections in open {
            while connections.join_next().await.is_some() {}
        }
    };
    // What is not done in time is cut off, with the tasks that these sets own; the report says so.
    tokio::select! {
        _ = tokio::time::timeout(time, all) => {}
        () = end(orders) => deadline = Instant::now(),
    }
    let (in_flight, finished) = handler.activity.drained();
    let report = Report {
        in_flight,
        finished,
    };
    (report, deadline.max(Instant::now() + LAST_WORDS))
}

/// Returns when the server is told not to wait any longer.
async fn end(orders: &mut mpsc::Receiver<Order>) {
    while let Some(order) = orders.recv().await {
        if order == Order::End {
            return;
        }
    }
    std::future::pending::<()>().await;
}

fn watch(directory: &Path) -> Result<Watcher, ServeError> {
    Watcher::new(directory).map_err(|source| ServeError::Watch {
        directory: directory.to_owned(),
        source,
    })
}

/// For what the application has for its workers' end, when requests in flight have used up the time to drain.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// For another server to answer what was asked here, as to load a configuration.
const HANDED_OVER: Duration = Duration::from_mins(1);
/// A connection that is idle when the server closes has this long to send the request that may be on its way already. A request
/// that it sends is answered with `Connection: close`.
const LINGER: Duration = Duration::from_millis(500);
