//! A request's body before PHP is asked: a client that sends slowly must not hold a worker meanwhile.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use serde_json::json;

use super::BodyError;
use crate::files::FileBody;
use crate::log::{Level, Log};
use crate::pool::RequestBody;

/// Bytes that are always waited for, and kept in memory.
const MEMORY: u64 = 64 << 10;
/// Bytes that one write takes to the disk.
const WRITE: usize = 256 << 10;

/// Where bodies are kept that are long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Disk<'a> {
    /// Files without a name are made here.
    pub(crate) directory: &'a Path,
    pub(crate) log: &'a Log,
}

/// Returns when the body is there, with the same content. Of a long one only the beginning is waited for if there are workers
/// enough, which `are_many_idle` tells.
pub(crate) async fn receive(
    mut body: RequestBody,
    are_many_idle: impl FnOnce() -> bool,
    disk: Disk<'_>,
) -> Result<RequestBody, BodyError> {
    if body.is_end_stream() {
        return Ok(body);
    }
    let mut there = FileBody::default();
    while there.remaining() < MEMORY {
        match next(&mut body).await? {
            Some(data) => there.push(data),
            None => return Ok(Box::pin(Ahead { there, rest: None })),
        }
    }
    let is_whole = !are_many_idle() && keep(&mut body, &mut there, disk).await?;
    let rest = Some(body).filter(|_| !is_whole);
    Ok(Box::pin(Ahead { there, rest }))
}

async fn next(body: &mut RequestBody) -> Result<Option<Bytes>, BodyError> {
    while let Some(frame) = body.frame().await {
        // Trailers are nothing that PHP could be given.
        if let Ok(data) = frame?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// Appends the rest of the body to what is there; false if the disk does not take it all.
async fn keep(
    body: &mut RequestBody,
    there: &mut FileBody,
    disk: Disk<'_>,
) -> Result<bool, BodyError> {
    let mut piece = BytesMut::new();
    let mut length = 0;
    let mut file = None;
    let mut is_whole;
    let fault = loop {
        is_whole = match next(body).await? {
            Some(data) => {
                piece.extend_from_slice(&data);
                false
            }
            None => true,
        };
        if piece.len() >= WRITE || is_whole {
            let data = piece.split().freeze();
            match write(file.take(), disk.directory, data.clone(), length).await {
                Ok(written) => file = Some(written),
                Err(error) => break Some((error, data)),
            }
            length += data.len() as u64;
        }
        if is_whole {
            break None;
        }
    };
    if let Some(file) = file {
        there.push_span(file, 0, length);
    }
    if let Some((error, data)) = fault {
        let message = "no room for a request's body, PHP gets it as it comes";
        let fields = json!({ "directory": disk.directory, "error": error.to_string() });
        disk.log.line(Level::Warn, "http", message, fields);
        there.push(data);
    }
    Ok(is_whole)
}

/// Writes at a place of the file; the first time it is made.
async fn write(
    file: Option<Arc<File>>,
    directory: &Path,
    data: Bytes,
    offset: u64,
) -> io::Result<Arc<File>> {
    let directory = directory.to_owned();
    let writing = move || {
        let file = match file {
            Some(file) => file,
            None => Arc::new(tempfile::tempfile_in(directory)?),
        };
        file.write_all_at(&data, offset)?;
        Ok(file)
    };
    tokio::task::spawn_blocking(writing)
        .await
        .map_err(io::Error::other)?
}

/// What is there of a body, and what comes.
struct Ahead {
    there: FileBody,
    rest: Option<RequestBody>,
}

impl http_body::Body for Ahead {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = &mut *self;
        if !body.there.is_end_stream() {
            return Pin::new(&mut body.there).poll_frame(context);
        }
        match &mut body.rest {
            Some(rest) => rest.as_mut().poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.there.is_end_stream()
            && self
                .rest
                .as_ref()
                .is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            Some(_) => SizeHint::default(),
            None => self.there.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// The lines of the log when a body of this length is received, in pieces.
    async fn received(length: usize, are_many_idle: bool, directory: &Path) -> usize {
        let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
        let mut source = FileBody::default();
        for piece in bytes.chunks(1000) {
            source.push(Bytes::copy_from_slice(piece));
        }
        let lines = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&lines);
        let log = Log::new(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let disk = Disk {
            directory,
            log: &log,
        };
        let body = receive(Box::pin(source), || are_many_idle, disk).await;
        let content = body.unwrap().collect().await.unwrap().to_bytes();
        assert!(content == bytes, "{length} {are_many_idle}");
        lines.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn bodies_are_the_same_wherever_they_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        for length in [0, 1, 64 << 10, 65_001, 300_000, 1_000_000] {
            for are_many_idle in [false, true] {
                assert_eq!(received(length, are_many_idle, directory.path()).await, 0);
            }
        }
        assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn without_a_disk_they_come_as_they_come() {
        let nowhere = Path::new("/nowhere");
        assert_eq!(received(1000, false, nowhere).await, 0);
        assert_eq!(received(1_000_000, false, nowhere).await, 1);
    }
}
