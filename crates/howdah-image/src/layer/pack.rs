//! From snapshots to one tar whose bytes depend on nothing but the trees.

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::merge::{Change, Found, is_visible, walk};
use super::tar::{Kind, Metadata, Writer};
use super::{LayerError, OPAQUE_MARKER, WHITEOUT_PREFIX};
use crate::{Image, Layer, Store};

/// How layers are packed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PackOptions {
    /// The time of the build, in seconds since 1970: files that are younger get it, and so does every file whose time has
    /// a fraction of a second. Such a time was given by a running machine; those of unpacked archives and those that
    /// were set on purpose are whole (docs/decisions/0012). Without it, times only lose their fraction.
    pub epoch: Option<i64>,
}

/// What the bytes of a layer's tar depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ground {
    /// The layer alone: it hides nothing.
    Layer,
    /// The layers below too: of its whiteouts and opaque directories, those are written that hide something there.
    Stack,
}

/// Writes the tar of the last layer of `stack`, over the others: its snapshots merged, names in byte order, numeric
/// owners, times in whole seconds, pax records only where needed, whiteouts only for what is there.
pub fn pack(
    store: &Store,
    stack: &[Layer],
    writer: impl Write,
    options: &PackOptions,
) -> Result<(), LayerError> {
    pack_layer(store, stack, writer, options).map(drop)
}

/// [`pack`], which also finds out for which other stacks the tar would be the same.
pub(crate) fn pack_layer(
    store: &Store,
    stack: &[Layer],
    writer: impl Write,
    options: &PackOptions,
) -> Result<Ground, LayerError> {
    let Some((layer, below)) = stack.split_last() else {
        return Ok(Ground::Layer);
    };
    check_snapshots(store, stack)?;
    let roots = paths(store, std::slice::from_ref(layer));
    let epochs = vec![options.epoch; roots.len()];
    pack_trees(&roots, &paths(store, below), writer, &epochs)
}

/// Writes images as one tar, each with all its layers as a container sees them, and each below the directory that is given
/// with it, if one is. Times are those that the layers' own tars have.
pub fn pack_merged(
    store: &Store,
    images: &[(Option<&str>, &Image)],
    writer: impl Write,
) -> Result<(), LayerError> {
    let mut writer = Writer::new(writer);
    for (directory, image) in images {
        check_snapshots(store, &image.layers)?;
        let mut epochs = Vec::new();
        for (index, layer) in image.layers.iter().enumerate() {
            let received = store
                .received_diff_id(layer)
                .map_err(|source| LayerError::Store { source })?;
            let epoch = received.is_none().then(|| image.layer_epoch(index));
            epochs.resize(epochs.len() + layer.snapshots.len(), epoch);
        }
        let mut packer = Packer {
            directory: directory.map(PathBuf::from),
            ..Packer::new(&mut writer, &[], &epochs)
        };
        packer.make_directory(image.epoch())?;
        packer.trees(&paths(store, &image.layers))?;
    }
    writer
        .finish()
        .map(drop)
        .map_err(|source| LayerError::Write { source })
}

fn check_snapshots(store: &Store, stack: &[Layer]) -> Result<(), LayerError> {
    let mut snapshots = stack.iter().flat_map(|layer| &layer.snapshots);
    match snapshots.find(|id| !store.has_snapshot(id)) {
        Some(missing) => Err(LayerError::NoSnapshot(missing.clone())),
        None => Ok(()),
    }
}

fn paths(store: &Store, layers: &[Layer]) -> Vec<PathBuf> {
    let snapshots = layers.iter().flat_map(|layer| &layer.snapshots);
    snapshots.map(|id| store.snapshot_path(id)).collect()
}

/// `below`: what `roots` stand on; both lowest first. `epochs`: [`PackOptions::epoch`] of each root.
pub(super) fn pack_trees(
    roots: &[PathBuf],
    below: &[PathBuf],
    writer: impl Write,
    epochs: &[Option<i64>],
) -> Result<Ground, LayerError> {
    let mut writer = Writer::new(writer);
    let mut packer = Packer::new(&mut writer, below, epochs);
    packer.trees(roots)?;
    let ground = packer.ground;
    writer
        .finish()
        .map_err(|source| LayerError::Write { source })?;
    Ok(ground)
}

