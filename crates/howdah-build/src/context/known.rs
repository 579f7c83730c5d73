//! The stat cache: what the last scan of a context found. A directory that has not changed since has the same names in it and is
//! not read again; a file that has not changed has the same content. Of both, changes are told by [`Stat`].

use std::borrow::Cow;
use std::time::SystemTime;

use howdah_solver::Key;
use rustix::fs::FileType;

use super::stat::{self, Stat};

/// Another number, another format: old caches are read as empty.
const FORMAT: u8 = 3;
/// Beside the type of a name: its stat and digest follow.
const READ: u8 = 0x80;

/// One context as it was. It stays the blob that the database keeps, because a scan looks at each part of it just once.
///
/// The format byte, then the top directory. A directory is a byte that is 1 if its [`Stat`] follows, and its names in order.
/// A name is a byte with its type (the upper bits of its mode) and [`READ`], its length (`u16`), its bytes; then, of a directory,
/// the length (`u32`) of what is in it and that; of a file that was read its [`Stat`] and its digest. Numbers are little-endian.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StatCache {
    bytes: Vec<u8>,
}

impl StatCache {
    /// One blob.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes a blob back.
    pub(crate) fn from_bytes(bytes: &[u8]) -> StatCache {
        StatCache {
            bytes: bytes.to_vec(),
        }
    }

    /// The directory that was scanned, unless nothing is known.
    pub(super) fn top(&self) -> Option<Directory<'_>> {
        let (&FORMAT, rest) = self.bytes.split_first()? else {
            return None;
        };
        Directory::read(rest)
    }
}

/// A directory as it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Directory<'a> {
    /// None if it may have changed unseen.
    pub(super) stat: Option<Stat>,
    names: &'a [u8],
}

/// A name in a directory, and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Child<'a> {
    pub(super) name: Cow<'a, [u8]>,
    pub(super) file_type: FileType,
    pub(super) known: Known<'a>,
}

/// What is known behind a name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Known<'a> {
    Nothing,
    File { stat: Stat, digest: Key },
    Directory(Directory<'a>),
}

impl<'a> Directory<'a> {
    /// Its names in order; none if the cache is damaged.
    pub(super) fn names(&self) -> Option<Vec<Child<'a>>> {
        let mut rest = self.names;
        let mut names = Vec::new();
        while !rest.is_empty() {
            names.push(Child::read(&mut rest)?);
        }
        Some(names)
    }

    fn read(mut rest: &'a [u8]) -> Option<Directory<'a>> {
        let stat = match rest.split_off_first()? {
            0 => None,
            _ => Some(Stat::from_bytes(take(&mut rest)?)),
        };
        Some(Directory { stat, names: rest })
    }
}

