//! The body of a response as PHP makes it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Method, Response, StatusCode};
use http_body::{Frame, SizeHint};

use super::error::PhpError;

/// A body that was whole when the head was read, or comes from PHP piece by piece. Dropped early, it is for whoever makes the
/// pieces to say what becomes of the request.
#[derive(Debug)]
pub struct PhpBody(Content);

/// What makes a body.
pub(crate) trait Pieces: std::fmt::Debug + Send {
    /// The next piece, or none at the end.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, PhpError>>>;
}

#[derive(Debug)]
enum Content {
    Whole(Bytes),
    Stream {
        /// Read already.
        first: VecDeque<Bytes>,
        rest: Box<dyn Pieces>,
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

    /// `announced`: what the script says of the length.
    pub(crate) fn stream(
        first: VecDeque<Bytes>,
        rest: impl Pieces + 'static,
        announced: Option<u64>,
    ) -> PhpBody {
        PhpBody(Content::Stream {
            first,
            rest: Box::new(rest),
            announced,
        })
    }
}

/// May a response to this method with this head have a body (RFC 9110 section 6.4.1)?
pub(crate) fn is_wanted(method: &Method, head: &Response<()>) -> bool {
    let never = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
    *method != Method::HEAD && !never.contains(&head.status())
}

/// What the script says of the length.
pub(crate) fn announced(head: &Response<()>) -> Option<u64> {
    let length = head.headers().get(CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// A response whose body is known to its end: what the script says of the length does not matter then.
pub(crate) fn whole(mut head: Response<()>, mut pieces: VecDeque<Bytes>) -> Response<PhpBody> {
    let bytes = match pieces.len() {
        0 | 1 => pieces.pop_front().unwrap_or_default(),
        _ => pieces.iter().flatten().copied().collect(),
    };
    if announced(&head).is_some_and(|length| length != bytes.len() as u64) {
        head.headers_mut().remove(CONTENT_LENGTH);
    }
    head.map(|()| PhpBody::whole(bytes))
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
                rest,
                announced,
            } => std::task::ready!(poll_piece(first, &mut **rest, announced, context)),
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
    rest: &mut dyn Pieces,
    announced: &mut Option<u64>,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Bytes, PhpError>>> {
    loop {
        let next = match first.pop_front() {
            Some(piece) => Some(Ok(piece)),
            None => std::task::ready!(rest.poll_piece(context)),
        };
        let mut piece = match next {
            Some(Ok(piece)) => piece,
            None if announced.is_none_or(|rest| rest == 0) => return Poll::Ready(None),
            // Less than was announced is an error too: the connection cannot go on.
            None | Some(Err(_)) => return Poll::Ready(Some(Err(PhpError::BrokeOff))),
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
