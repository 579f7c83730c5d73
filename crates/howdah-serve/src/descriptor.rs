//! Descriptors of the kernel: those that tokio has no type for, and how many there are.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Resource, getrlimit};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor that tasks can wait for.
#[expect(
    deprecated,
    reason = "the new constructor is unsafe for types whose descriptor may change; that of an `OwnedFd` does not, and it is open"
)]
pub(crate) fn watched(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}

/// How many connections there can be at a time, at most `most`, so that descriptors are left for files and PHP's processes
/// (`RLIMIT_NOFILE`, getrlimit(2)). What is open at the moment stays open.
pub(crate) fn connections(most: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    // Without /proc nothing is known, and little is open when a server begins.
    let open = fs_err::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    share(limit, open).min(most)
}

/// A response may need a file, or a connection of its own to PHP-FPM, but few do so at the same moment.
fn share(limit: usize, open: usize) -> usize {
    let free = limit.saturating_sub(open);
    (free - free / 4).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_a_quarter() {
        for (limit, open, expected) in [(64, 20, 33), (1024, 24, 750), (20, 20, 1), (10, 20, 1)] {
            assert_eq!(share(limit, open), expected, "{limit} {open}");
        }
        assert_eq!(connections(3), 3);
    }
}
