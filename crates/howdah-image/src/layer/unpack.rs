//! From a tar stream to an overlay lower directory. The archive is hostile.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::tar::{Entries, Entry, Kind, Metadata};
use super::{LayerError, Limits, OPAQUE_MARKER, OPAQUE_XATTR, WHITEOUT_PREFIX};

/// Contained: symbolic links of the archive, absolute ones and `..` too, lead to places below the layer's root.
const CONTAINED: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);
/// The kernel's `PATH_MAX` without room for what a path is joined to.
const LONGEST_PATH: usize = 3800;
const COPY_BUFFER: usize = 256 * 1024;

pub(super) fn unpack_tar(
    mut reader: impl Read,
    into: &Path,
    limits: &Limits,
) -> Result<(), LayerError> {
    let mut tree = Tree::open(into)?;
    let mut entries = Entries::new(&mut reader, limits.bytes);
    let mut count = 0;
    let mut size = 0_u64;
    while let Some(entry) = entries.next()? {
        count += 1;
        // Holes are not in the archive's bytes, and count separately.
        size = size.saturating_add(entry.metadata.size);
        if count > limits.entries {
            return Err(LayerError::TooLarge {
                what: "entries",
                limit: limits.entries,
            });
        }
        if size > limits.bytes {
            return Err(LayerError::TooLarge {
                what: "bytes",
                limit: limits.bytes,
            });
        }
        tree.add(&entry, &mut entries.data())?;
    }
    entries.drain()?;
    tree.finish()
}

/// The directory that is being filled.
struct Tree {
    root: OwnedFd,
    /// The directory of the last entry; archives are mostly sorted, so most entries need no lookup.
    parent: Option<(PathBuf, OwnedFd)>,
    /// Times of directories, set at the end because each new entry changes its directory's.
    directory_times: Vec<(PathBuf, Timestamps)>,
    buffer: Vec<u8>,
}

/// An entry's place: its directory, open, and its name in there.
struct Place<'a> {
    parent: &'a OwnedFd,
    name: &'a OsStr,
    path: &'a Path,
}

impl Place<'_> {
    fn error(&self, action: &'static str) -> impl Fn(Errno) -> LayerError {
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

impl Tree {
    fn open(into: &Path) -> Result<Self, LayerError> {
        let root = rustix::fs::open(
            into,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|errno| LayerError::Io {
            action: "open",
            path: into.to_owned(),
            source: errno.into(),
        })?;
        Ok(Self {
            root,
            parent: None,
            directory_times: Vec::new(),
            buffer: vec![0; COPY_BUFFER],
        })
    }

    fn add(&mut self, entry: &Entry, data: &mut dyn Read) -> Result<(), LayerError> {
        let metadata = &entry.metadata;
        let path = contained_path(&metadata.path)?;
        let Some(name) = path.file_name() else {
            return self.set_root(metadata);
        };
        let parent = path.parent().unwrap_or(Path::new(""));
        self.enter(parent)?;
        let Some((_, descriptor)) = &self.parent else {
            return Ok(());
        };
        let place = Place {
            parent: descriptor,
            name,
            path: &path,
        };
        let name_bytes = name.as_bytes();
        if name_bytes == OPAQUE_MARKER {
            return set_opaque(&place_of_parent(&place));
        }
        if let Some(hidden) = name_bytes.strip_prefix(WHITEOUT_PREFIX) {
            // The other `.wh..wh.` names are aufs's own bookkeeping.
            if hidden.starts_with(WHITEOUT_PREFIX) {
                return Ok(());
            }
            return whiteout(&Place {
                name: OsStr::from_bytes(hidden),
                ..place
            });
        }
        let replaced = make_room(&place, metadata.kind)?;
        match metadata.kind {
            Kind::Directory => make_directory(&place, replaced)?,
            Kind::File => write_file(&place, entry, data, &mut self.buffer)?,
            Kind::HardLink => link(&self.root, &place, metadata)?,
            Kind::Symlink => {
                rustix::fs::symlinkat(OsStr::from_bytes(&metadata.link), place.parent, name)
                    .map_err(place.error("make the symbolic link"))?;
            }
            Kind::CharacterDevice | Kind::BlockDevice | Kind::Fifo => make_node(&place, metadata)?,
        }
        if metadata.kind != Kind::HardLink {
            set_attributes(&place, metadata)?;
        }
        if metadata.kind == Kind::Directory {
            self.directory_times
                .push((path.clone(), timestamps(metadata)));
        }
        if replaced.is_some() {
            // The open directory may be what was replaced.
            self.parent = None;
        }
        Ok(())
    }

    /// Opens the directory `parent`, making what is missing of it as mkdir -p does.
    fn enter(&mut self, parent: &Path) -> Result<(), LayerError> {
        if self.parent.as_ref().is_some_and(|(path, _)| path == parent) {
            return Ok(());
        }
        self.parent = None;
        let descriptor = match self.open_directory(parent) {
            Ok(descriptor) => descriptor,
            Err(Errno::NOENT) => self.make_directories(parent)?,
            Err(errno) => return Err(io_error("open the directory", parent)(errno)),
        };
        self.parent = Some((parent.to_owned(), descriptor));
        Ok(())
    }

    fn open_directory(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        open_in(&self.root, path, OFlags::PATH | OFlags::DIRECTORY)
    }

    fn make_directories(&self, path: &Path) -> Result<OwnedFd, LayerError> {
        let mut current = self
            .open_directory(Path::new(""))
            .map_err(io_error("open the directory", path))?;
        for depth in path
            .ancestors()
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .skip(1)
        {
            current = match self.open_directory(depth) {
                Ok(found) => found,
                Err(Errno::NOENT) => {
                    // A dangling symbolic link has nothing to be made behind it: EEXIST.
                    let name = depth.file_name().unwrap_or_default();
                    let mode = Mode::from_raw_mode(0o755);
                    rustix::fs::mkdirat(&current, name, mode)
                        .map_err(io_error("make the directory", depth))?;
                    rustix::fs::chmodat(&current, name, mode, AtFlags::empty())
                        .map_err(io_error("set the mode of", depth))?;
                    self.open_directory(depth)
                        .map_err(io_error("open the directory", depth))?
                }
                Err(errno) => return Err(io_error("open the directory", depth)(errno)),
            };
        }
        Ok(current)
    }

    /// An entry `./` is about the layer's root directory.
    fn set_root(&mut self, metadata: &Metadata) -> Result<(), LayerError> {
        if metadata.kind != Kind::Directory {
            return Err(LayerError::Entry {
                path: display(&metadata.path),
                what: "would replace the root directory",
            });
        }
        let root = self
            .open_directory(Path::new(""))
            .map_err(io_error("open the directory", Path::new("/")))?;
        let place = Place {
            parent: &root,
            name: OsStr::new("."),
            path: Path::new("/"),
        };
        set_attributes(&place, metadata)?;
        self.directory_times
            .push((PathBuf::new(), timestamps(metadata)));
        Ok(())
    }

    fn finish(self) -> Result<(), LayerError> {
        for (path, times) in &self.directory_times {
            // A directory that was replaced later has no time to set.
            if let Ok(directory) = self.open_directory(path) {
                let name = OsStr::new(".");
                rustix::fs::utimensat(&directory, name, times, AtFlags::empty())
                    .map_err(io_error("set the time of", path))?;
            }
        }
        Ok(())
    }
}

/// The path relative to the layer's root; absolute paths are taken as relative ones, as Docker does.
fn contained_path(bytes: &[u8]) -> Result<PathBuf, LayerError> {
    if bytes.len() > LONGEST_PATH {
        return Err(LayerError::Entry {
            path: display(&bytes[..80]),
            what: "has too long a path",
        });
    }
    if bytes.contains(&0) {
        return Err(LayerError::Entry {
            path: display(bytes),
            what: "has a NUL in its path",
        });
    }
    let mut path = PathBuf::new();
    for component in bytes.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => return Err(LayerError::Escape(display(bytes))),
            name => path.push(OsStr::from_bytes(name)),
        }
    }
    Ok(path)
}

