//! Our own standard output and error, written without ever waiting for a slow reader.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};

/// What may wait to be written before the programs are no longer read.
const FULL: usize = 256 * 1024;
/// pipe(7): with room for this much announced, a write of this much does not block.
const PIPE_BUF: usize = 4096;

/// One stream with what waits to be written to it.
#[derive(Debug)]
pub(crate) struct Outlet {
    file: File,
    /// The descriptor is ours alone and never blocks.
    nonblocking: bool,
    waiting: Vec<u8>,
    /// The reader is gone: everything is discarded, so that the programs go on.
    broken: bool,
}

impl Outlet {
    /// An outlet to what `descriptor` refers to.
    ///
    /// `O_NONBLOCK` belongs to the open file description (fcntl(2)), which we share with whoever gave it to us. So a pipe or a
    /// terminal is opened anew; where that is refused, each write is announced by poll(2) and small enough not to block.
    pub(crate) fn new(descriptor: BorrowedFd<'_>) -> io::Result<Self> {
        let kind = FileType::from_raw_mode(fstat(descriptor)?.st_mode);
        let reopened = match kind {
            FileType::Fifo | FileType::CharacterDevice => reopen(descriptor).ok(),
            _ => None,
        };
        let nonblocking = reopened.is_some();
        let owned = reopened.map_or_else(|| descriptor.try_clone_to_owned(), Ok)?;
        Ok(Self {
            file: File::from(owned),
            nonblocking,
            waiting: Vec::new(),
            broken: false,
        })
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if !self.broken {
            self.waiting.extend_from_slice(bytes);
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= FULL
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Writes what can be written now.
    pub(crate) fn flush(&mut self) {
        let mut written = 0;
        while written < self.waiting.len() {
            let rest = &self.waiting[written..];
            let chunk = if self.nonblocking {
                rest
            } else {
                &rest[..rest.len().min(PIPE_BUF)]
            };
            if !self.nonblocking && !is_writable(self.file.as_fd(), PollTimeout::ZERO) {
                break;
            }
            match self.file.write(chunk) {
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.broken = true;
                    written = self.waiting.len();
                }
            }
        }
        self.waiting.drain(..written);
    }

    /// Writes everything, for at most `limit`: the last act, which a reader who has stopped reading may not prevent.
    pub(crate) fn finish(&mut self, limit: Duration) {
        let end = Instant::now() + limit;
        loop {
            self.flush();
            let left = end.saturating_duration_since(Instant::now());
            if self.waiting.is_empty() || left.is_zero() {
                return;
            }
            is_writable(
                self.file.as_fd(),
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX),
            );
        }
    }
}

impl AsFd for Outlet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn reopen(descriptor: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    use std::os::fd::AsRawFd as _;
    let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    open(
        path,
        OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn is_writable(descriptor: BorrowedFd<'_>, timeout: PollTimeout) -> bool {
    poll(&mut [PollFd::new(descriptor, PollFlags::POLLOUT)], timeout).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_reader_who_does_not_read_never_blocks_us() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut outlet = Outlet::new(writer.as_fd()).unwrap();
        drop(writer);
        let sent: Vec<u8> = (0..300_000_u32)
            .map(|number| number.to_le_bytes()[0])
            .collect();
        outlet.push(&sent);
        outlet.flush();
        assert!(outlet.is_waiting());
        let mut received = vec![0; sent.len()];
        let mut read = 0;
        while read < sent.len() {
            read += reader.read(&mut received[read..]).unwrap();
            outlet.flush();
        }
        assert!(received == sent && !outlet.is_waiting());
    }

    #[test]
    fn without_a_reader_everything_is_discarded() {
        let (reader, writer) = io::pipe().unwrap();
        let mut outlet = Outlet::new(writer.as_fd()).unwrap();
        drop(reader);
        outlet.push(b"lost\n");
        outlet.finish(Duration::from_mins(1));
        outlet.push(&vec![0; FULL]);
        assert!(!outlet.is_waiting() && !outlet.is_full());
    }
}
