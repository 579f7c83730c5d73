//! Volumes: directories that appear whole, filled from the image the first time they are mounted.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use howdah_runtime::overlay::{self, OverlayError};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, SFlag, mknod};
use rustix::fs::{AtFlags, CWD, Gid, Timespec, Timestamps, Uid};
use rustix::mount::MountPropagationFlags;

/// A volume that cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VolumeError {
    /// The file system refused.
    #[error("cannot make volume `{name}`")]
    Io {
        /// The volume.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The image's files cannot be looked at.
    #[error("cannot look into the image to fill volume `{name}`")]
    Image {
        /// The volume.
        name: String,
        /// Why.
        source: OverlayError,
    },
    /// The kernel has no room for another thread.
    #[error("the thread that fills volume `{name}` ended early")]
    Thread {
        /// The volume.
        name: String,
    },
}

/// What a volume is filled from.
#[derive(Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) lowers: &'a [PathBuf],
    /// The path in the image; none = leave it empty.
    pub(crate) path: Option<&'a Path>,
}

/// Makes a volume unless it is there and has something in it, as Docker does: with the image's content at that path, and its owner
/// and mode. `staging` is a directory on the same file system.
pub(crate) fn ensure(
    volume: &Path,
    name: &str,
    origin: &Origin<'_>,
    staging: &Path,
) -> Result<(), VolumeError> {
    let failed = |source| VolumeError::Io {
        name: name.to_owned(),
        source,
    };
    if is_filled(volume).map_err(failed)? {
        return Ok(());
    }
    fs_err::create_dir_all(staging).map_err(failed)?;
    let stage = Stage::new(staging).map_err(failed)?;
    let fresh = stage.path.join("volume");
    fs_err::create_dir(&fresh).map_err(failed)?;
    fs_err::set_permissions(&fresh, PermissionsExt::from_mode(0o755)).map_err(failed)?;
    if let Some(path) = origin.path.filter(|_| !origin.lowers.is_empty()) {
        fill(&fresh, path, origin.lowers, &stage.path, name)?;
    }
    if let Some(parent) = volume.parent() {
        fs_err::create_dir_all(parent).map_err(failed)?;
    }
    rustix::fs::sync();
    match fs_err::rename(&fresh, volume) {
        // Another container was faster.
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        result => result.map_err(failed),
    }
}

