//! A tree of files seen without mounting it: the build context, or the merged layers of a root filesystem.

use std::cmp::Ordering;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use howdah_solver::Key;

/// Linux gives up after 40 symbolic links (`path_resolution(7)`).
const MAXIMUM_LINKS: usize = 40;

/// A path below a tree's root: components joined by `/`, without a leading or trailing one; the root is empty. Bytes,
/// because file names need not be UTF-8.
pub(crate) type TreePath = Vec<u8>;

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File,
    Symlink(Vec<u8>),
    /// A FIFO or a device: the file type bits of its mode, and its device number.
    Special {
        file_type: u32,
        device: u64,
    },
}

/// One file of a tree.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) path: TreePath,
    pub(crate) kind: Kind,
    /// Permission bits, set-user-id, set-group-id and sticky bit.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    /// Never in a key.
    pub(crate) mtime: (i64, u32),
    /// The directory of the host below which it has the same path: the context, or the layer that holds it.
    pub(crate) origin: Arc<Path>,
    /// Content and extended attributes of a regular file, once they were read.
    pub(crate) digest: Option<Key>,
}

impl Entry {
    pub(crate) fn is_directory(&self) -> bool {
        self.kind == Kind::Directory
    }

    /// Where it really is.
    pub(crate) fn real(&self) -> PathBuf {
        self.origin.join(as_path(&self.path))
    }
}

/// What an inode says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inode {
    /// File type and permission bits.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Bytes.
    pub(crate) size: u64,
    /// Seconds and nanoseconds.
    pub(crate) mtime: (i64, i64),
    /// Seconds and nanoseconds.
    pub(crate) ctime: (i64, i64),
    /// The filesystem it is on.
    pub(crate) device: u64,
    pub(crate) number: u64,
    /// Which device it is, of a device node.
    pub(crate) special: u64,
}

impl From<&std::fs::Metadata> for Inode {
    fn from(metadata: &std::fs::Metadata) -> Inode {
        Inode {
            mode: metadata.mode(),
            uid: metadata.uid(),
            gid: metadata.gid(),
            size: metadata.size(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            ctime: (metadata.ctime(), metadata.ctime_nsec()),
            device: metadata.dev(),
            number: metadata.ino(),
            special: metadata.rdev(),
        }
    }
}

impl From<&rustix::fs::Statx> for Inode {
    fn from(stat: &rustix::fs::Statx) -> Inode {
        let time = |time: rustix::fs::StatxTimestamp| (time.tv_sec, i64::from(time.tv_nsec));
        Inode {
            mode: u32::from(stat.stx_mode),
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            size: stat.stx_size,
            mtime: time(stat.stx_mtime),
            ctime: time(stat.stx_ctime),
            device: rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
            number: stat.stx_ino,
            special: rustix::fs::makedev(stat.stx_rdev_major, stat.stx_rdev_minor),
        }
    }
}

/// A tree that can be asked for its files. Its two kinds are [`crate::context::Scan`] and [`crate::view::View`].
pub(crate) trait Tree {
    /// The file at a path that has no symbolic link before its last component.
    fn entry(&self, path: &[u8]) -> io::Result<Option<Entry>>;

    /// The names in a directory, sorted.
    fn names(&self, directory: &[u8]) -> io::Result<Vec<Vec<u8>>>;

    /// Everything below a directory, parents first, in the order of [`compare`].
    fn below(&self, directory: &[u8]) -> io::Result<Vec<Entry>>;

    /// Whether it is a directory of the host, of which a step sees only what one of its sources matches as a whole.
    fn is_context(&self) -> bool;
}

/// The order in which a directory's tree is one run: `/` sorts before every other byte.
pub(crate) fn compare(left: &[u8], right: &[u8]) -> Ordering {
    let common = left
        .iter()
        .zip(right)
        .position(|(left, right)| left != right);
    let rank = |byte: u8| if byte == b'/' { 0 } else { u16::from(byte) + 1 };
    match common {
        Some(index) => rank(left[index]).cmp(&rank(right[index])),
        None => left.len().cmp(&right.len()),
    }
}

/// The components of a path as a user writes it; `.` and doubled slashes mean nothing.
pub(crate) fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
}

/// A path without `.`, `..` and doubled slashes; `..` at the root stays at the root.
pub(crate) fn clean(path: &[u8]) -> TreePath {
    let mut result: Vec<&[u8]> = Vec::new();
    for name in components(path) {
        if name == b".." {
            result.pop();
        } else {
            result.push(name);
        }
    }
    result.join(&b'/')
}

/// `directory/name`.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> TreePath {
    if directory.is_empty() {
        return name.to_vec();
    }
    [directory, name].join(&b'/')
}

/// The directory that holds a path, and its last component; `None` for the root.
pub(crate) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.is_empty() {
        return None;
    }
    Some(match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    })
}

/// Follows every symbolic link of `path` inside the tree, as if its root were `/`. Components that do not exist are kept
/// as they are written.
pub(crate) fn resolve(tree: &dyn Tree, path: &[u8]) -> io::Result<TreePath> {
    let mut pending: Vec<Vec<u8>> = components(path).map(<[u8]>::to_vec).rev().collect();
    let mut resolved = TreePath::new();
    let mut links = 0;
    while let Some(name) = pending.pop() {
        if name == b".." {
            resolved = split(&resolved)
                .map(|(parent, _)| parent.to_vec())
                .unwrap_or_default();
            continue;
        }
        let candidate = join(&resolved, &name);
        let Some(Kind::Symlink(target)) = tree.entry(&candidate)?.map(|entry| entry.kind) else {
            resolved = candidate;
            continue;
        };
        links += 1;
        if links > MAXIMUM_LINKS {
            return Err(io::Error::from(rustix::io::Errno::LOOP));
        }
        if target.starts_with(b"/") {
            resolved.clear();
        }
        pending.extend(components(&target).map(<[u8]>::to_vec).rev());
    }
    Ok(resolved)
}

/// The bytes as a path of the host.
pub(crate) fn as_path(path: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt as _;
    Path::new(std::ffi::OsStr::from_bytes(path))
}

/// How a path is told to a person: absolute, undecodable bytes replaced.
pub(crate) fn display(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directorys_tree_is_one_run() {
        let mut paths = ["a-b", "a/c", "a", "a.txt", "a/b/c", "b"].map(str::as_bytes);
        paths.sort_by(|left, right| compare(left, right));
        assert_eq!(
            paths,
            ["a", "a/b/c", "a/c", "a-b", "a.txt", "b"].map(str::as_bytes)
        );
    }

    #[test]
    fn cleaning_cannot_leave_the_root() {
        assert_eq!(clean(b"/a/./b//../c/"), b"a/c");
        assert_eq!(clean(b"../../etc"), b"etc");
        assert_eq!(clean(b"/"), b"");
    }

    #[test]
    fn a_path_splits_at_its_last_component() {
        assert_eq!(split(b"a/b/c"), Some((&b"a/b"[..], &b"c"[..])));
        assert_eq!(split(b"a"), Some((&b""[..], &b"a"[..])));
        assert_eq!(split(b""), None);
    }
}
