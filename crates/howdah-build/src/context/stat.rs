//! What tells whether a file or directory has changed since it was read.
//!
//! The rule is git's (Documentation/technical/racy-git.txt): a file whose times are not older than the moment it was read may
//! change once more without its times moving, so it is not remembered and read again the next time.

use std::time::{Duration, SystemTime};

use crate::tree::Inode;

/// Twice the longest kernel tick (10 ms at 100 Hz), by which file times may lag behind the clock.
const TICK: Duration = Duration::from_millis(20);
/// FAT keeps times in steps of two seconds; filesystems that cut off the nanoseconds are taken for as coarse.
const COARSE: Duration = Duration::from_secs(2);
/// The length of a [`Stat`] as bytes: eight numbers of eight bytes.
pub(super) const BYTES: usize = 64;

/// What is compared to find out whether a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) mtime: (i64, i64),
    pub(super) ctime: (i64, i64),
    pub(super) mode: u32,
}

impl Stat {
    pub(crate) fn new(inode: &Inode) -> Stat {
        Stat {
            device: inode.device,
            inode: inode.number,
            size: inode.size,
            mtime: inode.mtime,
            ctime: inode.ctime,
            mode: inode.mode,
        }
    }

    /// Whether a change right after `read` might not show.
    pub(super) fn is_racy(&self, read: SystemTime) -> bool {
        let coarse = self.mtime.1 == 0 && self.ctime.1 == 0;
        let settled = read - if coarse { COARSE } else { TICK };
        let settled = settled
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let limit = (
            settled.as_secs().cast_signed(),
            i64::from(settled.subsec_nanos()),
        );
        self.mtime >= limit || self.ctime >= limit
    }

    /// Its fields as little-endian numbers.
    pub(super) fn to_bytes(self) -> [u8; BYTES] {
        let fields = [
            self.device,
            self.inode,
            self.size,
            self.mtime.0.cast_unsigned(),
            self.mtime.1.cast_unsigned(),
            self.ctime.0.cast_unsigned(),
            self.ctime.1.cast_unsigned(),
            u64::from(self.mode),
        ];
        let mut bytes = [0; BYTES];
        for (place, field) in bytes.chunks_exact_mut(size_of::<u64>()).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: [u8; BYTES]) -> Stat {
        let mut fields = [0; 8];
        for (field, place) in fields.iter_mut().zip(bytes.as_chunks().0) {
            *field = u64::from_le_bytes(*place);
        }
        let [
            device,
            inode,
            size,
            mtime,
            mtime_nanoseconds,
            ctime,
            ctime_nanoseconds,
            mode,
        ] = fields;
        Stat {
            device,
            inode,
            size,
            mtime: (mtime.cast_signed(), mtime_nanoseconds.cast_signed()),
            ctime: (ctime.cast_signed(), ctime_nanoseconds.cast_signed()),
            mode: u32::try_from(mode).unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(seconds: i64, nanoseconds: i64) -> Stat {
        Stat {
            device: 1,
            inode: 2,
            size: 3,
            mtime: (seconds, nanoseconds),
            ctime: (seconds, nanoseconds),
            mode: 0o644,
        }
    }

    #[test]
    fn it_reads_back() {
        assert_eq!(Stat::from_bytes(stat(-5, 7).to_bytes()), stat(-5, 7));
    }

    #[test]
    fn files_that_may_still_change_unseen_are_not_remembered() {
        let read = SystemTime::UNIX_EPOCH + Duration::from_millis(10_500);
        let is_racy = |stat: Stat| stat.is_racy(read);
        assert!(is_racy(stat(10, 490_000_000)));
        assert!(is_racy(stat(11, 0)));
        assert!(!is_racy(stat(10, 470_000_000)));
        // No nanoseconds: a coarse filesystem.
        assert!(is_racy(stat(9, 0)));
        assert!(!is_racy(stat(8, 0)));
    }
}
