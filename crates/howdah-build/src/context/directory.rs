//! A directory that is being read, with as few system calls as there are: a large context is mostly these.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, StatxFlags, openat, statx};
use rustix::io::Errno;

use crate::tree::{self, Inode};

/// Enough for the names of most directories in one getdents64(2).
const BUFFER: usize = 16 << 10;

/// An open directory, and where it is, for errors.
#[derive(Debug)]
pub(super) struct OpenDirectory {
    descriptor: OwnedFd,
    path: PathBuf,
}

impl OpenDirectory {
    /// Opens the directory that a walk begins with; a symbolic link to it is followed.
    pub(super) fn root(path: &Path) -> io::Result<OpenDirectory> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor =
            openat(CWD, path, flags, Mode::empty()).map_err(failed("open directory", path))?;
        Ok(OpenDirectory {
            descriptor,
            path: path.to_owned(),
        })
    }

    /// Opens a directory in this one; none if it is gone, or no directory any more.
    pub(super) fn open(&self, name: &[u8]) -> io::Result<Option<OpenDirectory>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = self.path.join(tree::as_path(name));
        match openat(&self.descriptor, name, flags, Mode::empty()) {
            Ok(descriptor) => Ok(Some(OpenDirectory { descriptor, path })),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(error) => Err(failed("open directory", &path)(error)),
        }
    }

    /// The names in it, in the filesystem's order, without `.` and `..`.
    pub(super) fn names(&self) -> io::Result<Vec<(Vec<u8>, FileType)>> {
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut directory = RawDir::new(&self.descriptor, &mut buffer);
        let mut found = Vec::new();
        while let Some(entry) = directory.next() {
            let entry = entry.map_err(failed("read directory", &self.path))?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            // Some filesystems do not say it here (readdir(3), `DT_UNKNOWN`).
            let file_type = match entry.file_type() {
                FileType::Unknown => self.inode_of(name)?.map(|inode| inode.mode),
                known => Some(known.as_raw_mode()),
            };
            let named = |mode| (name.to_vec(), FileType::from_raw_mode(mode));
            found.extend(file_type.map(named));
        }
        Ok(found)
    }

    /// Its own inode.
    pub(super) fn inode(&self) -> io::Result<Inode> {
        let flags = AtFlags::EMPTY_PATH;
        let stat = statx(&self.descriptor, c"", flags, StatxFlags::BASIC_STATS);
        let stat = stat.map_err(failed("look up", &self.path))?;
        Ok(Inode::from(&stat))
    }

    /// The inode of a name in it, symbolic links not followed; none if it is gone.
    pub(super) fn inode_of(&self, name: &[u8]) -> io::Result<Option<Inode>> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        match statx(&self.descriptor, name, flags, StatxFlags::BASIC_STATS) {
            Ok(stat) => Ok(Some(Inode::from(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => {
                let path = self.path.join(tree::as_path(name));
                Err(failed("look up", &path)(error))
            }
        }
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
