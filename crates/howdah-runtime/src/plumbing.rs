//! The standard streams of an attached process, on the caller's side.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::error::During;
use crate::protocol::Streams;
use crate::running::Ends;
use crate::{RuntimeError, Stdio};

/// The streams of an attached process: the ends it gets, and the ends the caller keeps.
#[derive(Debug)]
pub(crate) struct Plumbing {
    pub(crate) streams: Streams,
    pub(crate) theirs: Vec<OwnedFd>,
    pub(crate) ends: Ends,
}

impl Default for Plumbing {
    fn default() -> Self {
        Self {
            streams: Streams::Given { owned: false },
            theirs: Vec::new(),
            ends: Ends::default(),
        }
    }
}

impl Plumbing {
    pub(crate) fn new(stdio: Stdio, terminal: bool, input: bool) -> Result<Self, RuntimeError> {
        if terminal || stdio == Stdio::Terminal {
            return Ok(Self {
                streams: Streams::Terminal,
                ..Self::default()
            });
        }
        Self::of_streams(stdio, input).during(|| "make pipes for the process".to_owned())
    }

    fn of_streams(stdio: Stdio, input: bool) -> io::Result<Self> {
        let mut ends = Ends::default();
        let piped = stdio == Stdio::Piped;
        let theirs = match stdio {
            Stdio::Piped => {
                let input = if input {
                    let (reader, writer) = io::pipe()?;
                    ends.stdin = Some(OwnedFd::from(writer).into());
                    reader.into()
                } else {
                    null()?
                };
                let (stdout, stdout_writer) = io::pipe()?;
                let (stderr, stderr_writer) = io::pipe()?;
                ends.stdout = Some(OwnedFd::from(stdout).into());
                ends.stderr = Some(OwnedFd::from(stderr).into());
                vec![input, stdout_writer.into(), stderr_writer.into()]
            }
            Stdio::Inherit => {
                let input = if input {
                    io::stdin().as_fd().try_clone_to_owned()?
                } else {
                    null()?
                };
                vec![
                    input,
                    io::stdout().as_fd().try_clone_to_owned()?,
                    io::stderr().as_fd().try_clone_to_owned()?,
                ]
            }
            Stdio::Null | Stdio::Terminal => vec![null()?, null()?, null()?],
        };
        Ok(Self {
            streams: Streams::Given { owned: piped },
            theirs,
            ends,
        })
    }
}

fn null() -> io::Result<OwnedFd> {
    let file = fs_err::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    Ok(file.into_parts().0.into())
}
