//! A connection's bytes: those that were read ahead come first, and a client that takes nothing is given up.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::http::interim::Detour;

/// A stream with what was read of it already, and a bound on how long a write may wait.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    inner: S,
    ahead: Bytes,
    patience: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    /// Where responses come from that go around whoever writes here.
    detour: Option<Detour>,
    /// Those of them that are on their way.
    first: Bytes,
}

impl<S> Watched<S> {
    /// `ahead` is read before the stream itself. A write that makes no progress for `patience` fails.
    pub(crate) fn new(inner: S, ahead: Bytes, patience: Duration) -> Self {
        Self {
            inner,
            ahead,
            patience,
            waiting: None,
            detour: None,
            first: Bytes::new(),
        }
    }

    /// Writes what comes by `detour` whenever the writer flushes, since it has then written all that it had.
    pub(crate) fn with_detour(self, detour: Detour) -> Self {
        Self {
            detour: Some(detour),
            ..self
        }
    }

    fn bounded<T>(
        &mut self,
        context: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.waiting = None;
            return result;
        }
        let patience = self.patience;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    /// Writes what was begun: nothing else may come in between.
    fn poll_first(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.first.is_empty() {
            let result = Pin::new(&mut self.inner).poll_write(context, &self.first);
            match ready!(self.bounded(context, result))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.first.advance(count),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.inner).poll_read(context, buffer);
        }
        let count = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(&self.ahead[..count]);
        self.ahead.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_first(context))?;
        let result = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.bounded(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_first(context))?;
        let result = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.bounded(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(bytes) = self.detour.as_ref().and_then(Detour::take) {
            self.first = [std::mem::take(&mut self.first), bytes].concat().into();
        }
        ready!(self.poll_first(context))?;
        let result = Pin::new(&mut self.inner).poll_flush(context);
        self.bounded(context, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
