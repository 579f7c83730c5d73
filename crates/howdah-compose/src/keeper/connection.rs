//! One connection of a command: lines in, lines out.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::protocol::{Interjection, Message, Request};

/// The longest line a command may send: a project with all its files' texts.
const LONGEST: u64 = 32 << 20;

/// What comes from a connection.
#[derive(Debug)]
pub(crate) enum Said {
    Request(Box<Request>),
    Interjection(Interjection),
    /// Not a line of the protocol.
    Nonsense(String),
    Gone,
}

/// Serves a connection until either side ends; `say` hands on what is read.
pub(crate) async fn serve(
    stream: UnixStream,
    messages: mpsc::Receiver<Message>,
    say: impl Fn(Said),
) {
    let (reader, writer) = stream.into_split();
    let mut writing = tokio::spawn(write(writer, messages));
    tokio::select! {
        read = read(reader, &say) => {
            if let Err(error) = read {
                say(Said::Nonsense(error.to_string()));
            }
            say(Said::Gone);
            // What was answered last still has to be written.
            drop(writing.await);
        }
        // All is answered: nobody listens to what the command may still say.
        _ = &mut writing => say(Said::Gone),
    }
}

async fn read(reader: OwnedReadHalf, say: &impl Fn(Said)) -> io::Result<()> {
    let mut reader = BufReader::new(reader);
    let mut has_request = false;
    loop {
        let mut line = Vec::new();
        let length = (&mut reader)
            .take(LONGEST)
            .read_until(b'\n', &mut line)
            .await?;
        if length == 0 {
            return Ok(());
        }
        if has_request {
            say(Said::Interjection(serde_json::from_slice(&line)?));
        } else {
            say(Said::Request(serde_json::from_slice(&line)?));
            has_request = true;
        }
    }
}

async fn write(
    mut writer: OwnedWriteHalf,
    mut messages: mpsc::Receiver<Message>,
) -> io::Result<()> {
    while let Some(message) = messages.recv().await {
        let mut line = serde_json::to_vec(&message)?;
        line.push(b'\n');
        writer.write_all(&line).await?;
    }
    Ok(())
}
