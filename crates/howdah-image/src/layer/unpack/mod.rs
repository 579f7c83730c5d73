//! From a tar stream to an overlay lower directory. The archive is hostile.

mod entry;

use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Timestamps};
use rustix::io::Errno;

use super::tar::{Entries, Entry, Kind, Metadata};
use super::{LayerError, Limits, OPAQUE_MARKER, WHITEOUT_PREFIX};
use entry::{
    Place, link, make_directory, make_node, make_room, place_of_parent, set_attributes, set_opaque,
    timestamps, whiteout, write_file,
};

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
            Kind::CharacterDevice | Kind::BlockDevice | Kind::Fifo => {
                if !make_node(&place, metadata)? {
                    return Ok(());
                }
            }
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
