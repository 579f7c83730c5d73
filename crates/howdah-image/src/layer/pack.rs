//! From snapshots to one tar whose bytes depend on nothing but the trees.

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::merge::{Change, Found, is_visible, walk};
use super::tar::{Kind, Metadata, Writer};
use super::unpack::is_kept;
use super::{LayerError, OPAQUE_MARKER, WHITEOUT_PREFIX};
use crate::{Layer, Store};

/// How layers are packed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PackOptions {
    /// `SOURCE_DATE_EPOCH`: no file is younger than this, in seconds since 1970
    /// (<https://reproducible-builds.org/specs/source-date-epoch/>).
    pub source_date_epoch: Option<i64>,
}

/// Writes the tar of the last layer of `stack`, over the others: its snapshots merged, names in byte order, numeric
/// owners, times in whole seconds, pax records only where needed.
pub fn pack(
    store: &Store,
    stack: &[Layer],
    writer: impl Write,
    options: &PackOptions,
) -> Result<(), LayerError> {
    let Some((layer, below)) = stack.split_last() else {
        return Ok(());
    };
    let mut snapshots = stack.iter().flat_map(|layer| &layer.snapshots);
    if let Some(missing) = snapshots.find(|id| !store.has_snapshot(id)) {
        return Err(LayerError::NoSnapshot(missing.clone()));
    }
    let paths = |layer: &Layer| {
        layer
            .snapshots
            .iter()
            .map(|id| store.snapshot_path(id))
            .collect::<Vec<_>>()
    };
    let roots = paths(layer);
    // A single snapshot has whiteouts only for what is below it. Then its tar is the same over any layers.
    let below: Option<Vec<PathBuf>> =
        (roots.len() > 1).then(|| below.iter().flat_map(paths).collect());
    pack_trees(&roots, below.as_deref(), writer, options)
}

/// `below`: what the layer stands on, lowest first; whiteouts that hide nothing there are left out.
pub(super) fn pack_trees(
    roots: &[PathBuf],
    below: Option<&[PathBuf]>,
    writer: impl Write,
    options: &PackOptions,
) -> Result<(), LayerError> {
    let mut packer = Packer {
        writer: Writer::new(writer),
        links: HashMap::new(),
        options: *options,
    };
    walk(roots, &mut |change| match change {
        Change::Whiteout(path) => match below {
            Some(below) if !is_visible(below, path)? => Ok(()),
            _ => packer.mark(&whiteout_path(path)),
        },
        Change::Entry(found) => packer.entry(&found),
    })?;
    packer
        .writer
        .finish()
        .map_err(|source| LayerError::Write { source })?;
    Ok(())
}

struct Packer<W> {
    writer: Writer<W>,
    /// Where a file with several names was packed first. Overlayfs breaks links on copy-up, and equal inode numbers in two
    /// snapshots mean nothing, so the snapshot is part of the key.
    links: HashMap<(usize, u64, u64), Vec<u8>>,
    options: PackOptions,
}

impl<W: Write> Packer<W> {
    fn entry(&mut self, found: &Found<'_>) -> Result<(), LayerError> {
        let is_root = found.path.as_os_str().is_empty();
        if let Some(metadata) = self.metadata(found)?
            && !(is_root && is_plain_root(&metadata))
        {
            if metadata.kind == Kind::File && metadata.size > 0 {
                let file =
                    fs_err::File::open(found.source).map_err(|source| self.error(found, source))?;
                self.writer
                    .append(&metadata, file)
                    .map_err(|source| self.error(found, source))?;
            } else {
                self.writer
                    .append(&metadata, io::empty())
                    .map_err(|source| self.error(found, source))?;
            }
        }
        if found.opaque {
            self.mark(&found.path.join(std::ffi::OsStr::from_bytes(OPAQUE_MARKER)))?;
        }
        Ok(())
    }

