//! The bytes of a file as a response's body: pieces of memory, and spans that are read while the client takes them.

use std::collections::VecDeque;
use std::fs::File;
use std::future::Future as _;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::task::JoinHandle;

use crate::http::BodyError;

/// Bytes that one read takes from the disk.
const READ: u64 = 256 << 10;

/// A file's content, or parts of it with something between them.
#[derive(Debug, Default)]
pub(crate) struct FileBody {
    pieces: VecDeque<Piece>,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    remaining: u64,
}

#[derive(Debug)]
enum Piece {
    Memory(Bytes),
    Span {
        file: Arc<File>,
        offset: u64,
        length: u64,
    },
}

impl FileBody {
    /// Appends bytes.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        self.remaining += bytes.len() as u64;
        self.pieces.push_back(Piece::Memory(bytes));
    }

    /// Appends a part of a file.
    pub(crate) fn push_span(&mut self, file: Arc<File>, offset: u64, length: u64) {
        self.remaining += length;
        self.pieces.push_back(Piece::Span {
            file,
            offset,
            length,
        });
    }

    /// How many bytes are left.
    pub(crate) fn remaining(&self) -> u64 {
        self.remaining
    }

    /// The next bytes if they are in memory; else their read is begun.
    fn next(&mut self) -> Option<Bytes> {
        match self.pieces.pop_front()? {
            Piece::Memory(bytes) => Some(bytes),
            Piece::Span {
                file,
                offset,
                length,
            } => {
                let now = length.min(READ);
                if now < length {
                    self.pieces.push_front(Piece::Span {
                        file: Arc::clone(&file),
                        offset: offset + now,
                        length: length - now,
                    });
                }
                self.reading = Some(tokio::task::spawn_blocking(move || {
                    read(&file, offset, now)
                }));
                None
            }
        }
    }
}

/// A file that became shorter is an error: its length has been told to the client.
fn read(file: &File, offset: u64, length: u64) -> io::Result<Bytes> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes.into())
}

impl http_body::Body for FileBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = &mut *self;
        let bytes = loop {
            if let Some(reading) = &mut body.reading {
                let read = ready!(Pin::new(reading).poll(context));
                body.reading = None;
                match read {
                    Ok(Ok(bytes)) => break bytes,
                    Ok(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                    Err(error) => return Poll::Ready(Some(Err(error.into()))),
                }
            }
            if body.pieces.is_empty() {
                return Poll::Ready(None);
            }
            if let Some(bytes) = body.next() {
                break bytes;
            }
        };
        body.remaining -= bytes.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}
