//! What a server is told: one struct, complete and checked before anything is bound.

use std::ffi::OsStr;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::header::HeaderName;
use ipnet::IpNet;
use tokio::sync::{mpsc, oneshot};

use crate::sites::Sites;
use crate::tls::Certificates;

/// Everything that can be set. [`ServeConfig::new`] gives the defaults for a document root.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// Where requests are taken; port 0 lets the kernel choose one.
    pub listeners: Vec<Listener>,
    /// Where the server is administrated, if anywhere.
    pub admin: Option<AdminAddress>,
    /// The part of Caddy's admin API that is answered there besides.
    pub caddy: Option<CaddyApi>,
    /// The certificates of all listeners with TLS.
    pub certificates: Option<Certificates>,
    /// Serve HTTP/3 beside each listener with TLS, at the same port of UDP.
    pub http3: bool,
    /// The files that are served.
    pub site: Site,
    /// Paths at which a WebSocket is one of another server.
    pub websockets: Vec<WebSocketRoute>,
    /// Sites with routes of their own, which are then all there is; [`ServeConfig::site`] only says where the application is.
    pub sites: Option<Sites>,
    /// What a client may use at most.
    pub limits: Limits,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// Who is believed when it says for whom it asks. Empty: nobody, and the application gets such header fields as they are.
    pub trusted_proxies: Vec<IpNet>,
    /// Where long bodies of requests are kept until a worker has time for them.
    pub temporary: PathBuf,
    /// Fields in which they tell the client's address, the first that is there; without any `Forwarded` and `X-Forwarded-For`.
    pub client_fields: Vec<HeaderName>,
    /// For development: directories whose files are watched; PHP reads the code anew when they change.
    pub watch: Vec<PathBuf>,
    /// What is told and added besides.
    pub extras: Extras,
}

/// Where requests are taken, and what comes before the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// The address.
    pub address: SocketAddr,
    /// Is it https?
    pub tls: bool,
    /// Does a connection begin with a header of the PROXY protocol? It must then.
    pub proxy_protocol: bool,
}

/// Where health, metrics and the workers' state are asked for, and orders are given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminAddress {
    /// Everybody who reaches it may give orders.
    Tcp(SocketAddr),
    /// A socket in the file system, for the server's user alone.
    Unix(PathBuf),
}

/// What Caddy's admin API tells.
#[derive(Debug, Clone)]
pub struct CaddyApi {
    /// The configuration as JSON.
    pub config: serde_json::Value,
    /// Hosts that it takes requests for besides its own, with or without a port.
    pub origins: Vec<String>,
    /// Where another configuration goes; it answers when that one is served, or says why not.
    pub load: mpsc::Sender<Load>,
}

/// Another configuration, as it was sent.
#[derive(Debug)]
pub struct Load {
    /// A Caddyfile.
    pub text: String,
    /// The file that it is from, on which its imports depend.
    pub source: Option<PathBuf>,
    /// What became of it.
    pub answer: oneshot::Sender<Result<(), String>>,
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => path.display().fmt(formatter),
        }
    }
}

impl Listener {
    /// Plain HTTP.
    pub fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            tls: false,
            proxy_protocol: false,
        }
    }
}

/// A path at which a WebSocket is one of another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocketRoute {
    /// The path, and everything below it.
    pub path: String,
    /// The other server: `HOST:PORT`.
    pub upstream: String,
}

/// What a server does besides answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extras {
    /// A line of the log for each request.
    pub access_log: bool,
    /// Compress what the client takes compressed.
    pub compression: bool,
    /// Add the header fields that keep browsers from guessing and framing, where the application did not.
    pub security_headers: bool,
}

/// A document root and how paths are looked up in it.
#[derive(Debug, Clone)]
pub struct Site {
    /// The document root, absolute.
    pub root: PathBuf,
    /// Where the files are that scripts may hand over (`X-Sendfile`), absolute and without symlinks.
    pub application: PathBuf,
    /// Names looked for in a directory, in this order.
    pub index: Vec<String>,
    /// The script that answers what is no file, as a path below the root; without it that is a 404.
    pub front_controller: Option<String>,
}

/// Bounds of what one client may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a request's line and header fields together; more is a 431.
    pub head_bytes: usize,
    /// Header fields of a request; more is a 431.
    pub headers: usize,
    /// Bytes of a request's body; more is a 413.
    pub body_bytes: u64,
    /// Connections at one time; further ones wait in the kernel's queue.
    pub connections: usize,
}

/// How long a client, and a stop, may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a request's whole head, and for a connection that waits for its next request.
    pub head: Duration,
    /// Between two pieces of a request's body; longer is a 408.
    pub body: Duration,
    /// For a client to take any byte of its response.
    pub write: Duration,
    /// For a WebSocket on which nothing comes from either side.
    pub websocket: Duration,
    /// From the moment that readiness fails to the moment that no more connections are taken.
    pub drain_delay: Duration,
    /// For what is in flight when connections are no longer taken, and then for the PHP workers to end.
    pub drain: Duration,
}

impl ServeConfig {
    /// The defaults for a document root: one listener on a port of the loopback device that the kernel chooses, and
    /// `/index.php` for everything that is no file.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self {
            listeners: vec![Listener::plain((Ipv4Addr::LOCALHOST, 0).into())],
            admin: None,
            caddy: None,
            certificates: None,
            http3: false,
            site: Site {
                application: application(&root),
                root,
                index: vec!["index.php".into(), "index.html".into()],
                front_controller: Some("/index.php".into()),
            },
            websockets: Vec::new(),
            sites: None,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            trusted_proxies: Vec::new(),
            temporary: "/tmp".into(),
            client_fields: Vec::new(),
            watch: Vec::new(),
            extras: Extras::default(),
        }
    }
}

/// A document root with one of the usual names is a part of the application.
fn application(root: &Path) -> PathBuf {
    let is_part = ["public", "web", "htdocs", "public_html"].map(OsStr::new);
    match (root.file_name(), root.parent()) {
        (Some(name), Some(parent)) if is_part.contains(&name) => parent.to_owned(),
        _ => root.to_owned(),
    }
}

impl Default for Extras {
    fn default() -> Self {
        Self {
            access_log: true,
            compression: true,
            security_headers: false,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 64 << 10,
            headers: 100,
            body_bytes: 64 << 20,
            connections: 10_000,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_mins(1),
            body: Duration::from_mins(1),
            write: Duration::from_mins(1),
            websocket: Duration::from_mins(5),
            drain_delay: Duration::ZERO,
            drain: Duration::from_secs(30),
        }
    }
}
