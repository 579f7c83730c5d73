//! Published ports: listeners on the host, each connection passed on to the container.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, ipproto, listen, socket_with, sockopt,
};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use super::owner::owner_of;
use super::relay;
use crate::model::{Port, Protocol};
use crate::stack::BoundPort;

/// How often the kernel is asked for a port that is free on both address families.
const CHOICES: u32 = 8;
/// Connections the kernel holds until they are accepted.
const BACKLOG: i32 = 1024;

/// A port that cannot be published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PortError {
    /// Somebody else listens there.
    #[error("port {port}/{protocol} is taken{}", owner.as_ref().map_or(String::new(), |owner| format!(" by {owner}")))]
    Taken {
        /// The port, with its address when one was asked for.
        port: String,
        /// The protocol.
        protocol: Protocol,
        /// The process that listens, when it can be found.
        owner: Option<String>,
    },
    /// The system refused.
    #[error("cannot listen on port {port}/{protocol}")]
    Listen {
        /// The port.
        port: String,
        /// The protocol.
        protocol: Protocol,
        /// Why.
        source: io::Error,
    },
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

/// Listeners that do not answer yet.
#[derive(Debug, Default)]
pub(crate) struct Reserved {
    listeners: Vec<(Listener, u16)>,
    pub(crate) bound: Vec<BoundPort>,
}

/// Published ports; dropping it closes them and what runs through them.
#[derive(Debug)]
pub(crate) struct Published {
    tasks: JoinSet<()>,
}

impl Published {
    /// Closes them, and returns when the ports are free again.
    pub(crate) async fn close(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Takes the ports a container publishes. `before` is what it had last time: a random port stays the same if it can.
pub(crate) fn reserve(ports: &[Port], before: &[BoundPort]) -> Result<Reserved, PortError> {
    let mut reserved = Reserved::default();
    for port in ports {
        match port.published {
            Some(range) => reserved.take_one_of(port, range)?,
            None => reserved.take_any(port, before)?,
        }
    }
    Ok(reserved)
}

impl Reserved {
    /// The first free port of a range.
    fn take_one_of(&mut self, port: &Port, (first, last): (u16, u16)) -> Result<(), PortError> {
        let mut result = self.take(port, first);
        for candidate in first.saturating_add(1)..=last {
            if result.is_ok() {
                break;
            }
            result = self.take(port, candidate);
        }
        result
    }

    /// The port it had before, else one the kernel chooses.
    fn take_any(&mut self, port: &Port, before: &[BoundPort]) -> Result<(), PortError> {
        let is_same = |old: &&BoundPort| old.target == port.target && old.protocol == port.protocol;
        if let Some(old) = before.iter().find(is_same)
            && self.take(port, old.published).is_ok()
        {
            return Ok(());
        }
        let mut result = self.take(port, 0);
        for _ in 1..CHOICES {
            if result.is_ok() {
                break;
            }
            // Free on IPv4 and taken on IPv6: another choice.
            result = self.take(port, 0);
        }
        result
    }

    /// Listens on one port, on IPv4 and IPv6 when no address was asked for; on both or on none.
    fn take(&mut self, port: &Port, published: u16) -> Result<(), PortError> {
        let addresses: Vec<IpAddr> = match port.host_ip {
            Some(address) => vec![address],
            None => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        };
        let (mut published, protocol, target) = (published, port.protocol, port.target);
        let mut taken = Vec::new();
        for host_ip in &addresses {
            match open(SocketAddr::new(*host_ip, published), protocol) {
                Ok((listener, local)) => {
                    // The second address family gets the port the first one was given.
                    published = local.port();
                    let bound = BoundPort {
                        host_ip: *host_ip,
                        published,
                        target,
                        protocol,
                    };
                    taken.push(((listener, target), bound));
                }
                // Without IPv6 on the machine IPv4 is enough.
                Err(error) if host_ip.is_ipv6() && !taken.is_empty() && !is_taken(&error) => {}
                Err(error) => return Err(failure(port, published, error)),
            }
        }
        let (listeners, bound): (Vec<_>, Vec<_>) = taken.into_iter().unzip();
        self.listeners.extend(listeners);
        self.bound.extend(bound);
        Ok(())
    }
}

fn is_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

fn failure(port: &Port, published: u16, source: io::Error) -> PortError {
    let name = port.host_ip.map_or_else(
        || published.to_string(),
        |address| SocketAddr::new(address, published).to_string(),
    );
    let protocol = port.protocol;
    if is_taken(&source) {
        PortError::Taken {
            port: name,
            protocol,
            owner: owner_of(published, protocol),
        }
    } else {
        PortError::Listen {
            port: name,
            protocol,
            source,
        }
    }
}

fn open(address: SocketAddr, protocol: Protocol) -> io::Result<(Listener, SocketAddr)> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (kind, ip_protocol) = match protocol {
        Protocol::Tcp => (SocketType::STREAM, ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, ipproto::UDP),
    };
    let socket: OwnedFd = socket_with(family, kind, flags, Some(ip_protocol))?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if protocol == Protocol::Tcp {
        // Connections of an earlier listener that are in TIME_WAIT do not count as taken (socket(7)).
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    bind(&socket, &address)?;
    match protocol {
        Protocol::Tcp => {
            listen(&socket, BACKLOG)?;
            let listener = TcpListener::from_std(socket.into())?;
            let local = listener.local_addr()?;
            Ok((Listener::Tcp(listener), local))
        }
        Protocol::Udp => {
            let socket = UdpSocket::from_std(socket.into())?;
            let local = socket.local_addr()?;
            Ok((Listener::Udp(socket), local))
        }
    }
}

impl Reserved {
    /// Begins to pass connections on to the container at `target`.
    pub(crate) fn publish(self, target: Ipv4Addr) -> Published {
        let mut tasks = JoinSet::new();
        for (listener, port) in self.listeners {
            let target = SocketAddr::from((target, port));
            match listener {
                Listener::Tcp(listener) => tasks.spawn(relay::tcp(listener, target)),
                Listener::Udp(socket) => tasks.spawn(relay::udp(socket, target)),
            };
        }
        Published { tasks }
    }
}