fn is_filled(volume: &Path) -> io::Result<bool> {
    match fs_err::read_dir(volume) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A directory that goes away with its owner.
struct Stage {
    path: PathBuf,
}

impl Stage {
    fn new(below: &Path) -> io::Result<Self> {
        let path = below.join(format!("volume-{}", super::random_hex(16)?));
        fs_err::create_dir(&path)?;
        Ok(Self { path })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What cannot be removed now is reaped with the rest of tmp/ by the next process that opens the store.
        drop(fs_err::remove_dir_all(&self.path));
    }
}

/// Copies in a thread that has a mount namespace of its own: the kernel takes the mount away with the thread, whatever happens.
fn fill(
    fresh: &Path,
    path: &Path,
    lowers: &[PathBuf],
    stage: &Path,
    name: &str,
) -> Result<(), VolumeError> {
    let failed = |source| VolumeError::Io {
        name: name.to_owned(),
        source,
    };
    let view = stage.join("image");
    fs_err::create_dir(&view).map_err(failed)?;
    let work = || -> Result<(), VolumeError> {
        unshare(CloneFlags::CLONE_NEWNS).map_err(|errno| failed(errno.into()))?;
        rustix::mount::mount_change(
            "/",
            MountPropagationFlags::REC | MountPropagationFlags::PRIVATE,
        )
        .map_err(|errno| failed(errno.into()))?;
        overlay::mount(lowers, None, &view).map_err(|source| VolumeError::Image {
            name: name.to_owned(),
            source,
        })?;
        let copied = match inside(&view, path) {
            Ok(Some(source)) => copy_directory(&source, fresh),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        overlay::unmount(&view).map_err(|source| VolumeError::Image {
            name: name.to_owned(),
            source,
        })?;
        copied.map_err(failed)
    };
    let result = std::thread::scope(|scope| scope.spawn(work).join());
    result.unwrap_or_else(|_| {
        Err(VolumeError::Thread {
            name: name.to_owned(),
        })
    })
}

/// The directory at `path` in the image; symbolic links are followed only inside the image.
fn inside(root: &Path, path: &Path) -> io::Result<Option<PathBuf>> {
    let mut open: Vec<PathBuf> = vec![path.to_owned()];
    let mut current = PathBuf::new();
    let mut links = 0;
    while let Some(next) = open.pop() {
        let mut components = next.components();
        let Some(component) = components.next() else {
            continue;
        };
        open.push(components.as_path().to_owned());
        match component {
            Component::ParentDir => {
                current.pop();
            }
            Component::Normal(name) => {
                let candidate = root.join(&current).join(name);
                match fs_err::symlink_metadata(&candidate) {
                    Ok(found) if found.is_symlink() => {
                        links += 1;
                        if links > 40 {
                            return Err(rustix::io::Errno::LOOP.into());
                        }
                        let target = fs_err::read_link(&candidate)?;
                        if target.is_absolute() {
                            current.clear();
                        }
                        open.push(target);
                    }
                    Ok(_) => current.push(name),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(error),
                }
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    let found = root.join(current);
    Ok(fs_err::metadata(&found)?.is_dir().then_some(found))
}

/// Copies a tree with owners, modes, times, extended attributes and special files.
fn copy_directory(source: &Path, target: &Path) -> io::Result<()> {
    for entry in fs_err::read_dir(source)? {
        let entry = entry?;
        let (from, to) = (entry.path(), target.join(entry.file_name()));
        let metadata = fs_err::symlink_metadata(&from)?;
        let kind = metadata.file_type();
        if kind.is_dir() {
            fs_err::create_dir(&to)?;
            copy_directory(&from, &to)?;
            continue;
        }
        if kind.is_symlink() {
            fs_err::os::unix::fs::symlink(fs_err::read_link(&from)?, &to)?;
        } else if kind.is_file() {
            fs_err::copy(&from, &to)?;
        } else {
            let flag = if kind.is_fifo() {
                SFlag::S_IFIFO
            } else if kind.is_socket() {
                SFlag::S_IFSOCK
            } else if kind.is_block_device() {
                SFlag::S_IFBLK
            } else {
                SFlag::S_IFCHR
            };
            mknod(
                &to,
                flag,
                Mode::from_bits_truncate(metadata.mode()),
                metadata.rdev(),
            )?;
        }
        copy_attributes(&from, &to, &metadata)?;
    }
    copy_attributes(source, target, &fs_err::symlink_metadata(source)?)
}

fn copy_attributes(from: &Path, to: &Path, metadata: &std::fs::Metadata) -> io::Result<()> {
    let (owner, group) = (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid()));
    rustix::fs::chownat(CWD, to, Some(owner), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
    if !metadata.is_symlink() {
        // After the owner: chown(2) clears set-id bits and file capabilities.
        fs_err::set_permissions(to, PermissionsExt::from_mode(metadata.mode() & 0o7777))?;
        copy_extended(from, to)?;
    }
    let time = |seconds, nanoseconds| Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: time(metadata.atime(), metadata.atime_nsec()),
        last_modification: time(metadata.mtime(), metadata.mtime_nsec()),
    };
    Ok(rustix::fs::utimensat(
        CWD,
        to,
        &times,
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

fn copy_extended(from: &Path, to: &Path) -> io::Result<()> {
    let mut names = vec![0u8; 64 << 10];
    let length = match rustix::fs::llistxattr(from, &mut names[..]) {
        Ok(length) => length,
        Err(rustix::io::Errno::OPNOTSUPP) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    for name in names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        // The overlay's own marks mean nothing outside of it.
        if name.starts_with(b"trusted.overlay.") {
            continue;
        }
        let mut value = vec![0u8; 64 << 10];
        let size = rustix::fs::lgetxattr(from, OsStr::from_bytes(name), &mut value[..])?;
        rustix::fs::lsetxattr(
            to,
            OsStr::from_bytes(name),
            &value[..size],
            rustix::fs::XattrFlags::empty(),
        )?;
    }
    Ok(())
}

/// Removes a volume; nothing happens when there is none. It disappears in one step: a half-removed volume is never mounted.
pub(crate) fn remove(volume: &Path, name: &str, staging: &Path) -> Result<bool, VolumeError> {
    let failed = |source| VolumeError::Io {
        name: name.to_owned(),
        source,
    };
    fs_err::create_dir_all(staging).map_err(failed)?;
    let stage = Stage::new(staging).map_err(failed)?;
    match fs_err::rename(volume, stage.path.join("volume")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        result => result.map(|()| true).map_err(failed),
    }
}
