//! Bridges: one Linux bridge per network, masquerading and isolation by one nft table `howdah`.

mod attach;
mod bridge;
mod firewall;
mod netlink;
mod subnet;

use std::io;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

pub(crate) use attach::attach;
pub use bridge::{NetworkLock, ensure_bridge, remove_bridge};
pub use subnet::free_subnet;

/// A network of containers on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeSpec {
    /// Interface name, at most 15 bytes (`IFNAMSIZ`).
    pub name: String,
    /// The network's addresses.
    pub subnet: Ipv4Net,
    /// The host's address in it.
    pub gateway: Ipv4Addr,
    /// No way out of the network.
    pub internal: bool,
}

/// Why the network could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The kernel refused a change.
    #[error("cannot {action}")]
    Kernel {
        /// What was being done, operand included.
        action: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A program is not installed.
    #[error("`{program}` is not installed (Debian package `{package}`)")]
    ProgramMissing {
        /// The program.
        program: &'static str,
        /// The package that has it.
        package: &'static str,
    },
    /// A firewall program refused the rules.
    #[error("`{program}` refused the rules of bridge `{bridge}`: {message}")]
    Firewall {
        /// The program.
        program: &'static str,
        /// The bridge.
        bridge: String,
        /// What the program said.
        message: String,
    },
    /// The specification contradicts itself or the host.
    #[error("{0}")]
    Invalid(String),
    /// The pool has no free network left.
    #[error("no free /24 network left in {pools}")]
    PoolExhausted {
        /// The pools tried.
        pools: String,
    },
}

/// Names what was being done.
trait During<T> {
    fn during(self, action: impl FnOnce() -> String) -> Result<T, NetworkError>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, action: impl FnOnce() -> String) -> Result<T, NetworkError> {
        self.map_err(|source| NetworkError::Kernel {
            action: action(),
            source,
        })
    }
}
