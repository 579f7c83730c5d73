//! The programs' output, merged line by line into ours, each line with the name of its process.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::poll::PollFlags;
use rustix::fs::fstat;
use serde::Serialize;

use super::outlet::Outlet;

/// A longer line is cut into several: memory has an end.
const LONGEST_LINE: usize = 64 * 1024;
/// How long a reader may take for our last words.
const FINISH: Duration = Duration::from_secs(2);
/// The name before our own lines.
const OURSELVES: &str = "howdah";

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `name | line`; a single program keeps our streams for itself.
    #[default]
    Plain,
    /// One JSON object a line: time, program, stream, message.
    Json,
}

/// One of the two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// The reading end of one program's stream.
#[derive(Debug)]
struct Inlet {
    pipe: File,
    name: String,
    stream: Stream,
    /// The line that has no end yet.
    line: Vec<u8>,
}

/// Where all output meets.
#[derive(Debug)]
pub(crate) struct Log {
    format: LogFormat,
    width: usize,
    stdout: Outlet,
    /// Absent when both streams are one file: then one queue keeps its lines whole.
    stderr: Option<Outlet>,
    inlets: Vec<Inlet>,
}

#[derive(Serialize)]
struct Record<'a> {
    time: String,
    program: &'a str,
    stream: &'a str,
    message: &'a str,
}

impl Log {
    /// A log to our standard streams, wide enough for the longest of `names`.
    pub(crate) fn new<'a>(
        format: LogFormat,
        names: impl Iterator<Item = &'a str>,
    ) -> io::Result<Self> {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let (first, second) = (fstat(&stdout)?, fstat(&stderr)?);
        let same = (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino);
        Ok(Self {
            format,
            width: names
                .map(|name| name.chars().count())
                .max()
                .unwrap_or(0)
                .max(OURSELVES.len()),
            stdout: Outlet::new(stdout.as_fd())?,
            stderr: if same {
                None
            } else {
                Some(Outlet::new(stderr.as_fd())?)
            },
            inlets: Vec::new(),
        })
    }

    /// Reads `pipe` from now on, as `stream` of the process `name`. It must not block.
    pub(crate) fn follow(&mut self, pipe: File, name: &str, stream: Stream) {
        self.inlets.push(Inlet {
            pipe,
            name: name.to_owned(),
            stream,
            line: Vec::new(),
        });
    }

    /// A line of our own.
    pub(crate) fn tell(&mut self, message: &str) {
        self.line(OURSELVES, Stream::Stderr, message.as_bytes());
    }

    /// The descriptors to wait for: programs that may be read, and streams that can take no more now.
    pub(crate) fn interests(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let outlets = [Some(&self.stdout), self.stderr.as_ref()]
            .into_iter()
            .flatten();
        let waiting = outlets
            .filter(|outlet| outlet.is_waiting())
            .map(|outlet| (outlet.as_fd(), PollFlags::POLLOUT));
        // A full outlet is back pressure: its programs wait, as they would without us, and we do not.
        let readable = self
            .inlets
            .iter()
            .filter(|inlet| !self.outlet(inlet.stream).is_full());
        waiting
            .chain(readable.map(|inlet| (inlet.pipe.as_fd(), PollFlags::POLLIN)))
            .collect()
    }

    /// Moves what can be moved without waiting.
    pub(crate) fn pump(&mut self) {
        let mut inlets = std::mem::take(&mut self.inlets);
        inlets.retain_mut(|inlet| self.outlet(inlet.stream).is_full() || self.read(inlet));
        self.inlets.append(&mut inlets);
        self.stdout.flush();
        if let Some(stderr) = &mut self.stderr {
            stderr.flush();
        }
    }

    /// Reads what the ended programs left in their pipes, closes every open line and writes it all.
    pub(crate) fn finish(&mut self) {
        for mut inlet in std::mem::take(&mut self.inlets) {
            // A pipe holds at most fs.pipe-max-size, but a process that is not ours to end could write for ever.
            for _ in 0..64 {
                if !self.read(&mut inlet) {
                    break;
                }
            }
            self.end_line(&mut inlet);
        }
        self.stdout.finish(FINISH);
        if let Some(stderr) = &mut self.stderr {
            stderr.finish(FINISH);
        }
    }

    /// Reads once. `false` at the end of the stream.
    fn read(&mut self, inlet: &mut Inlet) -> bool {
        let mut buffer = [0; 16 * 1024];
        match inlet.pipe.read(&mut buffer) {
            Ok(0) => {
                self.end_line(inlet);
                false
            }
            Ok(count) => {
                self.split(inlet, &buffer[..count]);
                true
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                true
            }
            Err(_) => {
                self.end_line(inlet);
                false
            }
        }
    }

    fn split(&mut self, inlet: &mut Inlet, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            inlet.line.extend_from_slice(piece);
            if inlet.line.ends_with(b"\n") || inlet.line.len() >= LONGEST_LINE {
                self.end_line(inlet);
            }
        }
    }

    fn end_line(&mut self, inlet: &mut Inlet) {
        if !inlet.line.is_empty() {
            let line = std::mem::take(&mut inlet.line);
            self.line(
                &inlet.name,
                inlet.stream,
                line.strip_suffix(b"\n").unwrap_or(&line),
            );
        }
    }

    fn line(&mut self, name: &str, stream: Stream, line: &[u8]) {
        let bytes = match self.format {
            LogFormat::Plain => {
                let mut bytes = format!("{name:width$} | ", width = self.width).into_bytes();
                bytes.extend_from_slice(line);
                bytes.push(b'\n');
                bytes
            }
            LogFormat::Json => json(name, stream, line),
        };
        match (stream, &mut self.stderr) {
            (Stream::Stderr, Some(stderr)) => stderr.push(&bytes),
            _ => self.stdout.push(&bytes),
        }
    }

    fn outlet(&self, stream: Stream) -> &Outlet {
        match (stream, &self.stderr) {
            (Stream::Stderr, Some(stderr)) => stderr,
            _ => &self.stdout,
        }
    }
}

fn json(name: &str, stream: Stream, line: &[u8]) -> Vec<u8> {
    let record = Record {
        time: format!("{:.6}", jiff::Timestamp::now()),
        program: name,
        stream: if stream == Stream::Stdout {
            "stdout"
        } else {
            "stderr"
        },
        message: &String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)),
    };
    // Strings alone cannot fail to serialise.
    let mut bytes = serde_json::to_vec(&record).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}
