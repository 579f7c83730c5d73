//! The name server of a network: UDP and TCP on the bridge's address, the rest passed on to the host's resolvers.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::op::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::names::{Answer, Names, failure};

const PORT: u16 = 53;
/// How long one server of the host may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// A TCP client that says nothing is sent away after this.
const SILENCE: Duration = Duration::from_secs(10);
/// Questions under way at once; the rest waits, so that a container cannot make the keeper grow without end.
const MOST_AT_ONCE: usize = 256;
/// A UDP answer that fits every resolver (RFC 1035, 4.2.1).
const SMALL: usize = 512;

/// The names all servers of a stack answer from.
pub(crate) type SharedNames = Arc<Mutex<Names>>;

/// A running server; dropping it ends it.
#[derive(Debug)]
pub(crate) struct DnsServer {
    tasks: JoinSet<()>,
}

impl DnsServer {
    /// Ends it, and returns when its address is free again.
    pub(crate) async fn close(mut self) {
        self.tasks.shutdown().await;
    }
}

#[derive(Debug)]
struct Shared {
    names: SharedNames,
    network: String,
    turn: AtomicUsize,
    limit: Arc<Semaphore>,
}

/// Serves a network at its gateway.
pub(crate) async fn serve(
    gateway: Ipv4Addr,
    network: &str,
    names: SharedNames,
) -> io::Result<DnsServer> {
    let address = SocketAddr::from((gateway, PORT));
    let udp = Arc::new(UdpSocket::bind(address).await?);
    let tcp = TcpListener::bind(address).await?;
    let shared = Arc::new(Shared {
        names,
        network: network.to_owned(),
        turn: AtomicUsize::new(0),
        limit: Arc::new(Semaphore::new(MOST_AT_ONCE)),
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(serve_udp(udp, Arc::clone(&shared)));
    tasks.spawn(serve_tcp(tcp, shared));
    Ok(DnsServer { tasks })
}

async fn serve_udp(socket: Arc<UdpSocket>, shared: Arc<Shared>) {
    let mut buffer = vec![0u8; 4096];
    loop {
        // An error here belongs to one datagram (e.g. an ICMP answer), not to the socket.
        let Ok((length, peer)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let Ok(permit) = Arc::clone(&shared.limit).acquire_owned().await else {
            return;
        };
        let (question, socket, shared) = (
            buffer[..length].to_vec(),
            Arc::clone(&socket),
            Arc::clone(&shared),
        );
        tokio::spawn(async move {
            if let Some(answer) = answer(&question, &shared, peer.ip(), false).await {
                drop(socket.send_to(&answer, peer).await);
            }
            drop(permit);
        });
    }
}

async fn serve_tcp(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            continue;
        };
        let Ok(permit) = Arc::clone(&shared.limit).acquire_owned().await else {
            return;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // A client that breaks off is no one's fault.
            drop(converse(stream, &shared, peer.ip()).await);
            drop(permit);
        });
    }
}

/// Questions with their length in front (RFC 1035, 4.2.2), until the client ends.
async fn converse(mut stream: TcpStream, shared: &Shared, peer: IpAddr) -> io::Result<()> {
    loop {
        let question = timeout(SILENCE, read_framed(&mut stream)).await??;
        let Some(answer) = answer(&question, shared, peer, true).await else {
            return Ok(());
        };
        write_framed(&mut stream, &answer).await?;
    }
}

async fn read_framed(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0u8; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

async fn write_framed(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}

async fn answer(question: &[u8], shared: &Shared, peer: IpAddr, over_tcp: bool) -> Option<Vec<u8>> {
    let query = Message::from_vec(question).ok()?;
    let turn = shared.turn.fetch_add(1, Ordering::Relaxed);
    let found = {
        let names = shared.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.answer(&query, &shared.network, peer, turn)
    };
    match found {
        Answer::Here(message) => {
            let bytes = message.to_vec().ok()?;
            let is_too_large =
                !over_tcp && bytes.len() > usize::from(query.max_payload()).max(SMALL);
            if is_too_large {
                message.truncate().to_vec().ok()
            } else {
                Some(bytes)
            }
        }
        Answer::Elsewhere(servers) => {
            let servers = if servers.is_empty() {
                host_servers()
            } else {
                servers
            };
            match pass_on(question, &servers, over_tcp).await {
                Some(answer) => Some(answer),
                None => failure(&query).to_vec().ok(),
            }
        }
    }
}

/// The host's name servers (resolv.conf(5)), read anew each time: they change when the machine changes networks.
fn host_servers() -> Vec<IpAddr> {
    let text = fs_err::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        if words.next() != Some("nameserver") {
            return None;
        }
        words.next()?.split('%').next()?.parse().ok()
    });
    servers.take(3).collect()
}

async fn pass_on(question: &[u8], servers: &[IpAddr], over_tcp: bool) -> Option<Vec<u8>> {
    for server in servers {
        let address = SocketAddr::new(*server, PORT);
        let result = if over_tcp {
            timeout(PATIENCE, ask_tcp(question, address)).await
        } else {
            timeout(PATIENCE, ask_udp(question, address)).await
        };
        if let Ok(Ok(answer)) = result {
            return Some(answer);
        }
    }
    None
}

async fn ask_udp(question: &[u8], server: SocketAddr) -> io::Result<Vec<u8>> {
    let any: SocketAddr = if server.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut buffer = vec![0u8; 65_535];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // Only an answer to this question (RFC 5452, 9.1).
        if length >= 2 && buffer[..2] == question[..2] {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn ask_tcp(question: &[u8], server: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    write_framed(&mut stream, question).await?;
    read_framed(&mut stream).await
}
