//! One request and its response over a connection to the server, polled by whoever wants the response. Both directions go on at
//! once: a script may answer before it has read the request's body.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use serde_json::json;
use tokio::io::ReadBuf;
use tokio::time::Sleep;

use super::connections::Connection;
use super::record::{self, ProtocolStatus, Record, RecordFault};
use super::upload::Upload;
use crate::http::BodyError;
use crate::log::{Level, Log};
use crate::pool::PhpError;
use crate::pool::body::Pieces;

/// The space a read is given.
const READ_SIZE: usize = 16 << 10;

/// A request on its way.
pub(super) struct Exchange {
    /// There until the server is done with the request.
    connection: Option<Connection>,
    upload: Upload,
    input: BytesMut,
    /// The wall-clock limit of the request.
    deadline: Option<Pin<Box<Sleep>>>,
    log: Log,
    /// The server has sent something.
    pub(super) answered: bool,
}

/// Why an exchange cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("closed the connection in the middle of a request")]
    Ended,
    #[error("broke the connection off")]
    Socket(#[source] io::Error),
    #[error(transparent)]
    Protocol(#[from] RecordFault),
    #[error("is overloaded")]
    Overloaded,
    #[error("does not serve requests of this kind")]
    Rejected,
    #[error("took too long")]
    Overdue,
    #[error("the request's body cannot be read")]
    Client(#[source] BodyError),
}

impl Exchange {
    pub(super) fn new(
        connection: Connection,
        upload: Upload,
        deadline: Option<Pin<Box<Sleep>>>,
        log: Log,
    ) -> Exchange {
        Exchange {
            connection: Some(connection),
            upload,
            input: BytesMut::new(),
            deadline,
            log,
            answered: false,
        }
    }

    /// The request from its beginning and what is left of its time, for another connection.
    pub(super) fn into_parts(self) -> (Option<Upload>, Option<Pin<Box<Sleep>>>) {
        (self.upload.again(), self.deadline)
    }

    /// The next piece of the response, head and body alike; none at its end. Meanwhile the request's body goes to the server.
    pub(super) fn poll_output(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, Broken>> {
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            self.connection = None;
            return Poll::Ready(Err(Broken::Overdue));
        }
        if let Poll::Ready(Err(error)) = self.poll_upload(context) {
            self.connection = None;
            return Poll::Ready(Err(Broken::Client(error)));
        }
        let output = ready!(self.poll_records(context));
        if !matches!(output, Ok(Some(_))) {
            self.end(output.is_ok());
        }
        Poll::Ready(output)
    }

    /// The script goes on to its end, but nobody reads what it writes.
    pub(super) fn discard(mut self) {
        tokio::spawn(async move {
            let next =
                |exchange: &mut Exchange, context: &mut Context<'_>| exchange.poll_output(context);
            while let Ok(Some(_)) = std::future::poll_fn(|context| next(&mut self, context)).await {
            }
        });
    }

    fn poll_records(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Broken>> {
        loop {
            match record::take(&mut self.input)? {
                Some(Record::Output(piece)) if !piece.is_empty() => {
                    return Poll::Ready(Ok(Some(piece)));
                }
                Some(Record::Errors(text)) => self.tell(&text),
                Some(Record::Output(_) | Record::Other) => {}
                Some(Record::End(ProtocolStatus::Complete)) => return Poll::Ready(Ok(None)),
                Some(Record::End(ProtocolStatus::Overloaded)) => {
                    return Poll::Ready(Err(Broken::Overloaded));
                }
                Some(Record::End(ProtocolStatus::Rejected)) => {
                    return Poll::Ready(Err(Broken::Rejected));
                }
                None => ready!(self.poll_read(context))?,
            }
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let Some(connection) = &mut self.connection else {
            return Poll::Ready(Err(Broken::Ended));
        };
        let mut space = [std::mem::MaybeUninit::uninit(); READ_SIZE];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(connection.poll_read(context, &mut buffer)).map_err(Broken::Socket)?;
        if buffer.filled().is_empty() {
            return Poll::Ready(Err(Broken::Ended));
        }
        self.answered = true;
        self.input.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }

    /// A server that has closed its side has perhaps answered: what it says is read, so only the client's faults count.
    fn poll_upload(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        let Some(connection) = &mut self.connection else {
            return Poll::Ready(Ok(()));
        };
        loop {
            // Before the first write too: a short body then goes with the request in one write.
            let source = self.upload.poll_source(context)?;
            while !self.upload.rest().is_empty() {
                match ready!(connection.poll_write(context, self.upload.rest())) {
                    Ok(count) if count > 0 => self.upload.advance(count),
                    _ => return Poll::Pending,
                }
            }
            if self.upload.is_complete() {
                return Poll::Ready(Ok(()));
            }
            ready!(source);
        }
    }

    /// The connection is for the next request if nothing of this one is left in it.
    fn end(&mut self, is_whole: bool) {
        if let Some(connection) = self.connection.take()
            && is_whole
            && self.input.is_empty()
            && self.upload.is_complete()
        {
            connection.give_back();
        }
    }

    fn tell(&self, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        let text = text.trim_end();
        if !text.is_empty() {
            self.log.line(Level::Warn, "php", text, json!({}));
        }
    }
}

impl Pieces for Exchange {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, PhpError>>> {
        let piece = ready!(self.poll_output(context));
        Poll::Ready(piece.map_err(|_| PhpError::BrokeOff).transpose())
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Exchange").finish_non_exhaustive()
    }
}
