//! The container's root filesystem seen from outside, with every path resolved inside it (openat2(2), `RESOLVE_IN_ROOT`): a
//! link in an image never leads to the host.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2, statat,
};
use rustix::io::Errno;

/// A user database larger than this is hostile.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// An open root directory.
#[derive(Debug)]
pub(super) struct Root {
    directory: OwnedFd,
}

/// A path that did not exist and was made: its first new component, and the directory that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    /// The directory that was there before, without links, relative to the root.
    pub(super) parent: PathBuf,
    /// Everything made below it, outermost first, relative to the root.
    pub(super) paths: Vec<PathBuf>,
}

impl Root {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let directory = rustix::fs::open(
            path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        Ok(Self { directory })
    }

    /// What a small file holds, or `None` when there is no such file.
    pub(super) fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match self.resolve(Path::new(path), OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
        if kind != FileType::RegularFile {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("`{path}` is no regular file"),
            ));
        }
        let mut bytes = Vec::new();
        std::fs::File::from(file)
            .take(MAX_FILE_BYTES + 1)
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("`{path}` is too large"),
            ));
        }
        Ok(Some(bytes))
    }

    /// What kind of file is there, links followed inside the root; `None` when there is nothing.
    pub(super) fn kind(&self, path: &Path) -> io::Result<Option<FileType>> {
        match self.resolve(path, OFlags::PATH) {
            Ok(file) => Ok(Some(FileType::from_raw_mode(
                rustix::fs::fstat(&file)?.st_mode,
            ))),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Where a path leads, links resolved, relative to the root; `None` when there is nothing.
    pub(super) fn resolved(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        match self.resolve(path, OFlags::PATH) {
            Ok(file) => self.path_of(&file).map(Some),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a directory and its missing parents; `None` when it was there.
    pub(super) fn make_directory(&self, path: &Path) -> io::Result<Option<Made>> {
        self.make(path, None)
    }

    /// Makes an empty file and its missing parent directories; `None` when it was there.
    pub(super) fn make_file(&self, path: &Path) -> io::Result<Option<Made>> {
        let name = path
            .file_name()
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let parent = path.parent().unwrap_or(Path::new("/"));
        if self.kind(path)?.is_some() {
            return Ok(None);
        }
        self.make(parent, Some(name.to_owned()))
    }

    fn make(&self, path: &Path, file: Option<OsString>) -> io::Result<Option<Made>> {
        let mut made: Option<Made> = None;
        let mut walked = PathBuf::new();
        let mut parent = self.resolve(Path::new("."), OFlags::PATH | OFlags::DIRECTORY)?;
        for name in path.components().filter_map(|component| match component {
            Component::Normal(name) => Some(name),
            _ => None,
        }) {
            walked.push(name);
            match self.resolve(&walked, OFlags::PATH | OFlags::DIRECTORY) {
                Ok(directory) => parent = directory,
                Err(Errno::NOENT) => {
                    mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
                    let above = self.path_of(&parent)?;
                    Made::add(&mut made, above, name.as_ref());
                    parent = self.resolve(&walked, OFlags::PATH | OFlags::DIRECTORY)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(name) = file {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            openat(&parent, &name, flags, Mode::from_raw_mode(0o644))?;
            let above = self.path_of(&parent)?;
            Made::add(&mut made, above, name.as_ref());
        }
        Ok(made)
    }

    /// Path of an open file below the root, links resolved.
    fn path_of(&self, file: &OwnedFd) -> io::Result<PathBuf> {
        let path = |descriptor: &OwnedFd| {
            fs_err::read_link(format!("/proc/self/fd/{}", descriptor.as_raw_fd()))
        };
        let root = path(&self.directory)?;
        let inside = path(file)?;
        inside
            .strip_prefix(&root)
            .map(Path::to_owned)
            .map_err(io::Error::other)
    }

    fn resolve(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let relative = path.strip_prefix("/").unwrap_or(path);
        let relative = if relative.as_os_str().is_empty() {
            Path::new(".")
        } else {
            relative
        };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        openat2(
            &self.directory,
            relative,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        )
    }
}

impl Made {
    fn add(made: &mut Option<Self>, parent: PathBuf, name: &Path) {
        let path = parent.join(name);
        made.get_or_insert_with(|| Self {
            parent,
            paths: Vec::new(),
        })
        .paths
        .push(path);
    }
}

/// Removes `.`, `..` and doubled slashes by the text alone; `..` stops at the root.
pub(super) fn normalise(path: &Path) -> PathBuf {
    let mut normal = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => {
                normal.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    normal
}

/// Metadata of a path that must not be a link's target.
pub(super) fn stat(path: &Path) -> io::Result<rustix::fs::Stat> {
    Ok(statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_never_lead_out_of_the_root() {
        let scratch = tempfile::tempdir().unwrap();
        fs_err::write(scratch.path().join("outside"), "secret").unwrap();
        let inside = scratch.path().join("root");
        fs_err::create_dir_all(inside.join("etc")).unwrap();
        fs_err::os::unix::fs::symlink("../../outside", inside.join("etc/passwd")).unwrap();
        fs_err::os::unix::fs::symlink(scratch.path(), inside.join("up")).unwrap();
        let root = Root::open(&inside).unwrap();
        assert_eq!(root.read("/etc/passwd").unwrap(), None);
        assert_eq!(root.read("/up/outside").unwrap(), None);
        assert!(root.make_directory(Path::new("/up/new")).is_err());
        assert!(!scratch.path().join("new").exists());
    }

    #[test]
    fn what_was_made_is_told_with_links_resolved() {
        let scratch = tempfile::tempdir().unwrap();
        fs_err::create_dir(scratch.path().join("run")).unwrap();
        fs_err::create_dir(scratch.path().join("var")).unwrap();
        fs_err::os::unix::fs::symlink("/run", scratch.path().join("var/run")).unwrap();
        let root = Root::open(scratch.path()).unwrap();
        let made = root
            .make_file(Path::new("/var/run/app/socket"))
            .unwrap()
            .unwrap();
        assert_eq!(made.parent, Path::new("run"));
        assert_eq!(
            made.paths,
            [PathBuf::from("run/app"), PathBuf::from("run/app/socket")]
        );
        assert_eq!(root.make_file(Path::new("/run/app/socket")).unwrap(), None);
        assert_eq!(root.make_directory(Path::new("/var/run")).unwrap(), None);
    }

    #[test]
    fn a_file_in_the_way_is_an_error() {
        let scratch = tempfile::tempdir().unwrap();
        fs_err::write(scratch.path().join("file"), "").unwrap();
        let root = Root::open(scratch.path()).unwrap();
        assert!(root.make_directory(Path::new("/file")).is_err());
        assert!(root.make_directory(Path::new("/file/below")).is_err());
    }

    #[test]
    fn paths_are_normalised_by_their_text() {
        assert_eq!(normalise(Path::new("/a/../../b/./c/")), Path::new("/b/c"));
        assert_eq!(normalise(Path::new("a//b")), Path::new("/a/b"));
    }
}
