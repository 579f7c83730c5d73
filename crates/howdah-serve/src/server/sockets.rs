//! The sockets that a server listens at, for another one that takes its place: no client is turned away in between.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Weak};

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;

use super::operator::Successor;
use super::{BACKLOG, Bound, ServeError};
use crate::admin::AdminListener;
use crate::config::AdminAddress;

/// Sockets of a server, each with the address that it was told, for as long as it listens there.
#[derive(Debug, Clone, Default)]
pub struct Sockets {
    clients: Vec<(SocketAddr, Weak<TcpListener>)>,
    admin: Option<(AdminAddress, Weak<AdminListener>)>,
    /// Where the server is told who has taken its place.
    pub(super) successor: Successor,
    closed: Option<watch::Receiver<bool>>,
}

impl Sockets {
    pub(super) fn of(
        bound: &[Bound],
        admin: Option<(&AdminAddress, &Arc<AdminListener>)>,
        (successor, closed): (Successor, watch::Receiver<bool>),
    ) -> Sockets {
        let clients = bound.iter();
        Sockets {
            clients: clients
                .map(|bound| (bound.options.address, Arc::downgrade(&bound.listener)))
                .collect(),
            admin: admin.map(|(address, listener)| (address.clone(), Arc::downgrade(listener))),
            successor,
            closed: Some(closed),
        }
    }

    /// Waits until the server takes no more connections.
    pub async fn closed(&mut self) {
        if let Some(closed) = &mut self.closed {
            // A server that is gone takes none, either.
            closed.wait_for(|closed| *closed).await.ok();
        }
    }

    /// The socket of this address, or a new one.
    pub(super) fn listen(&mut self, address: SocketAddr) -> Result<TcpListener, ServeError> {
        let known = self.clients.iter().position(|(one, _)| *one == address);
        let known = known.and_then(|place| self.clients.remove(place).1.upgrade());
        match known {
            Some(listener) => {
                share(&listener).map_err(|source| ServeError::Listen { address, source })
            }
            None => listen(address),
        }
    }

    pub(super) fn listen_admin(
        &mut self,
        address: &AdminAddress,
    ) -> Result<AdminListener, ServeError> {
        let known = self.admin.take_if(|(one, _)| one == address);
        let known = known.and_then(|(_, listener)| listener.upgrade());
        match (known, address) {
            (Some(listener), AdminAddress::Unix(path)) => {
                let path = path.clone();
                let shared = listener.share();
                shared.map_err(|source| ServeError::Socket { path, source })
            }
            (Some(listener), AdminAddress::Tcp(address)) => {
                let address = *address;
                let shared = listener.share();
                shared.map_err(|source| ServeError::Listen { address, source })
            }
            (None, AdminAddress::Tcp(address)) => listen(*address).map(AdminListener::Tcp),
            (None, AdminAddress::Unix(path)) => {
                AdminListener::unix(path).map_err(|source| ServeError::Socket {
                    path: path.clone(),
                    source,
                })
            }
        }
    }
}

/// A second descriptor of the same socket, with the same queue of connections.
pub(crate) fn share(listener: &TcpListener) -> io::Result<TcpListener> {
    let shared = std::net::TcpListener::from(listener.as_fd().try_clone_to_owned()?);
    TcpListener::from_std(shared)
}

fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let bind = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bind().map_err(|source| ServeError::Listen { address, source })
}
