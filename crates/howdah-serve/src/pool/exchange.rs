//! One request and its response over the socket of a worker, polled by whoever wants the response. When nobody wants it any
//! longer it is finished in the background, so that the worker is not lost with the client.

use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use howdah_wire::frame::{self, BODY_PIECE, Kind};
use howdah_wire::{FrameError, Head, Ready};
use http_body::Body as _;

use super::RequestBody;
use super::body::Pieces;
use super::dispatch::Lease;
use super::error::PhpError;
use crate::http::BodyError;

/// Pieces of a request's body are kept up to about this many bytes, for another attempt. What comes after that waits until the
/// worker has begun the request.
const KEPT: usize = 64 << 10;

/// A request on its way through a worker.
#[derive(Debug)]
pub(super) struct Exchange {
    /// There until the exchange is given up.
    talk: Option<Talk>,
    /// A response, or an interim one, has begun.
    pub(super) answered: bool,
    finished: bool,
}

/// Both directions of the socket.
#[derive(Debug)]
struct Talk {
    /// There until the worker waits for its next request.
    lease: Option<Lease>,
    /// The worker is ready for its next request, once this one has been written to its end.
    ready: Option<Ready>,
    outgoing: Outgoing,
}

/// What goes to the worker: the request's frame, then the body as it comes from the client.
pub(super) struct Outgoing {
    /// The `Request` frame.
    request: Bytes,
    /// The body's end has not been read from the client.
    source: Option<RequestBody>,
    /// Why the rest of the body cannot be read.
    fault: Option<BodyError>,
    /// Pieces that were read, for another attempt; none if they are too much.
    kept: Option<Vec<Bytes>>,
    kept_bytes: usize,
    /// The worker has said so.
    begun: bool,
    /// Frames to write now.
    pending: Vec<u8>,
    written: usize,
}

/// What comes from the worker.
#[derive(Debug)]
pub(super) enum Step {
    /// A 1xx response.
    Interim(Head),
    /// Status and header fields.
    Head(Head),
    /// A piece of the response's body.
    Body(Bytes),
    /// The response is whole.
    Finished,
}

