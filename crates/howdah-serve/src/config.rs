//! What a server is told: one struct, complete and checked before anything is bound.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Everything that can be set. [`ServeConfig::new`] gives the defaults for a document root.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// Where requests are taken; port 0 lets the kernel choose one.
    pub listeners: Vec<SocketAddr>,
    /// The files that are served.
    pub site: Site,
    /// What a client may use at most.
    pub limits: Limits,
    /// How long things may take.
    pub timeouts: Timeouts,
}

/// A document root and how paths are looked up in it.
#[derive(Debug, Clone)]
pub struct Site {
    /// The document root, absolute.
    pub root: PathBuf,
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
    /// From the moment that readiness fails to the moment that no more connections are taken.
    pub drain_delay: Duration,
    /// For what is in flight when connections are no longer taken.
    pub drain: Duration,
}

impl ServeConfig {
    /// The defaults for a document root: one listener on a port of the loopback device that the kernel chooses, and
    /// `/index.php` for everything that is no file.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            listeners: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
            site: Site {
                root: root.into(),
                index: vec!["index.php".into(), "index.html".into()],
                front_controller: Some("/index.php".into()),
            },
            limits: Limits::default(),
            timeouts: Timeouts::default(),
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
            drain_delay: Duration::ZERO,
            drain: Duration::from_secs(30),
        }
    }
}
