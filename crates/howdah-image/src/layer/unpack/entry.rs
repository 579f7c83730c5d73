//! Making one entry at its place, which is known to be inside.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::super::LayerError;
use super::super::tar::{Entry, Kind, Metadata};
use super::{contained_path, display, open_in};
use crate::namespace;

/// An entry's place: its directory, open, and its name in there.
pub(super) struct Place<'a> {
    pub(super) parent: &'a OwnedFd,
    pub(super) name: &'a OsStr,
    pub(super) path: &'a Path,
}

impl Place<'_> {
    pub(super) fn error(&self, action: &'static str) -> impl Fn(Errno) -> LayerError {
        let path = self.path.to_owned();
        move |errno| LayerError::Io {
            action,
            path: path.clone(),
            source: errno.into(),
        }
    }

    fn file_type(&self) -> Result<Option<FileType>, LayerError> {
        match rustix::fs::statat(self.parent, self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.error("look at")(errno)),
        }
    }

    /// A path for calls that take no directory descriptor; it stays below the descriptor, whatever the tree becomes.
    fn by_descriptor(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.parent.as_raw_fd())).join(self.name)
    }
}

/// Removes what an earlier entry left at the place, except a directory that the new one is to be merged with. Says what
/// was there.
pub(super) fn make_room(place: &Place<'_>, kind: Kind) -> Result<Option<FileType>, LayerError> {
    let found = place.file_type()?;
    match (found, kind) {
        (None, _) | (Some(FileType::Directory), Kind::Directory) => {}
        (Some(FileType::Directory), _) => {
            let path = place.by_descriptor();
            fs_err::remove_dir_all(&path).map_err(|source| LayerError::Io {
                action: "replace",
                path: place.path.to_owned(),
                source,
            })?;
        }
        (Some(_), _) => {
            rustix::fs::unlinkat(place.parent, place.name, AtFlags::empty())
                .map_err(place.error("replace"))?;
        }
    }
    Ok(found)
}

pub(super) fn make_directory(
    place: &Place<'_>,
    replaced: Option<FileType>,
) -> Result<(), LayerError> {
    if replaced == Some(FileType::Directory) {
        return Ok(());
    }
    rustix::fs::mkdirat(place.parent, place.name, Mode::RWXU)
        .map_err(place.error("make the directory"))?;
    // It took a whiteout's or a file's place, which hid what lower layers have here.
    if replaced.is_some() {
        set_opaque(&place.by_descriptor())
    } else {
        Ok(())
    }
}

pub(super) fn write_file(
    place: &Place<'_>,
    entry: &Entry,
    data: &mut dyn Read,
    buffer: &mut [u8],
) -> Result<(), LayerError> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    let file: File = rustix::fs::openat(place.parent, place.name, flags, mode)
        .map_err(place.error("create"))?
        .into();
    let write_error = |source| LayerError::Io {
        action: "write",
        path: place.path.to_owned(),
        source,
    };
    let whole = [(0, entry.metadata.size)];
    let pieces = entry
        .sparse
        .as_ref()
        .map_or(whole.as_slice(), |map| map.pieces.as_slice());
    for (offset, length) in pieces {
        let end = offset + length;
        let mut offset = *offset;
        while offset < end {
            let most = buffer
                .len()
                .min(usize::try_from(end - offset).unwrap_or(usize::MAX));
            let read = match data.read(&mut buffer[..most]) {
                Ok(0) => {
                    return Err(LayerError::Archive {
                        source: io::ErrorKind::UnexpectedEof.into(),
                    });
                }
                Ok(read) => read,
                Err(source) => return Err(LayerError::Archive { source }),
            };
            file.write_all_at(&buffer[..read], offset)
                .map_err(write_error)?;
            offset += read as u64;
        }
    }
    if entry.sparse.is_some() {
        file.set_len(entry.metadata.size).map_err(write_error)?;
    }
    Ok(())
}

/// A hard link to a file of this layer; a target that is not in it, or not contained, is an error.
pub(super) fn link(
    root: &OwnedFd,
    place: &Place<'_>,
    metadata: &Metadata,
) -> Result<(), LayerError> {
    let target = contained_path(&metadata.link)?;
    let target_name = target
        .file_name()
        .ok_or_else(|| LayerError::Escape(display(&metadata.link)))?;
    let target_parent = target
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let directory = open_in(root, target_parent, OFlags::PATH | OFlags::DIRECTORY)
        .map_err(place.error("find the target of the hard link"))?;
    // Without AT_SYMLINK_FOLLOW the link itself is linked, never what it points to.
    rustix::fs::linkat(
        &directory,
        target_name,
        place.parent,
        place.name,
        AtFlags::empty(),
    )
    .map_err(place.error("make the hard link"))
}

