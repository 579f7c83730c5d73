//! The tar format: POSIX pax (`pax(1)`) with GNU's long names and sparse files, as Go's `archive/tar` reads and writes it.
//!
//! Own code because layers need what general crates lack: binary extended attributes, limits on extension records,
//! and bytes that are the same everywhere.

mod header;
mod pax;
mod read;
mod sparse;
mod write;

pub(crate) use read::{Entries, Entry};
pub(crate) use write::Writer;

use std::io;

pub(crate) const BLOCK: usize = 512;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    HardLink,
    Symlink,
    CharacterDevice,
    BlockDevice,
    Directory,
    Fifo,
}

/// An entry without its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// As written: may be absolute, may have `..`. A directory's slash is removed.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    /// The target of a link; empty otherwise.
    pub(crate) link: Vec<u8>,
    /// Permission bits with set-user-id, set-group-id and sticky.
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    /// Seconds and nanoseconds since 1970.
    pub(crate) mtime: (i64, u32),
    /// Major and minor number of a device.
    pub(crate) device: (u32, u32),
    /// Bytes of the file, holes included.
    pub(crate) size: u64,
    /// Extended attributes, sorted by name when read by [`Entries`].
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A tar that breaks the format or a limit.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TarError {
    #[error("the archive cannot be read")]
    Read { source: io::Error },
    #[error("the archive ends in the middle of an entry")]
    Truncated,
    #[error(
        "the checksum of the entry at byte {0} is wrong: this is not a tar archive or it is damaged"
    )]
    Checksum(u64),
    #[error("entry `{path}` has {what}")]
    Malformed { path: String, what: &'static str },
    #[error("entry `{path}` has the unknown type {kind:?}")]
    UnknownKind { path: String, kind: char },
    #[error("the archive is larger than the limit of {0} bytes")]
    TooLarge(u64),
}

impl TarError {
    pub(crate) fn malformed(path: &[u8], what: &'static str) -> Self {
        Self::Malformed {
            path: String::from_utf8_lossy(path).into_owned(),
            what,
        }
    }
}

#[cfg(test)]
mod tests;
