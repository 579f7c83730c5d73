//! Copying a detached container's output into its log.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};

use super::log::{Log, Stream};
use super::streams::Given;

const CHUNK_BYTES: usize = 64 * 1024;

/// A container's log, and where its lines come from.
#[derive(Debug)]
pub(super) struct Recorder {
    log: Log,
    outputs: Vec<(OwnedFd, Stream)>,
    /// The write end of a standard input that stays open and empty.
    input: Option<OwnedFd>,
    buffer: Vec<u8>,
}

impl Recorder {
    pub(super) fn new(log: Log) -> Self {
        Self {
            log,
            outputs: Vec::new(),
            input: None,
            buffer: vec![0; CHUNK_BYTES],
        }
    }

    /// Streams for a container without a terminal.
    pub(super) fn streams(&mut self, keep_input_open: bool) -> io::Result<Given> {
        let input = if keep_input_open {
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
            self.input = Some(writer);
            reader
        } else {
            fs_err::File::open("/dev/null")?.into_parts().0.into()
        };
        let (stdout, stdout_writer) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stderr, stderr_writer) = pipe_with(PipeFlags::CLOEXEC)?;
        self.add(stdout, Stream::Stdout);
        self.add(stderr, Stream::Stderr);
        Ok(Given::Streams {
            descriptors: [input, stdout_writer, stderr_writer],
            owned: true,
        })
    }

    /// One more source of lines.
    pub(super) fn add(&mut self, output: OwnedFd, stream: Stream) {
        self.outputs.push((output, stream));
    }

    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.outputs.iter().map(|(output, _)| output.as_fd())
    }

    /// Reads once from each source that is `ready`; those that have ended are dropped.
    pub(super) fn copy(&mut self, ready: &[bool]) {
        let mut ready = ready.iter().copied();
        let (log, buffer) = (&mut self.log, &mut self.buffer);
        self.outputs.retain(|(output, stream)| {
            if !ready.next().unwrap_or(false) {
                return true;
            }
            match rustix::io::read(output, &mut *buffer) {
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => true,
                // A terminal whose last user is gone gives EIO instead of an end.
                Ok(0) | Err(_) => {
                    // A log that cannot be written must not stop the container; there is nobody to tell.
                    log.finish(*stream).ok();
                    false
                }
                Ok(length) => {
                    log.write(*stream, &buffer[..length]).ok();
                    true
                }
            }
        });
    }

    /// Reads what is left after the container's end. All its writers are dead, so what is not there now never comes.
    pub(super) fn drain(mut self) {
        loop {
            let mut polled: Vec<PollFd<'_>> = self
                .descriptors()
                .map(|output| PollFd::from_borrowed_fd(output, PollFlags::IN))
                .collect();
            let now = Timespec::default();
            if poll(&mut polled, Some(&now)).unwrap_or(0) == 0 {
                break;
            }
            let ready: Vec<bool> = polled
                .iter()
                .map(|entry| !entry.revents().is_empty())
                .collect();
            drop(polled);
            self.copy(&ready);
        }
        for stream in [Stream::Stdout, Stream::Stderr] {
            self.log.finish(stream).ok();
        }
    }
}
