//! The end of a connection whose client may still be sending. Bytes that nobody has read, or that come after the close, make the
//! kernel answer with a reset, and that takes from the client what it has not read yet (RFC 9112 section 9.6).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// A client that has sent nothing for so long after the last byte of its response has it, or will not take it.
pub(super) const SILENCE: Duration = Duration::from_secs(5);
/// For a client to come to its end, in all; as nginx has it (`lingering_time`).
pub(super) const WHOLE: Duration = Duration::from_secs(30);
/// What one read takes.
const PIECE: usize = 4 << 10;

/// A stream whose shutdown says that nothing more comes, and then reads until the client closes too, or says nothing for a while.
#[derive(Debug)]
pub(super) struct Lingering<S> {
    inner: S,
    patience: Duration,
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    silence: Pin<Box<Sleep>>,
    whole: Pin<Box<Sleep>>,
}

impl<S> Lingering<S> {
    /// `patience`: how long a client that says nothing is waited for.
    pub(super) fn new(inner: S, patience: Duration) -> Self {
        Self {
            inner,
            patience,
            waiting: None,
        }
    }
}

impl<S: AsyncRead + Unpin> Lingering<S> {
    /// Did anything come? None at the end of what the client says.
    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<Option<()>> {
        let mut piece = [0; PIECE];
        let mut buffer = ReadBuf::new(&mut piece);
        let read = ready!(Pin::new(&mut self.inner).poll_read(context, &mut buffer));
        Poll::Ready((read.is_ok() && !buffer.filled().is_empty()).then_some(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = &mut *self;
        let mut waiting = if let Some(waiting) = stream.waiting.take() {
            waiting
        } else {
            ready!(Pin::new(&mut stream.inner).poll_shutdown(context))?;
            Waiting {
                silence: Box::pin(sleep(stream.patience)),
                whole: Box::pin(sleep(WHOLE)),
            }
        };
        while let Poll::Ready(discarded) = stream.poll_discard(context) {
            if discarded.is_none() {
                return Poll::Ready(Ok(()));
            }
            waiting
                .silence
                .as_mut()
                .reset(Instant::now() + stream.patience);
        }
        let is_over = waiting.silence.as_mut().poll(context).is_ready()
            || waiting.whole.as_mut().poll(context).is_ready();
        stream.waiting = Some(waiting);
        if is_over {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}