fn open_in(root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    // EAGAIN: a rename elsewhere on the system raced with the lookup (openat2(2)).
    loop {
        match rustix::fs::openat2(
            root,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            CONTAINED,
        ) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Removes what an earlier entry left at the place, except a directory that the new one is to be merged with. Says what
/// was there.
fn make_room(place: &Place<'_>, kind: Kind) -> Result<Option<FileType>, LayerError> {
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

fn make_directory(place: &Place<'_>, replaced: Option<FileType>) -> Result<(), LayerError> {
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

fn write_file(
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
fn link(root: &OwnedFd, place: &Place<'_>, metadata: &Metadata) -> Result<(), LayerError> {
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

fn make_node(place: &Place<'_>, metadata: &Metadata) -> Result<(), LayerError> {
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
    .map_err(place.error("make the device"))
}

/// Hides what lower layers have at the place: a character device 0:0 (overlayfs.rst, "whiteouts and opaque directories").
/// What this same layer has there stays: a whiteout speaks of lower layers only.
fn whiteout(place: &Place<'_>) -> Result<(), LayerError> {
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

fn place_of_parent(place: &Place<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", place.parent.as_raw_fd()))
}

fn set_opaque(path: &Path) -> Result<(), LayerError> {
    // Follows, because `path` may be a link of /proc; the callers know that a directory is there.
    xattr::set_deref(path, OPAQUE_XATTR, b"y").map_err(|source| LayerError::Io {
        action: "make opaque",
        path: path.to_owned(),
        source,
    })
}

/// Owner first, because chown(2) clears set-user-id bits and file capabilities.
fn set_attributes(place: &Place<'_>, metadata: &Metadata) -> Result<(), LayerError> {
    let id = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
    let (Some(uid), Some(gid)) = (id(metadata.uid), id(metadata.gid)) else {
        return Err(LayerError::Entry {
            path: display(&metadata.path),
            what: "has an owner out of range",
        });
    };
    let no_follow = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(
        place.parent,
        place.name,
        Some(Uid::from_raw(uid)),
        Some(Gid::from_raw(gid)),
        no_follow,
    )
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
pub(super) fn is_kept(name: &[u8]) -> bool {
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

fn timestamps(metadata: &Metadata) -> Timestamps {
    let time = Timespec {
        tv_sec: metadata.mtime.0,
        tv_nsec: metadata.mtime.1.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(Errno) -> LayerError {
    let path = path.to_owned();
    move |errno| LayerError::Io {
        action,
        path,
        source: errno.into(),
    }
}

fn display(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
