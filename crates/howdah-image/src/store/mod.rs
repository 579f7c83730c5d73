//! The store: blobs, snapshots and the database below one root, whole after `kill -9` at any instant.
//!
//! Objects are made below `tmp/` and appear by rename. What a dead process left in `tmp/` is removed by the next
//! [`Store::open`]; a lock on each entry tells the dead from the living. Blobs on their way here are below `partial/` and
//! outlive their process, so that the next one goes on where it stopped.

mod blobs;
mod database;
mod error;
mod hold;
mod ids;
mod images;
mod layers;
mod partial;
mod reserve;
mod staging;
mod sweep;
mod temporary;

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::SnapshotId;

pub use blobs::BlobWriter;
pub use database::Database;
pub use error::{SqliteError, StoreError};
pub use hold::Pin;
pub use layers::{Compression, LayerBlob};
pub(crate) use partial::PartialBlob;
pub use reserve::Room;
pub use staging::Staging;
pub use sweep::Swept;
pub(crate) use temporary::{Temporary, random_bytes};

/// Snapshots keep set-user-id programs and every owner's files, so nobody but the store's owner may look inside.
const DIRECTORY_MODE: u32 = 0o700;
const LAYOUT: [&str; 4] = ["blobs/sha256", "partial", "snapshots", "tmp"];

/// A handle on the store; clones share one database connection.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    database: Database,
    /// What this process holds, once it holds something.
    holds: Mutex<Option<hold::Holds>>,
}

impl Store {
    /// Opens the store at `root`, makes its layout when it is new, and removes what dead processes left in `tmp/`. A store
    /// that was made in another user namespace is refused ([`StoreError::OtherIds`]).
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let root = std::path::absolute(root).map_err(StoreError::io("find", root))?;
        let store = Self(Arc::new(Inner {
            database: Database::new(root.join("howdah.db")),
            holds: Mutex::new(None),
            root,
        }));
        store.make_layout()?;
        ids::check(store.root())?;
        store.database().migrate("image", images::MIGRATIONS)?;
        temporary::reap(&store.temporary_directory())?;
        store.keep_reserve();
        Ok(store)
    }

    /// The directory everything is below.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// The database, in which other parts keep their own tables.
    pub fn database(&self) -> &Database {
        &self.0.database
    }

    /// Where the sealed tree `id` is, or would be: an overlay lower with character devices 0:0 as whiteouts and
    /// [`opaque_attribute`](crate::namespace::opaque_attribute).
    pub fn snapshot_path(&self, id: &SnapshotId) -> PathBuf {
        self.0.root.join("snapshots").join(id.as_str())
    }

    /// Whether the sealed tree `id` is here.
    pub fn has_snapshot(&self, id: &SnapshotId) -> bool {
        self.snapshot_path(id).is_dir()
    }

    /// A fresh pair of overlay `upper` and `work` directories, on the same filesystem as the snapshots.
    pub fn stage(&self) -> Result<Staging, StoreError> {
        Staging::new(self.clone())
    }

    /// Makes everything that was sealed so far survive a power cut, by one syncfs(2).
    ///
    /// A seal itself does not wait for the disk: a process's death loses nothing that was written, and thousands of
    /// files are too slow to fsync one by one. Without this the kernel has them on disk within about half a minute
    /// (`vm.dirty_expire_centisecs`).
    pub fn settle(&self) -> Result<(), StoreError> {
        let error = || StoreError::io("sync", self.root());
        let root = fs_err::File::open(self.root()).map_err(error())?;
        rustix::fs::syncfs(&root)
            .map_err(io::Error::from)
            .map_err(error())
    }

    pub(crate) fn temporary_directory(&self) -> PathBuf {
        self.0.root.join("tmp")
    }

    fn make_layout(&self) -> Result<(), StoreError> {
        for name in LAYOUT {
            let path = self.0.root.join(name);
            if !path.is_dir() {
                make_private_directory(&path)
                    .map_err(StoreError::io("make the directory", &path))?;
            }
        }
        Ok(())
    }
}

fn make_private_directory(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(path)
}