/// Why an exchange cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the worker has ended")]
    Ended,
    #[error("the worker's socket is broken")]
    Socket(#[source] io::Error),
    #[error("the worker does not keep to the protocol")]
    Protocol(#[from] FrameError),
    #[error("the request's body cannot be read")]
    Client(#[source] BodyError),
}

impl Outgoing {
    /// `request`: a whole `Request` frame.
    pub(super) fn new(request: Bytes, body: RequestBody) -> Outgoing {
        Outgoing {
            request,
            source: Some(body),
            fault: None,
            kept: Some(Vec::new()),
            kept_bytes: 0,
            begun: false,
            pending: Vec::new(),
            written: 0,
        }
    }

    /// From the beginning, for another worker; none if the body was too long to be kept, or is not whole.
    fn again(mut self) -> Option<Outgoing> {
        self.kept.as_ref().filter(|_| self.fault.is_none())?;
        self.pending.clear();
        self.written = 0;
        self.begun = false;
        Some(self)
    }

    /// The frames of the request, and of what was kept of the body by an earlier attempt.
    fn begin(&mut self) -> Result<(), FrameError> {
        self.pending.extend_from_slice(&self.request);
        for piece in self.kept.iter().flatten() {
            append_body(&mut self.pending, piece)?;
        }
        if self.source.is_none() {
            frame::append(&mut self.pending, Kind::BodyEnd, b"")?;
        }
        Ok(())
    }

    /// A piece of the body, if one has come; false when none has.
    fn read_source(&mut self, context: &mut Context<'_>) -> Result<bool, FrameError> {
        let Some(source) = &mut self.source else {
            return Ok(true);
        };
        if self.kept_bytes > KEPT && !self.begun {
            // The worker's `Begun` wakes whoever polls.
            return Ok(false);
        }
        // Asked first: nearly every request has no body, and then there is nothing to poll.
        let next = if source.is_end_stream() {
            None
        } else {
            match source.as_mut().poll_frame(context) {
                Poll::Ready(next) => next,
                Poll::Pending => return Ok(false),
            }
        };
        match next {
            None => {
                self.source = None;
                frame::append(&mut self.pending, Kind::BodyEnd, b"")?;
            }
            Some(Ok(piece)) => {
                if let Ok(data) = piece.into_data() {
                    append_body(&mut self.pending, &data)?;
                    self.keep(data);
                }
            }
            Some(Err(error)) => {
                self.source = None;
                self.fault = Some(error);
            }
        }
        Ok(true)
    }

    fn keep(&mut self, data: Bytes) {
        self.kept_bytes += data.len();
        if let Some(kept) = &mut self.kept {
            kept.push(data);
        }
        self.drop_if_too_much();
    }

    fn has_begun(&mut self) {
        self.begun = true;
        self.drop_if_too_much();
    }

    fn drop_if_too_much(&mut self) {
        if self.begun && self.kept_bytes > KEPT {
            self.kept = None;
        }
    }

    /// No more of the body is sent.
    fn cut_short(&mut self) -> Result<(), FrameError> {
        match self.source.take() {
            Some(_) => frame::append(&mut self.pending, Kind::BodyEnd, b""),
            None => Ok(()),
        }
    }

    fn is_written(&self) -> bool {
        self.source.is_none() && self.written == self.pending.len()
    }
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Outgoing").finish_non_exhaustive()
    }
}

fn append_body(into: &mut Vec<u8>, data: &[u8]) -> Result<(), FrameError> {
    data.chunks(BODY_PIECE)
        .try_for_each(|piece| frame::append(into, Kind::Body, piece))
}

impl Talk {
    /// The next frame for whoever reads the response; meanwhile the request's body goes to the worker. None when the worker
    /// waits for its next request.
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<(Kind, Bytes)>, Broken>> {
        loop {
            self.upload(context)?;
            self.release();
            let Some(lease) = &mut self.lease else {
                return Poll::Ready(Ok(None));
            };
            let frame = match lease.worker()?.poll_frame(context) {
                Poll::Ready(frame) => frame?,
                // A worker that ends does not read the rest of the body, but it may have answered: only the client's faults count.
                Poll::Pending => {
                    return match self.outgoing.fault.take() {
                        Some(error) => Poll::Ready(Err(Broken::Client(error))),
                        None => Poll::Pending,
                    };
                }
            };
            if let Some(frame) = self.take(frame)? {
                return Poll::Ready(Ok(Some(frame)));
            }
        }
    }

    /// As [`Talk::poll_frame`], of what has been read already.
    fn buffered(&mut self) -> Result<Option<(Kind, Bytes)>, Broken> {
        while let Some(lease) = &mut self.lease {
            let Some(frame) = lease.worker()?.buffered()? else {
                break;
            };
            if let Some(frame) = self.take(frame)? {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    /// Keeps the frames that are not for whoever reads the response.
    fn take(&mut self, (kind, payload): (Kind, Bytes)) -> Result<Option<(Kind, Bytes)>, Broken> {
        let Some(lease) = &self.lease else {
            return Ok(None);
        };
        match kind {
            Kind::Ready => {
                self.ready = Some(Ready::decode(&payload)?);
                self.outgoing.cut_short()?;
                self.release();
                Ok(None)
            }
            Kind::Begun => {
                self.outgoing.has_begun();
                Ok(None)
            }
            Kind::Log | Kind::Backtrace | Kind::Reload => {
                lease.tell(kind, &payload);
                Ok(None)
            }
            _ => Ok(Some((kind, payload))),
        }
    }

    /// Gives a worker back that is ready. Not in the middle of a frame: the next request would be taken for the rest of it.
    fn release(&mut self) {
        if self.outgoing.is_written()
            && let Some(ready) = self.ready.take()
            && let Some(lease) = self.lease.take()
        {
            lease.give_back(ready);
        }
    }

    /// Sends what there is and has room. That the worker has ended, reading tells.
    fn upload(&mut self, context: &mut Context<'_>) -> Result<(), Broken> {
        let Some(lease) = &mut self.lease else {
            return Ok(());
        };
        let outgoing = &mut self.outgoing;
        loop {
            // Before the first write too: a short body then goes with the request in one write.
            let has_come = outgoing.read_source(context)?;
            while outgoing.written < outgoing.pending.len() {
                let rest = &outgoing.pending[outgoing.written..];
                match lease.worker()?.poll_write(context, rest) {
                    Poll::Ready(Ok(count)) => outgoing.written += count,
                    Poll::Ready(Err(_)) | Poll::Pending => return Ok(()),
                }
            }
            outgoing.pending.clear();
            outgoing.written = 0;
            if outgoing.source.is_none() || !has_come {
                return Ok(());
            }
        }
    }

    /// Until the worker waits for its next request, or dies; what it sends is for nobody.
    async fn settle(mut self) {
        while let Ok(Some(_)) = std::future::poll_fn(|context| self.poll_frame(context)).await {}
    }
}

impl Exchange {
    pub(super) fn begin(lease: Lease, mut outgoing: Outgoing) -> Result<Exchange, FrameError> {
        outgoing.begin()?;
        Ok(Exchange {
            talk: Some(Talk {
                lease: Some(lease),
                ready: None,
                outgoing,
            }),
            answered: false,
            finished: false,
        })
    }

    /// What the worker sends next; meanwhile the request's body goes to it.
    pub(super) fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Result<Step, Broken>> {
        loop {
            let Some(talk) = &mut self.talk else {
                return Poll::Ready(Err(Broken::Ended));
            };
            let frame = std::task::ready!(talk.poll_frame(context))?.ok_or(Broken::Ended)?;
            if let Some(step) = self.step(frame)? {
                return Poll::Ready(Ok(step));
            }
        }
    }

    /// What has been read already, without waiting.
    pub(super) fn buffered(&mut self) -> Result<Option<Step>, Broken> {
        while let Some(talk) = &mut self.talk {
            let Some(frame) = talk.buffered()? else {
                break;
            };
            if let Some(step) = self.step(frame)? {
                return Ok(Some(step));
            }
        }
        Ok(None)
    }

    /// The request from its beginning, for another worker, if that is still possible. This worker is dead.
    pub(super) fn into_outgoing(mut self) -> Option<Outgoing> {
        self.talk.take()?.outgoing.again()
    }

    /// The script goes on to its end, but nobody reads what it writes.
    pub(super) fn discard(mut self) {
        self.finished = true;
    }

    /// Did the worker begin to run the request before it died?
    pub(super) fn has_begun(&self) -> bool {
        let lease = self.talk.as_ref().and_then(|talk| talk.lease.as_ref());
        lease.is_none_or(Lease::has_begun)
    }

    /// Was the worker killed because of its wall-clock limit?
    pub(super) fn is_overdue(&self) -> bool {
        let lease = self.talk.as_ref().and_then(|talk| talk.lease.as_ref());
        lease.is_some_and(Lease::is_overdue)
    }

    fn step(&mut self, (kind, payload): (Kind, Bytes)) -> Result<Option<Step>, Broken> {
        let step = match kind {
            Kind::Interim => Step::Interim(Head::decode(&payload)?),
            Kind::Head => Step::Head(Head::decode(&payload)?),
            Kind::Body => Step::Body(payload),
            Kind::Finished => {
                self.finished = true;
                Step::Finished
            }
            _ => return Err(FrameError::Kind(kind as u8).into()),
        };
        self.answered = true;
        Ok(Some(step))
    }
}

impl Pieces for Exchange {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, PhpError>>> {
        loop {
            match std::task::ready!(self.poll_step(context)) {
                Ok(Step::Body(piece)) => return Poll::Ready(Some(Ok(piece))),
                Ok(Step::Finished) => return Poll::Ready(None),
                Ok(Step::Head(_) | Step::Interim(_)) => {}
                Err(_) => return Poll::Ready(Some(Err(PhpError::BrokeOff))),
            }
        }
    }
}

/// The client is gone, or has its whole response: what remains is between the front and the worker.
impl Drop for Exchange {
    fn drop(&mut self) {
        let Some(mut talk) = self.talk.take() else {
            return;
        };
        let Some(lease) = &mut talk.lease else {
            return;
        };
        let runtime = lease.runtime();
        if talk.outgoing.source.take().is_some() || !self.finished {
            // A frame without a payload is never too long.
            let end = if self.finished {
                Kind::BodyEnd
            } else {
                Kind::Aborted
            };
            frame::append(&mut talk.outgoing.pending, end, b"").ok();
        }
        runtime.spawn(talk.settle());
    }
}
