//! The files of an archive: spooled from a tar stream, which cannot be read at random, or in a directory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{ArchiveError, store_error};
use crate::layer::tar::{Entries, Kind};
use crate::layer::{LayerError, Limits, decompress};
use crate::store::Temporary;
use crate::{Store, StoreError};

/// Documents are read into memory; Docker's own limit for a manifest is 4 MiB, and `manifest.json` lists many images.
const LARGEST_DOCUMENT: u64 = 32 << 20;
/// An archive is some files a layer.
const MOST_FILES: usize = 100_000;
/// Old archives link a layer that occurs twice; a chain of links is not written by anybody.
const LONGEST_CHAIN: usize = 8;

/// Files by their normalised path in the archive. Nothing is created under a name that the archive chose.
#[derive(Debug)]
pub(super) struct Source {
    files: BTreeMap<String, Place>,
    // Holds the spooled files.
    _spool: Option<Temporary>,
}

#[derive(Debug)]
enum Place {
    File(PathBuf),
    Link(String),
}

impl Source {
    /// Copies the files of a tar stream, compressed or not, into the store's `tmp/`.
    pub(super) fn spool(store: &Store, reader: impl Read) -> Result<Self, ArchiveError> {
        let spool = Temporary::new(&store.temporary_directory()).map_err(store_error)?;
        let read_error = |source| ArchiveError::Read { source };
        let (reader, _) = decompress(reader).map_err(read_error)?;
        let limits = Limits::default();
        let mut entries = Entries::new(reader, limits.bytes);
        let mut files = BTreeMap::new();
        while let Some(entry) = entries
            .next()
            .map_err(LayerError::from)
            .map_err(read_error)?
        {
            let Some(path) = normalised("", &entry.metadata.path) else {
                continue;
            };
            let place = match entry.metadata.kind {
                Kind::File if entry.sparse.is_none() => {
                    let file = spool.path().join(files.len().to_string());
                    write(&file, &mut entries.data())?;
                    Place::File(file)
                }
                Kind::Symlink => match normalised(&path, &entry.metadata.link) {
                    Some(target) => Place::Link(target),
                    None => continue,
                },
                Kind::HardLink => match normalised("", &entry.metadata.link) {
                    Some(target) => Place::Link(target),
                    None => continue,
                },
                _ => continue,
            };
            files.insert(path, place);
            if files.len() > MOST_FILES {
                return Err(read_error(LayerError::TooLarge {
                    what: "files",
                    limit: MOST_FILES as u64,
                }));
            }
        }
        Ok(Self {
            files,
            _spool: Some(spool),
        })
    }

    /// The files of an OCI layout in a directory.
    pub(super) fn directory(root: &Path) -> Result<Self, ArchiveError> {
        let io_error = |source| ArchiveError::Io {
            action: "read",
            source,
        };
        let mut files = BTreeMap::new();
        for directory in ["", "blobs/sha256"] {
            for entry in fs_err::read_dir(root.join(directory)).map_err(io_error)? {
                let entry = entry.map_err(io_error)?;
                // A link could lead anywhere.
                if entry.file_type().map_err(io_error)?.is_file()
                    && let Some(name) = entry.file_name().to_str()
                {
                    let path = if directory.is_empty() {
                        name.to_owned()
                    } else {
                        format!("{directory}/{name}")
                    };
                    files.insert(path, Place::File(entry.path()));
                }
            }
        }
        Ok(Self {
            files,
            _spool: None,
        })
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.file(path).is_some()
    }

    /// Where the file is.
    pub(super) fn path(&self, path: &str) -> Result<&Path, ArchiveError> {
        self.file(path)
            .ok_or_else(|| ArchiveError::Missing(path.to_owned()))
    }

    /// Reads a whole document.
    pub(super) fn document(&self, path: &str) -> Result<Vec<u8>, ArchiveError> {
        let file = open(self.path(path)?).map_err(store_error)?;
        let mut bytes = Vec::new();
        let read = file.take(LARGEST_DOCUMENT + 1).read_to_end(&mut bytes);
        let read = read.map_err(|source| ArchiveError::Io {
            action: "read",
            source,
        })?;
        if read as u64 > LARGEST_DOCUMENT {
            return Err(ArchiveError::Invalid {
                name: path.to_owned(),
                what: "is larger than 32 MiB",
            });
        }
        Ok(bytes)
    }

    fn file(&self, path: &str) -> Option<&Path> {
        let mut path = normalised("", path.as_bytes())?;
        for _ in 0..LONGEST_CHAIN {
            match self.files.get(&path)? {
                Place::File(file) => return Some(file),
                Place::Link(target) => path.clone_from(target),
            }
        }
        None
    }
}

pub(super) fn open(path: &Path) -> Result<File, StoreError> {
    fs_err::File::open(path)
        .map(fs_err::File::into_file)
        .map_err(StoreError::io("open", path))
}

fn write(path: &Path, data: &mut dyn Read) -> Result<(), ArchiveError> {
    let mut file = fs_err::File::create_new(path)
        .map_err(StoreError::io("create", path))
        .map_err(store_error)?;
    std::io::copy(data, &mut file)
        .map_err(StoreError::io("write", path))
        .map_err(store_error)?;
    Ok(())
}

/// `path` without `.` and `..`, relative to the directory of `from`. `None` when it leaves the archive or is no text.
fn normalised(from: &str, path: &[u8]) -> Option<String> {
    let path = std::str::from_utf8(path).ok()?;
    let mut components: Vec<&str> = if path.starts_with('/') {
        Vec::new()
    } else {
        from.split('/').collect()
    };
    // The last is the file itself.
    components.pop();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => {
                components.pop()?;
            }
            name => components.push(name),
        }
    }
    if components.is_empty() {
        None
    } else {
        Some(components.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_archive() {
        assert_eq!(normalised("", b"./a//b").as_deref(), Some("a/b"));
        assert_eq!(
            normalised("x/layer.tar", b"../y/layer.tar").as_deref(),
            Some("y/layer.tar")
        );
        assert_eq!(normalised("x/layer.tar", b"../../etc/passwd"), None);
        assert_eq!(normalised("", b"../a"), None);
    }
}
