//! Where an OCI layout is written: into a tar, or into a directory.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::{ArchiveError, write_error};
use crate::layer::tar::{Kind, Metadata, Writer};
use crate::manifest::{CONTAINERD_NAME, Descriptor, Index};

/// A tree of files in the making.
pub(super) enum Layout<W: Write> {
    Tar(Writer<W>),
    Directory(PathBuf),
}

impl<W: Write> Layout<W> {
    pub(super) fn tar(writer: W) -> Self {
        Self::Tar(Writer::new(writer))
    }

    pub(super) fn directory(path: &Path) -> Result<Self, ArchiveError> {
        fs_err::create_dir_all(path).map_err(write_error)?;
        Ok(Self::Directory(path.to_owned()))
    }

    pub(super) fn make_directory(&mut self, path: &str) -> Result<(), ArchiveError> {
        match self {
            Self::Tar(tar) => {
                let metadata = Metadata {
                    kind: Kind::Directory,
                    mode: 0o755,
                    ..header(path, 0)
                };
                tar.append(&metadata, io::empty())
            }
            Self::Directory(root) => fs_err::create_dir_all(root.join(path)),
        }
        .map_err(write_error)
    }

    /// Writes a file; in a directory it appears whole.
    pub(super) fn write(
        &mut self,
        path: &str,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), ArchiveError> {
        match self {
            Self::Tar(tar) => tar
                .append(&header(path, size), content)
                .map_err(write_error),
            Self::Directory(root) => write_file(&root.join(path), content).map_err(write_error),
        }
    }

    /// The images of the layout that is there already, without those that `ours` replace: they have the same name, or the
    /// same digest and no name.
    pub(super) fn other_manifests(
        &self,
        ours: &[Descriptor],
    ) -> Result<Vec<Descriptor>, ArchiveError> {
        let Self::Directory(root) = self else {
            return Ok(Vec::new());
        };
        let path = root.join("index.json");
        let bytes = match fs_err::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(write_error(error)),
        };
        let index: Index =
            serde_json::from_slice(&bytes).map_err(|source| ArchiveError::Document {
                name: path.display().to_string(),
                source,
            })?;
        let name = |descriptor: &Descriptor| {
            descriptor
                .annotation(CONTAINERD_NAME)
                .map_or_else(|| descriptor.digest.to_string(), str::to_owned)
        };
        let replaced = |other: &Descriptor| ours.iter().any(|own| name(own) == name(other));
        Ok(index
            .manifests
            .into_iter()
            .filter(|other| !replaced(other))
            .collect())
    }

    pub(super) fn finish(self) -> Result<(), ArchiveError> {
        match self {
            Self::Tar(tar) => tar.finish().map(drop).map_err(write_error),
            Self::Directory(_) => Ok(()),
        }
    }
}

fn write_file(path: &Path, content: &mut dyn Read) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".part{}", std::process::id()));
    let part = path.with_file_name(name);
    let mut write = || {
        let mut file = fs_err::File::create(&part)?;
        io::copy(content, &mut file)?;
        file.sync_all()?;
        fs_err::rename(&part, path)
    };
    write().inspect_err(|_| drop(fs_err::remove_file(&part)))
}

fn header(path: &str, size: u64) -> Metadata {
    Metadata {
        path: path.as_bytes().to_vec(),
        kind: Kind::File,
        link: Vec::new(),
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: (0, 0),
        device: (0, 0),
        size,
        xattrs: Vec::new(),
    }
}
