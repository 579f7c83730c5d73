//! What goes to the server: the request's records, then its body as it comes from the client.

use std::fmt;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Body as _;

use super::record;
use crate::http::BodyError;
use crate::pool::RequestBody;

/// Pieces of a body are kept up to this many bytes, for another attempt.
const KEPT: usize = 64 << 10;

/// A request that is being sent.
pub(super) struct Upload {
    /// Its records before the body, for another attempt.
    start: Bytes,
    /// The body's end has not been read from the client.
    source: Option<RequestBody>,
    /// Pieces that were read; none if they are too much.
    kept: Option<Vec<Bytes>>,
    kept_bytes: usize,
    pending: Vec<u8>,
    written: usize,
}

impl Upload {
    pub(super) fn new(start: Vec<u8>, body: RequestBody) -> Upload {
        Upload {
            pending: start.clone(),
            start: start.into(),
            source: Some(body),
            kept: Some(Vec::new()),
            kept_bytes: 0,
            written: 0,
        }
    }

    /// From the beginning, for another connection; none if the body was too long to be kept.
    pub(super) fn again(mut self) -> Option<Upload> {
        let kept = self.kept.as_ref()?;
        self.pending = self.start.to_vec();
        for piece in kept {
            record::append_body(&mut self.pending, piece);
        }
        if self.source.is_none() {
            record::append_body_end(&mut self.pending);
        }
        self.written = 0;
        Some(self)
    }

    /// What is to be written now.
    pub(super) fn rest(&self) -> &[u8] {
        &self.pending[self.written..]
    }

    pub(super) fn advance(&mut self, count: usize) {
        self.written += count;
        if self.written == self.pending.len() {
            self.pending.clear();
            self.written = 0;
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.source.is_none() && self.pending.is_empty()
    }

    /// Reads one piece from the client.
    pub(super) fn poll_source(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        let Some(source) = &mut self.source else {
            return Poll::Ready(Ok(()));
        };
        let next = if source.is_end_stream() {
            None
        } else {
            ready!(source.as_mut().poll_frame(context))
        };
        match next {
            None => {
                self.source = None;
                record::append_body_end(&mut self.pending);
            }
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    record::append_body(&mut self.pending, &data);
                    self.keep(data);
                }
            }
            Some(Err(error)) => {
                self.source = None;
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(()))
    }

    fn keep(&mut self, data: Bytes) {
        self.kept_bytes += data.len();
        if self.kept_bytes > KEPT {
            self.kept = None;
        } else if let Some(kept) = &mut self.kept {
            kept.push(data);
        }
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Upload").finish_non_exhaustive()
    }
}
