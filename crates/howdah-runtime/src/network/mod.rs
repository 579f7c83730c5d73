//! Bridges: one Linux bridge per network, masquerading and isolation by one nft table `howdah`.

use std::io;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

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
    #[error("`{program}` refused the rules of `{bridge}`: {message}")]
    Firewall {
        /// The program.
        program: &'static str,
        /// The bridge.
        bridge: String,
        /// What the program said.
        message: String,
    },
    /// The specification is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The pool has no free network left.
    #[error("no free /24 network left in the pool {pool}")]
    PoolExhausted {
        /// The pools tried.
        pool: String,
    },
}

/// Makes the bridge what `spec` says, or leaves it as it is when it is that already.
pub fn ensure_bridge(spec: &BridgeSpec) -> Result<(), NetworkError> {
    todo!("{spec:?}")
}

/// Removes the bridge and its rules. Nothing happens when there is none.
pub fn remove_bridge(name: &str) -> Result<(), NetworkError> {
    todo!("{name}")
}

/// A private /24 from `pools` that clashes with no route and no address of this machine and with none of `taken`.
/// Without pools, Docker's: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/16.
pub fn free_subnet(pools: &[Ipv4Net], taken: &[Ipv4Net]) -> Result<Ipv4Net, NetworkError> {
    todo!("{pools:?}{taken:?}")
}
