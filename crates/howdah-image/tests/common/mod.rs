//! What the tests share: a store in a directory of its own, trees to fill it with, and tars written by hand.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use howdah_image::{Image, ImageConfig, Layer, SnapshotId, Store};

/// A store that is gone with the test.
pub(crate) struct TestStore {
    pub(crate) store: Store,
    pub(crate) directory: tempfile::TempDir,
}

impl TestStore {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            store: Store::open(&directory.path().join("root")).unwrap(),
            directory,
        }
    }

    /// Seals a tree that `fill` makes. What it leaves with the time of the day gets one that survives packing.
    pub(crate) fn snapshot(&self, fill: impl FnOnce(&Path)) -> SnapshotId {
        let staging = self.store.stage().unwrap();
        let started = std::time::SystemTime::now() - std::time::Duration::from_secs(1);
        fill(staging.upper());
        settle_times(staging.upper(), started);
        let id = SnapshotId::random();
        staging.seal(&id).unwrap();
        id
    }

    /// An image of these layers, each a list of snapshots.
    pub(crate) fn image(&self, layers: Vec<Vec<SnapshotId>>) -> Image {
        let layers = layers
            .into_iter()
            .map(|snapshots| Layer { snapshots })
            .collect();
        let mut config = ImageConfig {
            created: Some("2024-05-06T07:08:09Z".into()),
            ..ImageConfig::default()
        };
        config.config.env.push("A=b".into());
        self.store.save_image(config, layers).unwrap()
    }
}

fn settle_times(root: &Path, started: std::time::SystemTime) {
    for entry in fs_err::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        if metadata.is_dir() {
            settle_times(&path, started);
        }
        if metadata.modified().unwrap() > started && metadata.mtime_nsec() > 0 {
            let time = rustix::fs::Timespec {
                tv_sec: 1_700_000_000,
                tv_nsec: 0,
            };
            let times = rustix::fs::Timestamps {
                last_access: time,
                last_modification: time,
            };
            let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::utimensat(rustix::fs::CWD, &path, &times, flags).unwrap();
        }
    }
}

/// Writes a file and its directories.
pub(crate) fn write(root: &Path, path: &str, content: &str) -> PathBuf {
    let path = root.join(path);
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(&path, content).unwrap();
    path
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// What overlayfs makes of a deleted file.
pub(crate) fn whiteout(root: &Path, path: &str) {
    let path = root.join(path);
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    let mode = rustix::fs::Mode::empty();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::CharacterDevice,
        mode,
        0,
    )
    .unwrap();
}

/// What overlayfs makes of a directory that replaces one.
pub(crate) fn make_opaque(root: &Path, path: &str) {
    let path = root.join(path);
    fs_err::create_dir_all(&path).unwrap();
    xattr::set(&path, "trusted.overlay.opaque", b"y").unwrap();
}

/// A tree as text: everything a container can see of it, by path.
pub(crate) fn describe(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut inodes: BTreeMap<u64, String> = BTreeMap::new();
    describe_into(root, root, &mut found, &mut inodes);
    found
}

fn describe_into(
    root: &Path,
    directory: &Path,
    found: &mut BTreeMap<String, String>,
    inodes: &mut BTreeMap<u64, String>,
) {
    let mut paths: Vec<PathBuf> = fs_err::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in paths {
        let metadata = path.symlink_metadata().unwrap();
        let kind = metadata.file_type();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let what = if kind.is_dir() {
            describe_into(root, &path, found, inodes);
            "directory".to_owned()
        } else if kind.is_symlink() {
            format!("link to {}", path.read_link().unwrap().display())
        } else if kind.is_file() {
            let content = fs_err::read(&path).unwrap();
            let first = if metadata.nlink() > 1 {
                inodes
                    .entry(metadata.ino())
                    .or_insert_with(|| name.clone())
                    .clone()
            } else {
                String::new()
            };
            format!(
                "file of {} bytes, {}, linked {first}",
                content.len(),
                howdah_image::Digest::of(&content)
            )
        } else if kind.is_fifo() {
            "fifo".to_owned()
        } else {
            format!("device {:x}", metadata.rdev())
        };
        let mut attributes: Vec<String> = xattr::list(&path)
            .unwrap()
            .filter(|name| !name.to_string_lossy().starts_with("trusted.overlay."))
            .map(|name| format!("{}={:?}", name.display(), xattr::get(&path, &name).unwrap()))
            .collect();
        attributes.sort();
        let (mode, uid, gid) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
        found.insert(
            name,
            format!(
                "{what}, {mode:o} {uid}:{gid}, time {}, {attributes:?}",
                metadata.mtime()
            ),
        );
    }
}
