//! The stat cache: which files were read before and have not changed since.
//!
//! The rule is git's (Documentation/technical/racy-git.txt): a file whose times are not older than the moment it was read may
//! change once more without its times moving, so it is not remembered and read again the next time.

use std::time::{Duration, SystemTime};

use howdah_solver::Key;

use crate::tree::{Inode, TreePath};

/// Twice the longest kernel tick (10 ms at 100 Hz), by which file times may lag behind the clock.
const TICK: Duration = Duration::from_millis(20);
/// FAT keeps times in steps of two seconds; filesystems that cut off the nanoseconds are taken for as coarse.
const COARSE: Duration = Duration::from_secs(2);
/// Another number, another format: old caches are read as empty.
const FORMAT: u8 = 2;

/// What is compared to find out whether a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    device: u64,
    inode: u64,
    size: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
    mode: u32,
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
    fn is_racy(&self, read: SystemTime) -> bool {
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

    fn fields(&self) -> [u64; 8] {
        [
            self.device,
            self.inode,
            self.size,
            self.mtime.0.cast_unsigned(),
            self.mtime.1.cast_unsigned(),
            self.ctime.0.cast_unsigned(),
            self.ctime.1.cast_unsigned(),
            u64::from(self.mode),
        ]
    }

    fn from_fields(fields: [u64; 8]) -> Stat {
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

/// The files of one context that were read, in the order of [`crate::tree::compare`]. It stays the blob that the database
/// keeps, because a build of many files looks at each of them just once.
///
/// The format byte, the number of files (`u32`), then for each file: how many bytes of its path are those of the file
/// before, how many follow (`u16` each), those bytes, the fields of its [`Stat`] (`u64` each), its digest (32 bytes).
/// Numbers are little-endian.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StatCache {
    bytes: Vec<u8>,
}

const HEADER: usize = 1 + size_of::<u32>();

impl Default for StatCache {
    fn default() -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[0] = FORMAT;
        Self { bytes }
    }
}

impl StatCache {
    /// Looks up paths that come in the cache's own order: one pass over both.
    pub(crate) fn cursor(&self) -> Cursor<'_> {
        let mut cursor = Cursor {
            rest: self.bytes.get(HEADER..).unwrap_or_default(),
            path: TreePath::new(),
            file: None,
        };
        cursor.advance();
        cursor
    }

    /// How many files are remembered.
    pub(crate) fn len(&self) -> u32 {
        let mut count = &self.bytes[1..HEADER];
        take(&mut count).map_or(0, u32::from_le_bytes)
    }

    /// One blob.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes a blob back. Anything unexpected in it ends the reading: a file too few is only read again.
    pub(crate) fn from_bytes(bytes: &[u8]) -> StatCache {
        if bytes.len() < HEADER || bytes[0] != FORMAT {
            return StatCache::default();
        }
        StatCache {
            bytes: bytes.to_vec(),
        }
    }
}

/// Writes a [`StatCache`].
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    cache: StatCache,
    /// The path that was written last.
    last: TreePath,
}

impl Recorder {
    /// Adds a file that was read at `read`, unless it may still change unseen. Files come in order.
    pub(crate) fn remember(&mut self, path: &[u8], stat: Stat, digest: Key, read: SystemTime) {
        if stat.is_racy(read) {
            return;
        }
        let equal = |(left, right): &(&u8, &u8)| left == right;
        let shared = self.last.iter().zip(path).take_while(equal).count();
        let shared = shared.min(usize::from(u16::MAX));
        let (Ok(prefix), Ok(suffix)) = (u16::try_from(shared), u16::try_from(path.len() - shared))
        else {
            return;
        };
        let bytes = &mut self.cache.bytes;
        bytes.extend(prefix.to_le_bytes());
        bytes.extend(suffix.to_le_bytes());
        bytes.extend(&path[shared..]);
        for field in stat.fields() {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(digest.as_bytes());
        self.last.truncate(shared);
        self.last.extend(&path[shared..]);
        let count = self.cache.len() + 1;
        self.cache.bytes[1..HEADER].copy_from_slice(&count.to_le_bytes());
    }

    pub(crate) fn finish(self) -> StatCache {
        self.cache
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    rest.split_off(..N)?.try_into().ok()
}

/// A place in a [`StatCache`].
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    path: TreePath,
    /// The file at [`Cursor::path`]; `None` at the end.
    file: Option<(Stat, Key)>,
}

impl Cursor<'_> {
    /// The digest of a file if it has not changed. Paths must be asked for in order.
    pub(crate) fn find(&mut self, path: &[u8], stat: &Stat) -> Option<Key> {
        while let Some((known, digest)) = &self.file {
            match crate::tree::compare(&self.path, path) {
                std::cmp::Ordering::Less => self.advance(),
                std::cmp::Ordering::Equal => return (known == stat).then_some(*digest),
                std::cmp::Ordering::Greater => return None,
            }
        }
        None
    }

