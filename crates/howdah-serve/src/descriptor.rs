//! Descriptors of the kernel that tokio has no type for.

use std::io;
use std::os::fd::OwnedFd;

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
