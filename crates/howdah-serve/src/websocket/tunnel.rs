//! The bytes of a WebSocket, both ways at once.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::frames::Frames;

/// What a server that ends says to its client: `1001`, going away (RFC 6455 section 7.4.1). Frames of a server have no mask.
const GOING_AWAY: [u8; 4] = [0x88, 2, 0x03, 0xe9];
/// For the client to answer that, and for the other server to hear of it.
const PATIENCE: Duration = Duration::from_secs(5);
/// For a client to take notice of the end.
const LINGER: Duration = Duration::from_millis(500);
const PIECE: usize = 16 << 10;

/// Two ends that are to be joined.
pub(crate) struct Tunnel<C, U> {
    pub(crate) client: C,
    pub(crate) upstream: U,
    /// A connection on which nothing comes for so long is closed.
    pub(crate) idle: Duration,
}

impl<C, U> Tunnel<C, U>
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    /// Returns when both are closed, or one is and the other does not follow. When `closing` is, the client is told between two
    /// frames, and what it answers ends the connection behind.
    pub(crate) async fn run(self, closing: impl Future<Output = ()>) {
        let (mut client_in, mut client_out) = tokio::io::split(self.client);
        let (mut upstream_in, mut upstream_out) = tokio::io::split(self.upstream);
        // Bytes of either side are a sign of life of both.
        let alive = watch::Sender::new(Instant::now());
        let up = pass(&mut client_in, &mut upstream_out, &alive);
        let down = tell(&mut upstream_in, &mut client_out, &alive, closing);
        let both = async {
            let (mut up, mut down) = (std::pin::pin!(up), std::pin::pin!(down));
            // Who has said all it had may still have to hear; a client that is told that nothing more comes may still be sending.
            tokio::select! {
                _ = &mut up => drop(timeout(PATIENCE, down).await),
                _ = &mut down => drop(timeout(LINGER, up).await),
            }
        };
        tokio::select! {
            () = both => {}
            () = idle(&alive, self.idle) => {}
        }
    }
}

/// Returns when nothing has come for so long.
async fn idle(alive: &watch::Sender<Instant>, patience: Duration) {
    loop {
        let end = *alive.borrow() + patience;
        if end <= Instant::now() {
            return;
        }
        sleep_until(end).await;
    }
}

async fn pass(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    alive: &watch::Sender<Instant>,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let length = from.read(&mut piece).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        alive.send_replace(Instant::now());
        to.write_all(&piece[..length]).await?;
    }
}

/// As [`pass`] until the server closes; then the client is told, and what the other side still says is dropped.
async fn tell(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    alive: &watch::Sender<Instant>,
    closing: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut closing = std::pin::pin!(closing);
    let mut frames = Frames::default();
    let (mut is_closing, mut is_told) = (false, false);
    let mut piece = vec![0; PIECE];
    loop {
        if is_closing && !is_told && frames.is_between() {
            is_told = true;
            to.write_all(&GOING_AWAY).await?;
            to.flush().await?;
        }
        let patience = if is_closing { PATIENCE } else { Duration::MAX };
        let length = tokio::select! {
            read = timeout(patience, from.read(&mut piece)) => read.unwrap_or(Ok(0))?,
            () = &mut closing, if !is_closing => {
                is_closing = true;
                continue;
            }
        };
        if length == 0 {
            return to.shutdown().await;
        }
        alive.send_replace(Instant::now());
        if !is_told {
            frames.see(&piece[..length]);
            to.write_all(&piece[..length]).await?;
        }
    }
}