    /// The entry's header, or `None` for what a tar cannot hold (sockets).
    fn metadata(&mut self, found: &Found<'_>) -> Result<Option<Metadata>, LayerError> {
        let stat = found.metadata;
        let file_type = stat.file_type();
        let path = tar_path(found.path);
        let mut link = Vec::new();
        let kind = if file_type.is_dir() {
            Kind::Directory
        } else if file_type.is_symlink() {
            link = fs_err::read_link(found.source)
                .map_err(|source| self.error(found, source))?
                .into_os_string()
                .as_bytes()
                .to_vec();
            Kind::Symlink
        } else if file_type.is_char_device() {
            Kind::CharacterDevice
        } else if file_type.is_block_device() {
            Kind::BlockDevice
        } else if file_type.is_fifo() {
            Kind::Fifo
        } else if file_type.is_file() {
            match self.first_name(found, &path) {
                Some(first) => {
                    link = first;
                    Kind::HardLink
                }
                None => Kind::File,
            }
        } else {
            return Ok(None);
        };
        let is_device = matches!(kind, Kind::CharacterDevice | Kind::BlockDevice);
        Ok(Some(Metadata {
            path,
            kind,
            link,
            mode: stat.mode() & 0o7777,
            uid: stat.uid().into(),
            gid: stat.gid().into(),
            mtime: (self.clamp(stat.mtime()), 0),
            device: if is_device {
                (
                    rustix::fs::major(stat.rdev()),
                    rustix::fs::minor(stat.rdev()),
                )
            } else {
                (0, 0)
            },
            size: if kind == Kind::File { stat.len() } else { 0 },
            xattrs: if kind == Kind::HardLink {
                Vec::new()
            } else {
                xattrs(found.source).map_err(|source| self.error(found, source))?
            },
        }))
    }

    /// The name under which this file was packed before; remembers this one otherwise.
    fn first_name(&mut self, found: &Found<'_>, path: &[u8]) -> Option<Vec<u8>> {
        if found.metadata.nlink() < 2 {
            return None;
        }
        let key = (found.snapshot, found.metadata.dev(), found.metadata.ino());
        if let Some(first) = self.links.get(&key) {
            return Some(first.clone());
        }
        self.links.insert(key, path.to_vec());
        None
    }

    /// An empty file whose name is the message.
    fn mark(&mut self, path: &Path) -> Result<(), LayerError> {
        let metadata = Metadata {
            path: tar_path(path),
            kind: Kind::File,
            link: Vec::new(),
            mode: 0o600,
            uid: 0,
            gid: 0,
            mtime: (0, 0),
            device: (0, 0),
            size: 0,
            xattrs: Vec::new(),
        };
        self.writer
            .append(&metadata, io::empty())
            .map_err(|source| LayerError::Write { source })
    }

    fn clamp(&self, seconds: i64) -> i64 {
        self.options
            .source_date_epoch
            .map_or(seconds, |epoch| seconds.min(epoch))
    }

    #[expect(clippy::unused_self, reason = "keeps the calls short")]
    fn error(&self, found: &Found<'_>, source: io::Error) -> LayerError {
        LayerError::Io {
            action: "pack",
            path: found.path.to_owned(),
            source,
        }
    }
}

/// What staging gives a root; an entry for it would only make layers differ that say the same.
fn is_plain_root(metadata: &Metadata) -> bool {
    metadata.mode == 0o755 && metadata.uid == 0 && metadata.gid == 0 && metadata.xattrs.is_empty()
}

fn tar_path(path: &Path) -> Vec<u8> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() {
        b".".to_vec()
    } else {
        bytes.to_vec()
    }
}

fn whiteout_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default();
    path.with_file_name(std::ffi::OsStr::from_bytes(
        &[WHITEOUT_PREFIX, name.as_bytes()].concat(),
    ))
}

/// The attributes layers carry, sorted; overlayfs's own and the machine's labels stay behind.
fn xattrs(path: &Path) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut attributes = Vec::new();
    for name in xattr::list(path)?.filter(|name| is_kept(name.as_bytes())) {
        if let Some(value) = xattr::get(path, &name)? {
            attributes.push((name.as_bytes().to_vec(), value));
        }
    }
    attributes.sort();
    Ok(attributes)
}
