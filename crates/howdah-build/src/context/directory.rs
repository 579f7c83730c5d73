//! The directory that is walked, read with as few system calls as there are: a large context is mostly these.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{
    BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, F2FS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC,
    XFS_SUPER_MAGIC, fstatfs,
};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, StatxFlags, openat, statx};
use rustix::io::Errno;

use crate::tree::{self, Inode};

/// Enough for the names of most directories in one getdents64(2).
const BUFFER: usize = 16 << 10;

/// A name in a directory, and what it is.
pub(super) type Listed = (Vec<u8>, FileType);

/// An open directory, everything in which is reached by paths below it.
#[derive(Debug)]
pub(super) struct Top {
    descriptor: OwnedFd,
    path: PathBuf,
}

impl Top {
    /// Opens a directory; a symbolic link to it is followed.
    pub(super) fn open(path: &Path) -> io::Result<Top> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor =
            openat(CWD, path, flags, Mode::empty()).map_err(failed("open directory", path))?;
        Ok(Top {
            descriptor,
            path: path.to_owned(),
        })
    }

    /// Its own inode.
    pub(super) fn inode(&self) -> io::Result<Inode> {
        let flags = AtFlags::EMPTY_PATH;
        let stat = statx(&self.descriptor, c"", flags, StatxFlags::BASIC_STATS);
        let stat = stat.map_err(failed("look up", &self.path))?;
        Ok(Inode::from(&stat))
    }

    /// The inode of a path in it, a symbolic link at its end not followed; none if it is gone.
    pub(super) fn inode_of(&self, path: &[u8]) -> io::Result<Option<Inode>> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        match statx(&self.descriptor, path, flags, StatxFlags::BASIC_STATS) {
            Ok(stat) => Ok(Some(Inode::from(&stat))),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(failed("look up", &self.real(path))(error)),
        }
    }

    /// The names in a directory in it, in the filesystem's order, without `.` and `..`; none if it is gone, or no directory
    /// any more.
    pub(super) fn names(&self, path: &[u8]) -> io::Result<Option<Vec<Listed>>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let here = if path.is_empty() { b"." } else { path };
        let descriptor = match openat(&self.descriptor, here, flags, Mode::empty()) {
            Ok(descriptor) => descriptor,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(error) => return Err(failed("open directory", &self.real(path))(error)),
        };
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut directory = RawDir::new(&descriptor, &mut buffer);
        let mut found = Vec::new();
        while let Some(entry) = directory.next() {
            let entry = entry.map_err(|error| failed("read directory", &self.real(path))(error))?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            // Some filesystems do not say it here (readdir(3), `DT_UNKNOWN`).
            let file_type = match entry.file_type() {
                FileType::Unknown => self
                    .inode_of(&tree::join(path, name))?
                    .map(|inode| inode.mode),
                known => Some(known.as_raw_mode()),
            };
            let named = |mode| (name.to_vec(), FileType::from_raw_mode(mode));
            found.extend(file_type.map(named));
        }
        Ok(Some(found))
    }

    /// Whether a directory's times tell of every change in it, as POSIX has it. Filesystems of other machines and of programs
    /// (FUSE) do what they like; git has the same doubts (git-update-index(1), "UNTRACKED CACHE").
    pub(super) fn keeps_times(&self) -> bool {
        let keeping = [
            BTRFS_SUPER_MAGIC,
            EXT4_SUPER_MAGIC,
            F2FS_SUPER_MAGIC,
            OVERLAYFS_SUPER_MAGIC,
            TMPFS_MAGIC,
            XFS_SUPER_MAGIC,
        ];
        fstatfs(&self.descriptor).is_ok_and(|stat| keeping.contains(&stat.filesystem_type()))
    }

    fn real(&self, path: &[u8]) -> PathBuf {
        self.path.join(tree::as_path(path))
    }
}

/// Says what failed, on what.
fn failed(action: &str, path: &Path) -> impl FnOnce(Errno) -> io::Error {
    move |error| {
        let error = io::Error::from(error);
        let text = format!("cannot {action} `{}`: {error}", path.display());
        io::Error::new(error.kind(), text)
    }
}