/// Gives whether it was made: a user namespace has no devices. The layer itself keeps them, as it leaves the way it came.
pub(super) fn make_node(place: &Place<'_>, metadata: &Metadata) -> Result<bool, LayerError> {
    if metadata.kind != Kind::Fifo && namespace::is_restricted() {
        return Ok(false);
    }
    let kind = match metadata.kind {
        Kind::CharacterDevice => FileType::CharacterDevice,
        Kind::BlockDevice => FileType::BlockDevice,
        _ => FileType::Fifo,
    };
    let device = rustix::fs::makedev(metadata.device.0, metadata.device.1);
    rustix::fs::mknodat(
        place.parent,
        place.name,
        kind,
        Mode::RUSR | Mode::WUSR,
        device,
    )
    .map_err(place.error("make the device"))?;
    Ok(true)
}

/// Hides what lower layers have at the place: a character device 0:0 (overlayfs.rst, "whiteouts and opaque directories").
/// What this same layer has there stays: a whiteout speaks of lower layers only.
pub(super) fn whiteout(place: &Place<'_>) -> Result<(), LayerError> {
    if place.name.is_empty() || place.name == ".." || place.name == "." {
        return Err(LayerError::Escape(place.path.display().to_string()));
    }
    match place.file_type()? {
        None => rustix::fs::mknodat(
            place.parent,
            place.name,
            FileType::CharacterDevice,
            Mode::empty(),
            0,
        )
        .map_err(place.error("make the whiteout")),
        Some(FileType::Directory) => set_opaque(&place.by_descriptor()),
        Some(_) => Ok(()),
    }
}

pub(super) fn place_of_parent(place: &Place<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", place.parent.as_raw_fd()))
}

pub(super) fn set_opaque(path: &Path) -> Result<(), LayerError> {
    // Follows, because `path` may be a link of /proc; the callers know that a directory is there.
    xattr::set_deref(path, namespace::opaque_attribute(), b"y").map_err(|source| LayerError::Io {
        action: "make opaque",
        path: path.to_owned(),
        source,
    })
}

/// Owner first, because chown(2) clears set-user-id bits and file capabilities.
pub(super) fn set_attributes(place: &Place<'_>, metadata: &Metadata) -> Result<(), LayerError> {
    let id = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
    let (Some(uid), Some(gid)) = (id(metadata.uid), id(metadata.gid)) else {
        return Err(LayerError::Entry {
            path: display(&metadata.path),
            what: "has an owner out of range",
        });
    };
    let (uid, gid) = namespace::owner(uid, gid);
    let no_follow = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(place.parent, place.name, Some(uid), Some(gid), no_follow)
        .map_err(place.error("set the owner of"))?;
    if metadata.kind != Kind::Symlink {
        // The entry was just made and is no link, so following makes no difference; fchmodat(2) has no AT_SYMLINK_NOFOLLOW.
        rustix::fs::chmodat(
            place.parent,
            place.name,
            Mode::from_raw_mode(metadata.mode),
            AtFlags::empty(),
        )
        .map_err(place.error("set the mode of"))?;
    }
    for (name, value) in metadata.xattrs.iter().filter(|(name, _)| is_kept(name)) {
        set_xattr(place, name, value)?;
    }
    if metadata.kind != Kind::Directory {
        rustix::fs::utimensat(place.parent, place.name, &timestamps(metadata), no_follow)
            .map_err(place.error("set the time of"))?;
    }
    Ok(())
}

/// Attributes a layer may set. Overlayfs's own would let an archive redirect lookups; `trusted.*` and security labels belong
/// to the machine.
fn is_kept(name: &[u8]) -> bool {
    let is_users = name.starts_with(b"user.") && !name.starts_with(b"user.overlay.");
    is_users
        || matches!(
            name,
            b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default"
        )
}

fn set_xattr(place: &Place<'_>, name: &[u8], value: &[u8]) -> Result<(), LayerError> {
    match xattr::set(place.by_descriptor(), OsStr::from_bytes(name), value) {
        // The filesystem cannot hold it, or the kind of file cannot: as Docker, which warns and goes on.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        Err(error)
            if name.starts_with(b"user.") && error.kind() == io::ErrorKind::PermissionDenied =>
        {
            Ok(())
        }
        Err(source) => Err(LayerError::Io {
            action: "set an extended attribute of",
            path: place.path.to_owned(),
            source,
        }),
        Ok(()) => Ok(()),
    }
}

pub(super) fn timestamps(metadata: &Metadata) -> Timestamps {
    let time = Timespec {
        tv_sec: metadata.mtime.0,
        tv_nsec: metadata.mtime.1.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
