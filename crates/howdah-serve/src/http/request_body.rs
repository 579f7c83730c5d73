//! The body of a request, within the bounds of size and time that a client has.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::BodyError;

/// Why a request's body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum RequestBodyError {
    /// It is longer than allowed.
    #[error("the request's body has more than {0} bytes")]
    TooLarge(u64),
    /// The client stopped sending.
    #[error("the client sent nothing of the request's body for {0:?}")]
    TimedOut(Duration),
    /// The client is gone, or what it sends is no body.
    #[error("the request's body cannot be read")]
    Broken(#[source] BodyError),
}

impl RequestBodyError {
    /// The status that tells the client.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TimedOut(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Broken(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// The status of the body's error that `error` came from, if it did.
    pub(crate) fn status_of(error: &(dyn std::error::Error + 'static)) -> Option<StatusCode> {
        std::iter::successors(Some(error), |error| error.source())
            .find_map(|error| error.downcast_ref::<Self>())
            .map(Self::status)
    }
}

/// A body as it comes from the client.
pub(crate) enum Received {
    /// By HTTP/1 or HTTP/2.
    Hyper(Incoming),
    /// By HTTP/3.
    Other(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError> + Send>>),
}

impl Received {
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Hyper(body) => {
                http_body::Body::poll_frame(Pin::new(body), context).map_err(BodyError::from)
            }
            Self::Other(body) => body.as_mut().poll_frame(context),
        }
    }
}

/// A body that counts its bytes and waits for each piece only so long.
pub(crate) struct Bounded {
    inner: Received,
    limit: u64,
    left: u64,
    patience: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Bounded {
    /// At most `limit` bytes, and at most `patience` between two pieces.
    pub(crate) fn new(inner: Received, limit: u64, patience: Duration) -> Self {
        Self {
            inner,
            limit,
            left: limit,
            patience,
            waiting: None,
        }
    }

    /// At most so many bytes, if it was more before. Nothing may have been read yet.
    pub(crate) fn limit_to(&mut self, bytes: u64) {
        self.limit = self.limit.min(bytes);
        self.left = self.left.min(bytes);
    }

    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        let patience = self.patience;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + patience)));
        waiting.as_mut().poll(context).is_ready()
    }
}

impl http_body::Body for Bounded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = &mut *self;
        let polled = body.inner.poll_frame(context);
        if polled.is_pending() && body.is_late(context) {
            let error = RequestBodyError::TimedOut(body.patience);
            return Poll::Ready(Some(Err(error.into())));
        }
        let frame = ready!(polled);
        body.waiting = None;
        Poll::Ready(match frame {
            None => None,
            Some(Err(error)) => Some(Err(RequestBodyError::Broken(error).into())),
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                Some(match body.left.checked_sub(length) {
                    None => Err(RequestBodyError::TooLarge(body.limit).into()),
                    Some(left) => {
                        body.left = left;
                        Ok(frame)
                    }
                })
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Received::Hyper(body) => body.is_end_stream(),
            Received::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Received::Hyper(body) => body.size_hint(),
            Received::Other(body) => body.size_hint(),
        }
    }
}
