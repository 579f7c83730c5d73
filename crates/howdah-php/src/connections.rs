//! Connections that the boot of an application left open. Forked children would share them, and talk across each other.

use std::collections::BTreeSet;
use std::os::fd::{BorrowedFd, RawFd};

use rustix::fs::{Dir, Mode, OFlags, open};
use rustix::net::{SocketAddrAny, SocketAddrUnix, getpeername};

/// The descriptors of this process.
pub(crate) fn descriptors() -> BTreeSet<RawFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(listing) = open("/proc/self/fd", flags, Mode::empty()).and_then(Dir::new) else {
        return BTreeSet::new();
    };
    listing
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str().ok()?.parse().ok())
        .collect()
}

/// Whom the sockets lead to that are connected now and were not open `before`.
pub(crate) fn opened_since(before: &BTreeSet<RawFd>) -> Vec<String> {
    descriptors()
        .difference(before)
        .filter_map(|descriptor| peer(*descriptor))
        .collect()
}

fn peer(descriptor: RawFd) -> Option<String> {
    // SAFETY: the process has one thread and closes nothing here, so what was just listed is open; the listing's own descriptor
    // is closed, which getpeername(2) answers with an error.
    let socket = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let address = getpeername(socket).ok()??;
    Some(name(&address))
}

fn name(address: &SocketAddrAny) -> String {
    if let Ok(address) = std::net::SocketAddr::try_from(address.clone()) {
        return address.to_string();
    }
    SocketAddrUnix::try_from(address.clone())
        .ok()
        .and_then(|address| Some(address.path()?.to_string_lossy().into_owned()))
        .unwrap_or_else(|| "a socket without a name".to_owned())
}
