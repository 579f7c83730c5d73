//! A file that is kept for its room alone. The database must grow before anything can be removed, so on a full disk this
//! file makes way for it.

use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use super::Store;

const NAME: &str = "reserve";
/// Enough for the log of a prune of some thousand rows.
const SIZE: u64 = 4 << 20;
/// On a disk with less room it is not made, and makes way before it is needed.
const LITTLE: u64 = 4 * SIZE;

/// The room that was made; when dropped, the file is made again if it fits.
#[derive(Debug)]
pub struct Room(Option<PathBuf>);

impl Store {
    /// Makes room for the database if the disk is almost full. For what frees more than it takes.
    pub fn make_room(&self) -> Room {
        let path = self.reserve();
        // If it was not there, somebody else uses the room, and will make it again.
        let made = free(self.root()) < LITTLE && fs_err::remove_file(&path).is_ok();
        Room(made.then_some(path))
    }

    /// Makes the file unless it is there, or there is little room. Not being able to is no failure.
    pub(super) fn keep_reserve(&self) {
        let path = self.reserve();
        if !path.exists() && free(self.root()) >= LITTLE {
            allocate(&path);
        }
    }

    fn reserve(&self) -> PathBuf {
        self.root().join(NAME)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            allocate(path);
        }
    }
}

/// What is free on the disk of a path, in bytes.
fn free(path: &Path) -> u64 {
    statvfs(path).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn allocate(path: &Path) {
    let made = fs_err::File::create(path);
    // A filesystem that reserves nothing (EOPNOTSUPP) keeps an empty file, which is not tried again.
    if let Ok(file) = made
        && fallocate(&file, FallocateFlags::empty(), 0, SIZE) == Err(rustix::io::Errno::NOSPC)
    {
        drop(fs_err::remove_file(path));
    }
}
