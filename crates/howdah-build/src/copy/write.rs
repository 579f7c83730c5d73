//! Writing a plan, or a part of it, as a tree on disk.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use rayon::prelude::*;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps};

use super::{Content, CopyError, Placed};
use crate::context::extended_attributes;
use crate::tree::{self, Kind, TreePath};
use howdah_image::namespace;

/// One file to write.
#[derive(Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) path: &'a TreePath,
    pub(crate) placed: &'a Placed,
    /// The same file in a sealed snapshot of ours: linked instead of copied. Nobody ever changes a sealed file, and
    /// all its attributes are equal, which two links cannot help having in common.
    pub(crate) link: Option<PathBuf>,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    pub(crate) bytes: u64,
    /// A source changed after its digest was taken.
    pub(crate) moved: bool,
}

/// Writes `pieces`, parents before what is in them, below `root`, which exists.
pub(crate) fn write_tree(
    root: &Path,
    pieces: &[Piece<'_>],
    stop: &AtomicBool,
) -> Result<Written, CopyError> {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let writer = Writer {
        root,
        now,
        bytes: AtomicU64::new(0),
        moved: AtomicBool::new(false),
    };
    let failed =
        |piece: &Piece<'_>| CopyError::io(format!("write `{}`", tree::display(piece.path)));
    let (directories, files): (Vec<_>, Vec<_>) = pieces
        .iter()
        .partition(|piece| piece.placed.kind == Kind::Directory);
    for piece in directories.iter().filter(|piece| !piece.path.is_empty()) {
        match rustix::fs::mkdir(writer.target(piece), Mode::RWXU) {
            Ok(()) => {}
            // Exported into a directory that has it.
            Err(rustix::io::Errno::EXIST) if writer.target(piece).is_dir() => {}
            Err(errno) => return Err(failed(piece)(errno.into())),
        }
    }
    files.into_par_iter().try_for_each(|piece| {
        if stop.load(Ordering::Relaxed) {
            Ok(())
        } else {
            writer.file(piece).map_err(failed(piece))
        }
    })?;
    // Last and from below, since every new file moves the time of its directory.
    for piece in directories.iter().rev() {
        writer
            .finish(&writer.target(piece), piece.placed)
            .map_err(failed(piece))?;
    }
    Ok(Written {
        bytes: writer.bytes.into_inner(),
        moved: writer.moved.into_inner(),
    })
}

struct Writer<'a> {
    root: &'a Path,
    now: Duration,
    bytes: AtomicU64,
    moved: AtomicBool,
}

impl Writer<'_> {
    fn target(&self, piece: &Piece<'_>) -> PathBuf {
        self.root.join(tree::as_path(piece.path))
    }

    fn file(&self, piece: &Piece<'_>) -> io::Result<()> {
        let target = self.target(piece);
        if let Some(link) = &piece.link {
            match fs_err::hard_link(link, &target) {
                Ok(()) => return Ok(()),
                // Too many links (ext4 allows 65,000), or a filesystem without them: copy.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
                Err(_) => {}
            }
        }
        match (&piece.placed.kind, &piece.placed.content) {
            (Kind::Symlink(link), _) => rustix::fs::symlink(link.as_slice(), &target)?,
            (Kind::Special { file_type, device }, _) => {
                let kind = FileType::from_raw_mode(*file_type);
                rustix::fs::mknodat(CWD, &target, kind, Mode::RUSR | Mode::WUSR, *device)?;
            }
            (_, Content::Inline(content)) => {
                self.bytes
                    .fetch_add(content.len() as u64, Ordering::Relaxed);
                create(&target)?.write_all(content)?;
            }
            (
                _,
                Content::File {
                    path,
                    size,
                    mtime,
                    attributes,
                },
            ) => {
                self.copy(path, (*size, *mtime), &target)?;
                if *attributes {
                    for (name, value) in extended_attributes(path)? {
                        xattr::set(&target, &name, &value)?;
                    }
                }
            }
            (_, Content::None) => {}
        }
        self.finish(&target, piece.placed)
    }

    /// Copies one regular file: shares its blocks where the filesystem can, else lets the kernel copy
    /// (`ioctl_ficlone(2)`, `copy_file_range(2)`, which `io::copy` uses).
    fn copy(&self, source: &Path, expected: (u64, (i64, u32)), target: &Path) -> io::Result<()> {
        let mut from = fs_err::OpenOptions::new()
            .read(true)
            .custom_flags(nofollow())
            .open(source)?
            .into_file();
        let mut to = create(target)?;
        if rustix::fs::ioctl_ficlone(&to, &from).is_err() {
            io::copy(&mut from, &mut to)?;
        }
        let after = from.metadata()?;
        let found = (
            after.size(),
            (
                after.mtime(),
                u32::try_from(after.mtime_nsec()).unwrap_or(0),
            ),
        );
        if found != expected {
            self.moved.store(true, Ordering::Relaxed);
        }
        self.bytes.fetch_add(expected.0, Ordering::Relaxed);
        Ok(())
    }

    /// Owner, mode and times, in this order: a change of owner clears set-user-id bits and capabilities (chown(2)).
    fn finish(&self, target: &Path, placed: &Placed) -> io::Result<()> {
        let capabilities = match &placed.content {
            Content::File { .. } => xattr::get(target, "security.capability").unwrap_or_default(),
            _ => None,
        };
        let (uid, gid) = namespace::owner(placed.owner.uid, placed.owner.gid);
        rustix::fs::chownat(CWD, target, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        if !matches!(placed.kind, Kind::Symlink(_)) {
            fs_err::set_permissions(target, Permissions::from_mode(placed.mode))?;
        }
        if let Some(capabilities) = capabilities {
            xattr::set(target, "security.capability", &capabilities)?;
        }
        let now = (self.now.as_secs().cast_signed(), self.now.subsec_nanos());
        let (seconds, nanoseconds) = placed.mtime.unwrap_or(now);
        let time = Timespec {
            tv_sec: seconds,
            tv_nsec: nanoseconds.into(),
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        Ok(rustix::fs::utimensat(
            CWD,
            target,
            &times,
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }
}

fn create(path: &Path) -> io::Result<File> {
    Ok(fs_err::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?
        .into_file())
}

/// A source that became a symbolic link since the context was walked would lead out of it.
fn nofollow() -> i32 {
    rustix::fs::OFlags::NOFOLLOW.bits().cast_signed()
}

/// Says in the tree at `root` that the lower files at `paths` are gone (overlayfs.rst, "whiteouts and opaque directories").
pub(crate) fn write_whiteouts<'a>(
    root: &Path,
    paths: impl Iterator<Item = &'a TreePath>,
) -> Result<(), CopyError> {
    for path in paths {
        let target = root.join(std::ffi::OsStr::from_bytes(path));
        rustix::fs::mknodat(CWD, &target, FileType::CharacterDevice, Mode::empty(), 0)
            .map_err(io::Error::from)
            .map_err(CopyError::io(format!("remove `{}`", tree::display(path))))?;
    }
    Ok(())
}
