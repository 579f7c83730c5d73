//! Mount points made in the root filesystem for the container's mounts, and their removal, so that the writable layer
//! holds what the program wrote and nothing of ours.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::Stat;

use super::root::{Made, Root, stat};

/// The mount points made for one container.
#[derive(Debug, Default)]
pub(super) struct Stubs {
    made: Vec<Stub>,
}

#[derive(Debug)]
struct Stub {
    made: Made,
    /// Ancestors of the new paths that the writable layer did not have: overlayfs copied them up for us.
    copied: Vec<PathBuf>,
    /// The holding directory as it was before, in the merged view.
    before: Stat,
    /// Its modification time once the mount point was in it; another one later means the program changed it too.
    touched: (i64, u64),
}

/// What a mount point must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
}

impl Stubs {
    /// Makes `target` unless it is there. `rootfs` is the mounted overlay, `upper` its writable layer.
    pub(super) fn make(
        &mut self,
        rootfs: &Path,
        upper: &Path,
        target: &Path,
        kind: Kind,
    ) -> io::Result<()> {
        let root = Root::open(rootfs)?;
        if root.kind(target)?.is_some() {
            return Ok(());
        }
        let existing = nearest_existing(&root, target)?;
        let before = stat(&rootfs.join(&existing))?;
        let absent: Vec<PathBuf> = existing
            .ancestors()
            .filter(|path| !path.as_os_str().is_empty() && !upper.join(path).exists())
            .map(Path::to_owned)
            .collect();
        let made = match kind {
            Kind::Directory => root.make_directory(target)?,
            Kind::File => root.make_file(target)?,
        };
        let Some(made) = made else { return Ok(()) };
        let after = stat(&rootfs.join(&made.parent))?;
        self.made.push(Stub {
            made,
            copied: absent,
            before,
            touched: modified(&after),
        });
        Ok(())
    }

    /// Takes the mount points out of the writable layer again, once nothing is mounted there any more. A mount point that
    /// the program filled or replaced stays.
    pub(super) fn remove(self, upper: &Path) {
        // The last first: a later mount point may lie in a directory made for an earlier one.
        for stub in self.made.into_iter().rev() {
            stub.remove(upper);
        }
    }
}

impl Stub {
    fn remove(self, upper: &Path) {
        let parent = upper.join(&self.made.parent);
        let untouched = stat(&parent).is_ok_and(|now| modified(&now) == self.touched);
        for path in self.made.paths.iter().rev() {
            let path = upper.join(path);
            let Ok(found) = fs_err::symlink_metadata(&path) else {
                continue;
            };
            // Failure means that the program put something in it, which is then part of its changes.
            if found.is_dir() {
                fs_err::remove_dir(&path).ok();
            } else if found.is_file() && found.len() == 0 {
                fs_err::remove_file(&path).ok();
            }
        }
        if untouched {
            restore_time(&parent, &self.before);
        }
        for copied in &self.copied {
            let copied = upper.join(copied);
            let unchanged = copied != parent
                || stat(&copied).is_ok_and(|now| rights(&now) == rights(&self.before));
            // Only an empty directory goes; it is an exact copy of the lower one.
            if !unchanged || fs_err::remove_dir(&copied).is_err() {
                break;
            }
        }
    }
}

/// The deepest directory on the way to `target` that is there, links resolved, relative to the root.
fn nearest_existing(root: &Root, target: &Path) -> io::Result<PathBuf> {
    for ancestor in target.ancestors().skip(1) {
        if let Some(path) = root.resolved(ancestor)? {
            return Ok(path);
        }
    }
    Ok(PathBuf::new())
}

fn rights(stat: &Stat) -> (u32, u32, u32) {
    (stat.st_mode, stat.st_uid, stat.st_gid)
}

fn modified(stat: &Stat) -> (i64, u64) {
    (stat.st_mtime, stat.st_mtime_nsec)
}

fn restore_time(directory: &Path, before: &Stat) {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
    let time = |seconds: i64, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds.try_into().unwrap_or(0),
    };
    let times = Timestamps {
        last_access: time(before.st_atime, before.st_atime_nsec),
        last_modification: time(before.st_mtime, before.st_mtime_nsec),
    };
    // The time of a directory is a nicety of the layer; a layer without it is still right.
    utimensat(CWD, directory, &times, AtFlags::SYMLINK_NOFOLLOW).ok();
}