    fn advance(&mut self) {
        self.file = self.read();
    }

    fn read(&mut self) -> Option<(Stat, Key)> {
        let prefix = usize::from(u16::from_le_bytes(take(&mut self.rest)?));
        let suffix = usize::from(u16::from_le_bytes(take(&mut self.rest)?));
        if prefix > self.path.len() {
            return None;
        }
        self.path.truncate(prefix);
        self.path.extend(self.rest.split_off(..suffix)?);
        let mut fields = [0; 8];
        for field in &mut fields {
            *field = u64::from_le_bytes(take(&mut self.rest)?);
        }
        let digest = Key::from(take::<32>(&mut self.rest)?);
        Some((Stat::from_fields(fields), digest))
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
    fn a_blob_reads_back() {
        let mut cache = Recorder::default();
        let read = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        for path in ["app/a.php", "app/b/c", "app/b.php", "z"] {
            cache.remember(path.as_bytes(), stat(-5, 7), Key::of(path.as_bytes()), read);
        }
        let read_back = StatCache::from_bytes(cache.finish().as_bytes());
        let mut cursor = read_back.cursor();
        for path in ["app/a.php", "app/b/c", "app/b.php", "z"] {
            let digest = cursor.find(path.as_bytes(), &stat(-5, 7));
            assert_eq!(digest, Some(Key::of(path.as_bytes())));
        }
        assert_eq!(read_back.len(), 4);
    }

    #[test]
    fn a_damaged_blob_is_no_danger() {
        let mut cache = Recorder::default();
        cache.remember(b"a/b", stat(1, 1), Key::of(b""), SystemTime::now());
        let find = |bytes: &[u8]| {
            StatCache::from_bytes(bytes)
                .cursor()
                .find(b"a/b", &stat(1, 1))
        };
        let cache = cache.finish();
        let bytes = cache.as_bytes();
        assert!(find(bytes).is_some());
        for length in 0..bytes.len() {
            assert_eq!(find(&bytes[..length]), None);
        }
        assert_eq!(find(&[FORMAT, 1, 0, 0, 0, 255, 255, 1, 0, b'x']), None);
        assert_eq!(find(&[9]), None);
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

    #[test]
    fn any_difference_in_the_stat_is_a_change() {
        let mut cache = Recorder::default();
        cache.remember(b"a", stat(1, 1), Key::of(b"a"), SystemTime::now());
        cache.remember(b"b", stat(1, 1), Key::of(b"b"), SystemTime::now());
        let cache = cache.finish();
        assert_eq!(cache.cursor().find(b"b", &stat(1, 1)), Some(Key::of(b"b")));
        assert_eq!(
            cache.cursor().find(
                b"a",
                &Stat {
                    inode: 9,
                    ..stat(1, 1)
                }
            ),
            None
        );
        assert_eq!(
            cache.cursor().find(
                b"a",
                &Stat {
                    ctime: (1, 2),
                    ..stat(1, 1)
                }
            ),
            None
        );
        assert_eq!(cache.cursor().find(b"aa", &stat(1, 1)), None);
    }
}