struct Packer<'a, W> {
    writer: &'a mut Writer<W>,
    /// Everything is put below it.
    directory: Option<PathBuf>,
    /// Where a file with several names was packed first. Overlayfs breaks links on copy-up, and equal inode numbers in two
    /// snapshots mean nothing, so the snapshot is part of the key.
    links: HashMap<(usize, u64, u64), Vec<u8>>,
    below: &'a [PathBuf],
    ground: Ground,
    epochs: &'a [Option<i64>],
}

impl<'a, W: Write> Packer<'a, W> {
    fn new(writer: &'a mut Writer<W>, below: &'a [PathBuf], epochs: &'a [Option<i64>]) -> Self {
        Self {
            writer,
            directory: None,
            links: HashMap::new(),
            below,
            ground: Ground::Layer,
            epochs,
        }
    }

    fn trees(&mut self, roots: &[PathBuf]) -> Result<(), LayerError> {
        walk(roots, &mut |change| match change {
            Change::Whiteout(path) => self.hide(path, &whiteout_path(path)),
            Change::Entry(found) => self.entry(&found),
        })
    }

    /// The directory itself, with the mode that BuildKit gives it (`exporter/tar/export.go`).
    fn make_directory(&mut self, time: i64) -> Result<(), LayerError> {
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        let metadata = Metadata {
            path: tar_path(directory),
            kind: Kind::Directory,
            link: Vec::new(),
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: (time, 0),
            device: (0, 0),
            size: 0,
            xattrs: Vec::new(),
        };
        let written = self.writer.append(&metadata, io::empty());
        written.map_err(|source| LayerError::Write { source })
    }

    /// The path in the archive.
    fn tar_path(&self, path: &Path) -> Vec<u8> {
        match &self.directory {
            Some(directory) => tar_path(&directory.join(path)),
            None => tar_path(path),
        }
    }

    fn entry(&mut self, found: &Found<'_>) -> Result<(), LayerError> {
        let is_root = found.path.as_os_str().is_empty();
        if let Some(metadata) = self.metadata(found)?
            && !(is_root && (self.directory.is_some() || is_plain_root(&metadata)))
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
            let marker = found.path.join(std::ffi::OsStr::from_bytes(OPAQUE_MARKER));
            self.hide(found.path, &marker)?;
        }
        Ok(())
    }

    /// Writes `marker` if there is something below that it hides. Overlayfs calls every new directory opaque, and a delta's
    /// whiteout may only concern the snapshot under it: neither is in the tar of a build that never had the file.
    fn hide(&mut self, path: &Path, marker: &Path) -> Result<(), LayerError> {
        self.ground = Ground::Stack;
        if is_visible(self.below, path)? {
            self.mark(marker)?;
        }
        Ok(())
    }

    /// The entry's header, or `None` for what a tar cannot hold (sockets).
    fn metadata(&mut self, found: &Found<'_>) -> Result<Option<Metadata>, LayerError> {
        let stat = found.metadata;
        let file_type = stat.file_type();
        let path = self.tar_path(found.path);
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
            mtime: (self.time(found), 0),
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
            path: self.tar_path(path),
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

    /// See [`PackOptions::epoch`].
    fn time(&self, found: &Found<'_>) -> i64 {
        let (seconds, fraction) = (found.metadata.mtime(), found.metadata.mtime_nsec());
        match self.epochs.get(found.snapshot) {
            Some(Some(epoch)) if seconds > *epoch || fraction > 0 => *epoch,
            _ => seconds,
        }
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

/// The attributes layers carry: a file's capabilities (capabilities(7)) and nothing else, as in the layers of BuildKit
/// (containerd `archive/tar.go`, `HandleChange`).
fn xattrs(path: &Path) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let name = "security.capability";
    let value = match xattr::get(path, name) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => None,
        value => value?,
    };
    Ok(Vec::from_iter(
        value.map(|value| (name.as_bytes().to_vec(), value)),
    ))
}
