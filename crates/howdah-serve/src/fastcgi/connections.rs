//! Connections to the server: so many at a time, and open ones that wait for their next request.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::address::{Address, Stream};
use crate::pool::PhpError;

/// A server on the same machine or in the same rack accepts at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// All connections to one server.
pub(super) struct Connections {
    pub(super) address: Address,
    idle: Mutex<Vec<Box<dyn Stream>>>,
    places: Option<Places>,
}

/// How many requests the server is given at a time, and how the others wait.
struct Places {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    queue: usize,
    max_wait: Duration,
}

/// A connection, for one request.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    /// It has carried a request before: the server may have closed it meanwhile.
    pub(super) is_kept: bool,
    home: Arc<Connections>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Connections {
    /// `limit`: how many requests the server is given at a time; those connections are kept, and the other requests wait, `queue`
    /// of them, each for `max_wait`.
    pub(super) fn new(
        address: Address,
        limit: Option<usize>,
        queue: usize,
        max_wait: Duration,
    ) -> Connections {
        Connections {
            address,
            idle: Mutex::default(),
            places: limit.map(|limit| Places {
                free: Arc::new(Semaphore::new(limit)),
                waiting: AtomicUsize::new(0),
                queue,
                max_wait,
            }),
        }
    }

    /// Do connections stay open after a request? Each kept one holds a process of PHP-FPM, so only if their number is known.
    pub(super) fn keeps(&self) -> bool {
        self.places.is_some()
    }

    /// An open connection, or with `fresh` a new one in any case.
    pub(super) async fn open(self: &Arc<Self>, fresh: bool) -> Result<Connection, PhpError> {
        let place = match &self.places {
            Some(places) => Some(places.take().await?),
            None => None,
        };
        let kept = if fresh { None } else { self.idle_alive() };
        let (stream, is_kept) = match kept {
            Some(stream) => (stream, true),
            None => (self.connect().await?, false),
        };
        Ok(Connection {
            stream,
            is_kept,
            home: Arc::clone(self),
            _place: place,
        })
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, PhpError> {
        let address = self.address.to_string();
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, self.address.connect()).await;
        match connected {
            Ok(Ok(stream)) => Ok(stream),
            // connect(2): the backlog of a unix socket is full.
            Ok(Err(source)) if source.kind() == io::ErrorKind::WouldBlock => {
                Err(PhpError::Overloaded { address })
            }
            Ok(Err(source)) => Err(PhpError::Unreachable { address, source }),
            Err(_) => Err(PhpError::ConnectTimeout {
                address,
                limit: CONNECT_TIMEOUT,
            }),
        }
    }

    /// One that the server has not closed. What it says unasked makes no sense, and the connection neither.
    fn idle_alive(&self) -> Option<Box<dyn Stream>> {
        let mut idle = self.idle();
        loop {
            let mut stream = idle.pop()?;
            let mut space = [0];
            let mut context = Context::from_waker(Waker::noop());
            if Pin::new(&mut *stream)
                .poll_read(&mut context, &mut ReadBuf::new(&mut space))
                .is_pending()
            {
                return Some(stream);
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Box<dyn Stream>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    async fn take(&self) -> Result<OwnedSemaphorePermit, PhpError> {
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(permit);
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waits = Waits(&self.waiting);
        if before >= self.queue {
            return Err(PhpError::QueueFull(self.queue));
        }
        let permit = Arc::clone(&self.free).acquire_owned();
        match tokio::time::timeout(self.max_wait, permit).await {
            Ok(permit) => permit.map_err(|_| PhpError::Stopping),
            Err(_) => Err(PhpError::WaitedTooLong(self.max_wait)),
        }
    }
}

/// A place in the queue, left when it is dropped.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connection {
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_read(context, buffer)
    }

    pub(super) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write(context, bytes)
    }

    /// Nothing is left in it.
    pub(super) fn give_back(self) {
        if self.home.keeps() {
            self.home.idle().push(self.stream);
        }
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Connections")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