impl<'a> Child<'a> {
    fn read(rest: &mut &'a [u8]) -> Option<Child<'a>> {
        let kind = *rest.split_off_first()?;
        let file_type = FileType::from_raw_mode(u32::from(kind & !READ) << 12);
        let length = u16::from_le_bytes(take(rest)?);
        let name = rest.split_off(..usize::from(length))?.into();
        let known = if file_type == FileType::Directory {
            let length = usize::try_from(u32::from_le_bytes(take(rest)?)).ok()?;
            Known::Directory(Directory::read(rest.split_off(..length)?)?)
        } else if kind & READ != 0 {
            Known::File {
                stat: Stat::from_bytes(take::<{ stat::BYTES }>(rest)?),
                digest: Key::from(take::<32>(rest)?),
            }
        } else {
            Known::Nothing
        };
        Some(Child {
            name,
            file_type,
            known,
        })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    rest.split_off(..N)?.try_into().ok()
}

/// Writes a [`StatCache`] of what was found by a scan that began at a certain time.
#[derive(Debug)]
pub(super) struct Recorder {
    bytes: Vec<u8>,
    began: SystemTime,
}

impl Recorder {
    pub(super) fn new(began: SystemTime) -> Recorder {
        Recorder {
            bytes: vec![FORMAT],
            began,
        }
    }

    /// Begins a directory; its names come next, in order. Without a stat, or with one that may still change unseen, it will be
    /// read again.
    pub(super) fn directory(&mut self, stat: Option<Stat>) {
        let stat = stat.filter(|stat| !stat.is_racy(self.began));
        self.bytes.push(u8::from(stat.is_some()));
        self.bytes.extend(stat.into_iter().flat_map(Stat::to_bytes));
    }

    /// Adds a file that was read, or anything else that is no directory.
    pub(super) fn name(&mut self, name: &[u8], file_type: FileType, read: Option<(Stat, Key)>) {
        let read = read.filter(|(stat, _)| !stat.is_racy(self.began));
        let flag = if read.is_some() { READ } else { 0 };
        self.begin(name, file_type, flag);
        if let Some((stat, digest)) = read {
            self.bytes.extend(stat.to_bytes());
            self.bytes.extend(digest.as_bytes());
        }
    }

    /// Adds a directory, which `inside` records.
    pub(super) fn subdirectory(&mut self, name: &[u8], inside: impl FnOnce(&mut Recorder)) {
        self.begin(name, FileType::Directory, 0);
        let start = self.bytes.len() + size_of::<u32>();
        self.bytes.extend([0; size_of::<u32>()]);
        inside(self);
        // A context of 4 GiB of names would be read as damaged, and so scanned anew each time.
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.bytes[start - size_of::<u32>()..start].copy_from_slice(&length.to_le_bytes());
    }

    fn begin(&mut self, name: &[u8], file_type: FileType, flag: u8) {
        // The type is in the upper four of sixteen bits (inode(7)); a name has at most 255 bytes.
        let kind = u8::try_from(file_type.as_raw_mode() >> 12).unwrap_or(0);
        let length = u16::try_from(name.len()).unwrap_or(0);
        self.bytes.push(kind | flag);
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend(&name[..usize::from(length)]);
    }

    pub(super) fn finish(self) -> StatCache {
        StatCache { bytes: self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn stat(seconds: i64) -> Stat {
        Stat {
            device: 1,
            inode: 2,
            size: 3,
            mtime: (seconds, 1),
            ctime: (seconds, 1),
            mode: 0o644,
        }
    }

    fn cache() -> StatCache {
        let mut recorder = Recorder::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1000));
        let digest = Key::of(b"content");
        recorder.directory(Some(stat(1)));
        recorder.subdirectory(b"app", |recorder| {
            recorder.directory(Some(stat(2)));
            recorder.name(b"a.php", FileType::RegularFile, Some((stat(3), digest)));
            recorder.name(b"fresh", FileType::RegularFile, Some((stat(1000), digest)));
        });
        recorder.subdirectory(b"fresh", |recorder| recorder.directory(Some(stat(1000))));
        recorder.name(b"link", FileType::Symlink, None);
        recorder.finish()
    }

    fn names(directory: Directory<'_>) -> Vec<(String, FileType)> {
        let names = directory.names().unwrap().into_iter();
        names
            .map(|name| {
                (
                    String::from_utf8_lossy(&name.name).into_owned(),
                    name.file_type,
                )
            })
            .collect()
    }

    #[test]
    fn a_blob_reads_back() {
        let cache = StatCache::from_bytes(cache().as_bytes());
        let top = cache.top().unwrap();
        assert_eq!(top.stat, Some(stat(1)));
        let expected = [
            ("app".to_owned(), FileType::Directory),
            ("fresh".to_owned(), FileType::Directory),
            ("link".to_owned(), FileType::Symlink),
        ];
        assert_eq!(names(top), expected);
        let Known::Directory(app) = top.names().unwrap()[0].known else {
            panic!("no directory");
        };
        assert_eq!(app.stat, Some(stat(2)));
        let digest = Key::of(b"content");
        let file = Known::File {
            stat: stat(3),
            digest,
        };
        assert_eq!(app.names().unwrap()[0].known, file);
    }

    #[test]
    fn what_may_still_change_unseen_is_only_a_name() {
        let cache = cache();
        let names = cache.top().unwrap().names().unwrap();
        let Known::Directory(app) = names[0].known else {
            panic!("no directory");
        };
        assert_eq!(app.names().unwrap()[1].known, Known::Nothing);
        let Known::Directory(fresh) = names[1].known else {
            panic!("no directory");
        };
        assert_eq!(fresh.stat, None);
    }

    #[test]
    fn a_damaged_blob_is_no_danger() {
        fn visit(directory: Directory<'_>) {
            for name in directory.names().unwrap_or_default() {
                if let Known::Directory(directory) = name.known {
                    visit(directory);
                }
            }
        }
        let bytes = cache().as_bytes().to_vec();
        for length in 0..bytes.len() {
            StatCache::from_bytes(&bytes[..length]).top().map(visit);
            let mut changed = bytes.clone();
            changed[length] ^= 0xff;
            StatCache::from_bytes(&changed).top().map(visit);
        }
        assert_eq!(StatCache::from_bytes(&[9]).top(), None);
        assert_eq!(StatCache::default().top(), None);
    }
}
