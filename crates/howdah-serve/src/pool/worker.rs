//! A worker: its socket, and the card on which everybody can read what it does.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Buf as _, Bytes, BytesMut};
use howdah_wire::control::Exit;
use howdah_wire::frame::{self, HEADER_LENGTH, Kind};
use howdah_wire::ledger;
use http::Method;
use http::uri::PathAndQuery;
use rustix::process::Signal;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;

use super::exchange::Broken;
use super::metrics::Reason;
use crate::descriptor::watched;

/// Space for what one read may bring; most responses fit.
const READ: usize = 16 << 10;
/// Space once a response has filled [`READ`].
const READ_MUCH: usize = 256 << 10;

/// The socket of a worker; whoever has it, has the worker.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) card: Arc<Card>,
    stream: UnixStream,
    read: BytesMut,
    room: usize,
}

/// What is known of a worker while somebody else has it.
#[derive(Debug)]
pub(super) struct Card {
    pub(super) pid: i32,
    pidfd: OwnedFd,
    ledger: OwnedFd,
    /// Requests given to it.
    pub(super) given: AtomicU64,
    pub(super) generation: u64,
    pub(super) born: Instant,
    /// It is replaced when it has served so many requests.
    pub(super) request_limit: u64,
    pub(super) served: AtomicU64,
    pub(super) memory: AtomicU64,
    /// Why there are no more requests for it: it is about to end, and does not count any more.
    retired: OnceLock<Reason>,
    /// It was killed because its request took too long.
    pub(super) overdue: AtomicBool,
    /// The log has that it was killed, with the backtrace if it came in time.
    pub(super) told: AtomicBool,
    phase: Mutex<Phase>,
}

/// A worker's process as its zygote gives it.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    /// See [`howdah_wire::ledger`].
    pub(super) ledger: OwnedFd,
}

/// What a worker does.
#[derive(Debug, Clone)]
pub(super) enum Phase {
    /// It boots the application.
    Booting,
    /// It waits for a request.
    Idle { since: Instant },
    /// It serves one.
    Busy(Busy),
    /// It has been told to end.
    Ending { since: Instant },
}

/// The request that a worker serves.
#[derive(Debug, Clone)]
pub(super) struct Busy {
    pub(super) since: Instant,
    pub(super) method: Method,
    pub(super) target: Option<PathAndQuery>,
    pub(super) script: Arc<str>,
    /// PHP was asked where it is.
    pub(super) asked: Option<Instant>,
}

impl Card {
    pub(super) fn new(process: Process, generation: u64, request_limit: u64) -> Card {
        let Process { pid, pidfd, ledger } = process;
        Card {
            pid,
            pidfd,
            ledger,
            given: AtomicU64::new(0),
            generation,
            born: Instant::now(),
            request_limit,
            served: AtomicU64::new(0),
            memory: AtomicU64::new(0),
            retired: OnceLock::new(),
            overdue: AtomicBool::new(false),
            told: AtomicBool::new(false),
            phase: Mutex::new(Phase::Booting),
        }
    }

    pub(super) fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No more requests for it. The first reason counts.
    pub(super) fn retire(&self, reason: Reason) {
        self.retired.set(reason).ok();
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.get().is_some()
    }

    /// Why it ended, now that it has.
    pub(super) fn end_reason(&self, exit: Exit) -> Reason {
        match (self.retired.get(), exit) {
            (Some(reason), _) => *reason,
            (None, _) if self.is_overdue() => Reason::Timeout,
            (None, Exit::Code(0)) => Reason::Exit,
            (None, _) => Reason::Crash,
        }
    }

    /// Did it begin to run the last request it was given? A ledger that cannot be read says yes: the request is then not
    /// given to another one if that could do harm.
    pub(super) fn has_begun(&self) -> bool {
        let mut content = [0; ledger::LENGTH];
        match rustix::io::pread(&self.ledger, &mut content, 0) {
            Ok(ledger::LENGTH) => ledger::begun(content) >= self.given.load(Ordering::Relaxed),
            _ => true,
        }
    }

    pub(super) fn is_overdue(&self) -> bool {
        self.overdue.load(Ordering::Acquire)
    }

    /// Kills it. A pidfd never means another process, so a worker that is gone already is no danger.
    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Waits until it has ended: a pidfd is then readable (`pidfd_open(2)`).
    pub(super) async fn ended(&self) -> io::Result<()> {
        let pidfd = watched(self.pidfd.try_clone()?)?;
        drop(pidfd.readable().await?);
        Ok(())
    }

    /// Asks it for PHP's backtrace.
    pub(super) fn ask_where(&self) {
        self.signal(Signal::USR2);
    }

    fn signal(&self, signal: Signal) {
        // The one error is that the process has ended.
        rustix::process::pidfd_send_signal(&self.pidfd, signal).ok();
    }
}

impl Worker {
    pub(super) fn new(card: Card, socket: OwnedFd) -> io::Result<Worker> {
        let stream = std::os::unix::net::UnixStream::from(socket);
        stream.set_nonblocking(true)?;
        Ok(Worker {
            card: Arc::new(card),
            stream: UnixStream::from_std(stream)?,
            read: BytesMut::new(),
            room: READ,
        })
    }

    /// Writes as much of `bytes` as the socket takes.
    pub(super) fn poll_write(
        &self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.stream.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::task::ready!(self.stream.poll_write_ready(context))?;
                }
                done => return Poll::Ready(done),
            }
        }
    }

    /// Writes a frame without a payload, if the socket has room for it: a worker that waits has read everything.
    pub(super) fn send(&self, kind: Kind) -> io::Result<()> {
        let header = frame::header(kind, 0).map_err(io::Error::other)?;
        match self.stream.try_write(&header)? {
            HEADER_LENGTH => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    /// A frame that has been read already.
    pub(super) fn buffered(&mut self) -> Result<Option<(Kind, Bytes)>, Broken> {
        let Some(header) = self.read.first_chunk() else {
            return Ok(None);
        };
        let (kind, length) = frame::read_header(*header)?;
        if self.read.len() < HEADER_LENGTH + length {
            return Ok(None);
        }
        self.read.advance(HEADER_LENGTH);
        Ok(Some((kind, self.read.split_to(length).freeze())))
    }

    /// The next frame.
    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<(Kind, Bytes), Broken>> {
        loop {
            if let Some(frame) = self.buffered()? {
                return Poll::Ready(Ok(frame));
            }
            self.read.reserve(self.room);
            // Unlike `try_read_buf`, this knows that a read that leaves room has emptied the socket: one system call less.
            let read = std::pin::pin!(self.stream.read_buf(&mut self.read));
            match std::task::ready!(read.poll(context)) {
                Ok(0) => return Poll::Ready(Err(Broken::Ended)),
                Ok(count) if count >= self.room => self.room = READ_MUCH,
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(Broken::Socket(error))),
            }
        }
    }

    /// The next frame.
    pub(super) async fn frame(&mut self) -> Result<(Kind, Bytes), Broken> {
        std::future::poll_fn(|context| self.poll_frame(context)).await
    }
}
