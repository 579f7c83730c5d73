//! Bytes between the host and a container.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// Large enough that a system call moves what the socket holds.
const BUFFER: usize = 256 << 10;
/// A UDP peer that is silent for so long is forgotten (Docker's proxy does the same).
const UDP_SILENCE: Duration = Duration::from_secs(90);
/// UDP peers at once; a flood of forged senders must not exhaust descriptors.
const MOST_UDP_PEERS: usize = 1024;

/// Accepts connections and joins each to a new one to the target.
pub(crate) async fn tcp(listener: TcpListener, target: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    connections.spawn(join(client, target));
                }
                // Out of descriptors: let some connections end first.
                Err(_) => drop(connections.join_next().await),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn join(mut client: TcpStream, target: SocketAddr) {
    // A container that refuses looks to the client like a connection that is closed at once, as with Docker's proxy.
    let Ok(mut server) = TcpStream::connect(target).await else {
        return;
    };
    drop((client.set_nodelay(true), server.set_nodelay(true)));
    // Each direction is shut down on its own when its side has said all (RFC 9293, 3.6: half-closed connections).
    drop(copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER).await);
}

/// Passes datagrams on, with a socket of its own for each peer so that answers find their way back.
pub(crate) async fn udp(socket: UdpSocket, target: SocketAddr) {
    let socket = Arc::new(socket);
    let mut peers: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut answers = JoinSet::new();
    let mut buffer = vec![0u8; 65_535];
    loop {
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                let Ok((length, peer)) = received else { continue };
                if !peers.contains_key(&peer) {
                    if peers.len() >= MOST_UDP_PEERS {
                        continue;
                    }
                    let Ok(outward) = connect(target).await else { continue };
                    let outward = Arc::new(outward);
                    answers.spawn(answer(Arc::clone(&outward), Arc::clone(&socket), peer));
                    peers.insert(peer, outward);
                }
                if let Some(outward) = peers.get(&peer) {
                    drop(outward.send(&buffer[..length]).await);
                }
            }
            Some(Ok(peer)) = answers.join_next() => {
                peers.remove(&peer);
            }
        }
    }
}

async fn connect(target: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).await?;
    socket.connect(target).await?;
    Ok(socket)
}

/// Brings answers back until there have been none for a while.
async fn answer(outward: Arc<UdpSocket>, socket: Arc<UdpSocket>, peer: SocketAddr) -> SocketAddr {
    let mut buffer = vec![0u8; 65_535];
    while let Ok(received) =
        timeout_at(Instant::now() + UDP_SILENCE, outward.recv(&mut buffer)).await
    {
        if let Ok(length) = received {
            drop(socket.send_to(&buffer[..length], peer).await);
        }
    }
    peer
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_side_that_has_said_all_still_hears_the_other() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let front = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = front.local_addr().unwrap();
        let relaying = tokio::spawn(tcp(front, server.local_addr().unwrap()));
        let answering = tokio::spawn(async move {
            let (mut stream, _) = server.accept().await.unwrap();
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).await.unwrap();
            stream.write_all(&heard).await.unwrap();
        });
        let mut client = TcpStream::connect(address).await.unwrap();
        let sent = vec![7u8; 1 << 20];
        client.write_all(&sent).await.unwrap();
        client.shutdown().await.unwrap();
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        assert!(received == sent);
        answering.await.unwrap();
        relaying.abort();
    }

    #[tokio::test]
    async fn datagrams_find_their_way_back_to_their_senders() {
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let front = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = front.local_addr().unwrap();
        let relaying = tokio::spawn(udp(front, server.local_addr().unwrap()));
        let answering = tokio::spawn(async move {
            let mut buffer = [0u8; 16];
            loop {
                let (length, peer) = server.recv_from(&mut buffer).await.unwrap();
                server.send_to(&buffer[..length], peer).await.unwrap();
            }
        });
        for word in [b"one", b"two"] {
            let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            client.send_to(word, address).await.unwrap();
            let mut buffer = [0u8; 16];
            let length = client.recv(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..length], word);
        }
        answering.abort();
        relaying.abort();
    }
}
