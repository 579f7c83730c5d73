//! Bodies of responses: bytes at hand, a file, or a stream that somebody else makes.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::access::Counted;
use super::compress::Compressed;
use crate::files::FileBody;

/// Why a body ended before its end. The connection is closed, so that the client sees that something is missing.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

type Stream = Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError> + Send>>;

/// The body of a response.
#[derive(Default)]
pub struct Body(Content);

#[derive(Default)]
enum Content {
    #[default]
    Empty,
    Whole(Bytes),
    File(FileBody),
    Stream(Stream),
    Counted(Counted),
    Compressed(Box<Compressed>),
}

impl Body {
    /// A body that somebody else makes, piece by piece.
    pub fn stream<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes, Error = BodyError> + Send + 'static,
    {
        Self(Content::Stream(Box::pin(body)))
    }

    pub(crate) fn counted(body: Counted) -> Self {
        Self(Content::Counted(body))
    }

    pub(crate) fn compressed(body: Compressed) -> Self {
        Self(Content::Compressed(Box::new(body)))
    }

    pub(crate) fn file(body: FileBody) -> Self {
        Self(Content::File(body))
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        let bytes = bytes.into();
        Self(if bytes.is_empty() {
            Content::Empty
        } else {
            Content::Whole(bytes)
        })
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Content::Empty => Poll::Ready(None),
            Content::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Content::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Content::File(body) => Pin::new(body).poll_frame(context),
            Content::Stream(body) => body.as_mut().poll_frame(context),
            Content::Counted(body) => Pin::new(body).poll_frame(context),
            Content::Compressed(body) => Pin::new(&mut **body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Content::Empty => true,
            Content::Whole(_) => false,
            Content::File(body) => body.is_end_stream(),
            Content::Stream(body) => body.is_end_stream(),
            Content::Counted(body) => body.is_end_stream(),
            Content::Compressed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Empty => SizeHint::with_exact(0),
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::File(body) => body.size_hint(),
            Content::Stream(body) => body.size_hint(),
            Content::Counted(body) => body.size_hint(),
            Content::Compressed(body) => body.size_hint(),
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = http_body::Body::size_hint(self);
        formatter.debug_tuple("Body").field(&size).finish()
    }
}
