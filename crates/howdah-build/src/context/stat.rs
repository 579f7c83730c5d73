//! The stat cache: which files were read before and have not changed since.
//!
//! The rule is git's (Documentation/technical/racy-git.txt): a file whose times are not older than the moment it was read may
//! change once more without its times moving, so it is not remembered and read again the next time.

use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, SystemTime};

use howdah_solver::Key;

use crate::tree::TreePath;

/// Twice the longest kernel tick (10 ms at 100 Hz), by which file times may lag behind the clock.
const TICK: Duration = Duration::from_millis(20);
/// FAT keeps times in steps of two seconds; filesystems that cut off the nanoseconds are taken for as coarse.
const COARSE: Duration = Duration::from_secs(2);
/// Another number, another format: old caches are read as empty.
const FORMAT: u8 = 1;

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
    pub(crate) fn new(metadata: &std::fs::Metadata) -> Stat {
        Stat {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            ctime: (metadata.ctime(), metadata.ctime_nsec()),
            mode: metadata.mode(),
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

/// The files of one context that were read, in the order of [`crate::tree::compare`].
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StatCache {
    files: Vec<(TreePath, Stat, Key)>,
}

impl StatCache {
    /// Looks up paths that come in the cache's own order: one pass over both.
    pub(crate) fn cursor(&self) -> Cursor<'_> {
        Cursor { rest: &self.files }
    }

    /// Adds a file that was read at `read`, unless it may still change unseen. Files come in order.
    pub(crate) fn remember(&mut self, path: &[u8], stat: Stat, digest: Key, read: SystemTime) {
        if !stat.is_racy(read) {
            self.files.push((path.to_vec(), stat, digest));
        }
    }

    /// How many files are remembered.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// One blob; a path shares its beginning with the one before.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        let mut previous: &[u8] = &[];
        for (path, stat, digest) in &self.files {
            let limit = usize::from(u16::MAX);
            let shared = previous
                .iter()
                .zip(path)
                .take_while(|(left, right)| left == right)
                .count()
                .min(limit);
            let (Ok(prefix), Ok(suffix)) =
                (u16::try_from(shared), u16::try_from(path.len() - shared))
            else {
                continue;
            };
            bytes.extend(prefix.to_le_bytes());
            bytes.extend(suffix.to_le_bytes());
            bytes.extend(&path[shared..]);
            stat.fields()
                .iter()
                .for_each(|field| bytes.extend(field.to_le_bytes()));
            bytes.extend(digest.as_bytes());
            previous = path;
        }
        bytes
    }

    /// Reads a blob back. Anything unexpected in it ends the reading: a file too few is only read again.
    pub(crate) fn from_bytes(bytes: &[u8]) -> StatCache {
        let mut cache = StatCache::default();
        let Some((&FORMAT, mut rest)) = bytes.split_first() else {
            return cache;
        };
        let mut path = TreePath::new();
        while let Some(file) = read_file(&mut rest, &mut path) {
            cache.files.push(file);
        }
        cache
    }
}

fn read_file(rest: &mut &[u8], path: &mut TreePath) -> Option<(TreePath, Stat, Key)> {
    let prefix = usize::from(u16::from_le_bytes(take(rest)?));
    let suffix = usize::from(u16::from_le_bytes(take(rest)?));
    if prefix > path.len() {
        return None;
    }
    path.truncate(prefix);
    path.extend(rest.split_off(..suffix)?);
    let mut fields = [0; 8];
    for field in &mut fields {
        *field = u64::from_le_bytes(take(rest)?);
    }
    Some((
        path.clone(),
        Stat::from_fields(fields),
        Key::from(take::<32>(rest)?),
    ))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    rest.split_off(..N)?.try_into().ok()
}

/// A place in a [`StatCache`].
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [(TreePath, Stat, Key)],
}

impl Cursor<'_> {
    /// The digest of a file if it has not changed. Paths must be asked for in order.
    pub(crate) fn find(&mut self, path: &[u8], stat: &Stat) -> Option<Key> {
        while let Some(((known, known_stat, digest), rest)) = self.rest.split_first() {
            match crate::tree::compare(known, path) {
                std::cmp::Ordering::Less => self.rest = rest,
                std::cmp::Ordering::Equal => return (known_stat == stat).then_some(*digest),
                std::cmp::Ordering::Greater => return None,
            }
        }
        None
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
        let mut cache = StatCache::default();
        let read = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        for path in ["app/a.php", "app/b.php", "app/b/c", "z"] {
            cache.remember(path.as_bytes(), stat(-5, 7), Key::of(path.as_bytes()), read);
        }
        assert_eq!(StatCache::from_bytes(&cache.to_bytes()), cache);
        assert_eq!(cache.len(), 4);
    }

    #[test]
    fn a_damaged_blob_is_no_danger() {
        let mut cache = StatCache::default();
        cache.remember(b"a/b", stat(1, 1), Key::of(b""), SystemTime::now());
        let bytes = cache.to_bytes();
        for length in 0..bytes.len() {
            assert_eq!(StatCache::from_bytes(&bytes[..length]).len(), 0);
        }
        assert_eq!(StatCache::from_bytes(&[1, 255, 255, 1, 0, b'x']).len(), 0);
        assert_eq!(StatCache::from_bytes(&[9]).len(), 0);
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
        let mut cache = StatCache::default();
        cache.remember(b"a", stat(1, 1), Key::of(b"a"), SystemTime::now());
        cache.remember(b"b", stat(1, 1), Key::of(b"b"), SystemTime::now());
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
