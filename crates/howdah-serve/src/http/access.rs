//! What became of each request: the line of the access log, and the count of what is in flight.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::header::{HOST, REFERER, USER_AGENT};
use http::request::Parts;
use http::{Response, StatusCode, Version};
use http_body::{Frame, SizeHint};
use serde_json::{Value, json};

use super::{Body, BodyError};
use crate::http::client::Client;
use crate::log::{Level, Log};
use crate::metrics::Histogram;

/// Counts of requests. One for the whole server.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    active: AtomicUsize,
    leaving: AtomicBool,
    draining: AtomicBool,
    in_flight: AtomicUsize,
    finished: AtomicUsize,
    connections: AtomicUsize,
    accepted: AtomicU64,
    /// By [`By`].
    answered: [Answered; By::ALL.len()],
}

/// Who answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The server itself: a file, or a refusal.
    Server,
    /// PHP.
    Php,
}

impl By {
    const ALL: [By; 2] = [By::Server, By::Php];

    /// Its name in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            By::Server => "static",
            By::Php => "php",
        }
    }
}

/// What was answered by one of those who answer.
#[derive(Debug)]
pub(crate) struct Answered {
    /// Responses by status, from 100 to 599.
    statuses: [AtomicU64; 500],
    bytes: AtomicU64,
    /// From the request's head to the end of its response.
    pub(crate) durations: Histogram,
}

impl Default for Answered {
    fn default() -> Self {
        Self {
            statuses: std::array::from_fn(|_| AtomicU64::new(0)),
            bytes: AtomicU64::new(0),
            durations: Histogram::default(),
        }
    }
}

impl Answered {
    /// Statuses that were sent, and how often.
    pub(crate) fn statuses(&self) -> impl Iterator<Item = (u16, u64)> {
        let counts = (100..).zip(&self.statuses);
        let counts = counts.map(|(status, count)| (status, count.load(Ordering::Relaxed)));
        counts.filter(|(_, count)| *count > 0)
    }

    /// Bytes of the bodies that clients have taken.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// A connection that is open.
#[derive(Debug)]
pub(crate) struct Open(Arc<Activity>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Activity {
    /// From now on nobody should send more requests.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::SeqCst);
    }

    /// Should requests be sent here?
    pub(crate) fn is_ready(&self) -> bool {
        !self.leaving.load(Ordering::Relaxed)
    }

    /// From now on what is in flight counts for the report of the end.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        let active = self.active.load(Ordering::SeqCst);
        self.in_flight.fetch_add(active, Ordering::SeqCst);
    }

    /// Is the server about to end?
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Requests that are answered at the moment.
    pub(crate) fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    /// Since [`Activity::drain`]: requests in flight, and how many of these came to their end.
    pub(crate) fn drained(&self) -> (usize, usize) {
        let finished = self.finished.load(Ordering::SeqCst);
        (
            self.in_flight.load(Ordering::SeqCst).max(finished),
            finished,
        )
    }

    /// What was answered so far.
    pub(crate) fn answered(&self) -> impl Iterator<Item = (By, &Answered)> {
        By::ALL.into_iter().zip(&self.answered)
    }

    /// A connection was opened; it counts until this is dropped.
    pub(crate) fn connect(self: &Arc<Self>) -> Open {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.accepted.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(self))
    }

    /// Connections that are open at the moment, and those that ever were.
    pub(crate) fn connections(&self) -> (usize, u64) {
        let open = self.connections.load(Ordering::Relaxed);
        (open, self.accepted.load(Ordering::Relaxed))
    }

    fn begin(&self) {
        self.active.fetch_add(1, Ordering::SeqCst);
        if self.is_draining() {
            self.in_flight.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn end(&self, is_broken: bool) {
        self.active.fetch_sub(1, Ordering::SeqCst);
        if self.is_draining() && !is_broken {
            self.finished.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A request that is being answered. Whatever becomes of it, its end is counted and told once.
#[derive(Debug)]
pub(crate) struct Exchange {
    activity: Arc<Activity>,
    /// None without an access log.
    told: Option<(Log, Value)>,
    begun: Instant,
    by: By,
    status: Option<StatusCode>,
    bytes: u64,
    /// The response could not be made to its end. A client that left before is another matter.
    is_broken: bool,
}

impl Exchange {
    pub(crate) fn begin(activity: &Arc<Activity>) -> Self {
        activity.begin();
        Self {
            activity: Arc::clone(activity),
            told: None,
            begun: Instant::now(),
            by: By::Server,
            status: None,
            bytes: 0,
            is_broken: false,
        }
    }

    /// Has its end told in the access log.
    pub(crate) fn tell(&mut self, log: &Log, parts: &Parts, client: Client) {
        self.told = Some((log.clone(), describe(parts, client)));
    }

    /// Has it not told, after all.
    pub(crate) fn skip(&mut self) {
        self.told = None;
    }

    fn answered(&self) -> &Answered {
        &self.activity.answered[self.by as usize]
    }

    /// PHP is asked.
    pub(crate) fn ask_php(&mut self) {
        self.by = By::Php;
    }

    /// A response whose body keeps count.
    pub(crate) fn answer(mut self, response: Response<Body>) -> Response<Body> {
        let status = response.status();
        self.status = Some(status);
        let index = usize::from(status.as_u16()).saturating_sub(100);
        if let Some(count) = self.answered().statuses.get(index) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        response.map(|inner| {
            Body::counted(Counted {
                inner: Box::new(inner),
                exchange: self,
            })
        })
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.activity.end(self.is_broken);
        let duration = self.begun.elapsed();
        self.answered().durations.observe(duration);
        self.answered()
            .bytes
            .fetch_add(self.bytes, Ordering::Relaxed);
        let Some((log, request)) = self.told.take() else {
            return;
        };
        let fields = json!({
            "request": request,
            "duration": duration.as_secs_f64(),
            "size": self.bytes,
            "status": self.status.map_or(0, |status| status.as_u16()),
        });
        // As Caddy has it.
        let is_failure = self.status.is_some_and(|status| status.is_server_error());
        let level = if is_failure {
            Level::Error
        } else {
            Level::Info
        };
        log.line(level, "http.log.access", "handled request", fields);
    }
}

/// The part of the line that describes the request, by Caddy's names.
fn describe(parts: &Parts, client: Client) -> Value {
    let header = |name| {
        let value = parts.headers.get(name);
        value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let host = header(HOST)
        .or_else(|| parts.uri.authority().map(ToString::to_string))
        .unwrap_or_default();
    json!({
        "client_ip": client.address.ip().to_string(),
        "proto": protocol(parts.version),
        "method": parts.method.as_str(),
        "host": host,
        "uri": parts.uri.path_and_query().map_or("*", |target| target.as_str()),
        "user_agent": header(USER_AGENT),
        "referer": header(REFERER),
    })
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

/// A response's body, counted as the client takes it.
#[derive(Debug)]
pub(crate) struct Counted {
    inner: Box<Body>,
    exchange: Exchange,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = &mut *self;
        let polled = ready!(Pin::new(&mut *body.inner).poll_frame(context));
        match &polled {
            None => {}
            Some(Err(_)) => body.exchange.is_broken = true,
            Some(Ok(frame)) => body.exchange.bytes += frame.data_ref().map_or(0, Bytes::len) as u64,
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
