//! The body of a response as PHP makes it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::error::PhpError;
use super::exchange::{Exchange, Step};

/// A body that was whole when the head was read, or comes from the worker piece by piece. Dropped early, the request is
/// finished without a reader.
#[derive(Debug)]
pub struct PhpBody(Content);

#[derive(Debug)]
enum Content {
    Whole(Bytes),
    Stream {
        /// Read already.
        first: VecDeque<Bytes>,
        exchange: Box<Exchange>,
        /// The length that the script announced and has not written yet.
        announced: Option<u64>,
    },
    End,
}

impl PhpBody {
    pub(crate) fn whole(bytes: Bytes) -> PhpBody {
        PhpBody(if bytes.is_empty() {
            Content::End
        } else {
            Content::Whole(bytes)
        })
    }

    pub(super) fn stream(
        first: VecDeque<Bytes>,
        exchange: Exchange,
        announced: Option<u64>,
    ) -> PhpBody {
        PhpBody(Content::Stream {
            first,
            exchange: Box::new(exchange),
            announced,
        })
    }
}

impl http_body::Body for PhpBody {
    type Data = Bytes;
    type Error = PhpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PhpError>>> {
        let next = match &mut self.0 {
            Content::End => None,
            Content::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Content::End;
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            Content::Stream {
                first,
                exchange,
                announced,
            } => std::task::ready!(poll_piece(first, exchange, announced, context)),
        };
        if !matches!(next, Some(Ok(_))) {
            self.0 = Content::End;
        }
        Poll::Ready(next.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Content::End)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Stream { announced, .. } => {
                announced.map_or_else(SizeHint::default, SizeHint::with_exact)
            }
            Content::End => SizeHint::with_exact(0),
        }
    }
}

/// The next piece, cut to what was announced: more would be the beginning of the next response on the connection.
fn poll_piece(
    first: &mut VecDeque<Bytes>,
    exchange: &mut Exchange,
    announced: &mut Option<u64>,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Bytes, PhpError>>> {
    loop {
        let mut piece = match first.pop_front() {
            Some(piece) => piece,
            None => match std::task::ready!(exchange.poll_step(context)) {
                Ok(Step::Body(piece)) => piece,
                Ok(Step::Finished) if announced.is_none_or(|rest| rest == 0) => {
                    return Poll::Ready(None);
                }
                // Less than was announced is an error too: the connection cannot go on.
                Ok(Step::Finished) | Err(_) => return Poll::Ready(Some(Err(PhpError::BrokeOff))),
                Ok(Step::Head(_) | Step::Interim(_)) => continue,
            },
        };
        if let Some(rest) = announced {
            piece.truncate(usize::try_from(*rest).unwrap_or(usize::MAX));
            *rest -= piece.len() as u64;
        }
        if !piece.is_empty() {
            return Poll::Ready(Some(Ok(piece)));
        }
    }
}
