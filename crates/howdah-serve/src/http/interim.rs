//! Interim responses (RFC 9110 section 15.2). On a connection of HTTP/1.1 hyper sends none; there they go around it, from whoever
//! answers a request to the connection's stream, which writes them when nothing of hyper's is on its way.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::Response;
use http::header::CONTENT_LENGTH;

/// A script that sends them faster than its client reads them loses those beyond this many bytes.
const MOST: usize = 64 << 10;

/// Where the interim responses to a request go. Cheap to clone.
#[derive(Clone)]
pub struct Interim(Arc<dyn Fn(Response<()>) + Send + Sync>);

impl Interim {
    /// `send`: does not wait.
    pub(crate) fn new(send: impl Fn(Response<()>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(send))
    }

    /// Sends one. A length is never part of it (RFC 9110 section 8.6).
    pub fn send(&self, mut response: Response<()>) {
        response.headers_mut().remove(CONTENT_LENGTH);
        (self.0)(response);
    }
}

impl std::fmt::Debug for Interim {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Interim")
    }
}

/// The way of interim responses over one connection of HTTP/1.1. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Detour(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// There is something to write: asked with each flush, which should cost no lock.
    is_waiting: AtomicBool,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: BytesMut,
    /// Who waits until they are taken.
    waker: Option<Waker>,
}

impl Detour {
    /// The beginning of the way.
    pub(crate) fn interim(&self) -> Interim {
        let detour = self.clone();
        Interim::new(move |response| detour.put(&response))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, response: &Response<()>) {
        let mut queue = self.queue();
        if queue.bytes.len() > MOST {
            return;
        }
        let status = response.status();
        let reason = status.canonical_reason().unwrap_or_default();
        let line = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16());
        queue.bytes.put_slice(line.as_bytes());
        for (name, value) in response.headers() {
            let name: &[u8] = name.as_ref();
            for part in [name, b": ", value.as_bytes(), b"\r\n"] {
                queue.bytes.put_slice(part);
            }
        }
        queue.bytes.put_slice(b"\r\n");
        self.0.is_waiting.store(true, Ordering::Release);
    }

    /// What is to be written before anything else.
    pub(crate) fn take(&self) -> Option<Bytes> {
        if !self.0.is_waiting.swap(false, Ordering::AcqRel) {
            return None;
        }
        let mut queue = self.queue();
        if let Some(waker) = queue.waker.take() {
            waker.wake();
        }
        Some(queue.bytes.split().freeze())
    }

    /// Answers a request; the answer is held back until the stream has taken the interim ones before it.
    pub(crate) async fn before<T>(&self, answer: impl Future<Output = T>) -> T {
        let mut answer = pin!(answer);
        let mut done = None;
        std::future::poll_fn(|context| {
            if done.is_none()
                && let Poll::Ready(answered) = answer.as_mut().poll(context)
            {
                done = Some(answered);
            }
            if self.0.is_waiting.load(Ordering::Acquire) {
                let mut queue = self.queue();
                if queue.waker.replace(context.waker().clone()).is_none() {
                    // For a flush, if none comes anyway.
                    context.waker().wake_by_ref();
                }
                return Poll::Pending;
            }
            done.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_waits_for_what_comes_before_it() {
        let detour = Detour::default();
        let interim = detour.interim();
        let mut answer = pin!(detour.before(async {
            let hint = Response::builder().status(103).header("link", "</a.css>");
            interim.send(hint.header("content-length", "5").body(()).unwrap());
            7
        }));
        let mut context = std::task::Context::from_waker(Waker::noop());
        assert_eq!(answer.as_mut().poll(&mut context), Poll::Pending);
        let taken = detour.take().unwrap();
        assert_eq!(taken, "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n");
        assert_eq!(detour.take(), None);
        assert_eq!(answer.as_mut().poll(&mut context), Poll::Ready(7));
    }
}
