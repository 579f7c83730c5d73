//! A tree in the making: the upper and work directories of an overlay, sealed as a snapshot by rename.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{Store, StoreError, Temporary};
use crate::SnapshotId;

/// `tmp/<random>/{upper,work}`. Dropped without [`seal`](Self::seal), it is removed.
#[derive(Debug)]
pub struct Staging {
    store: Store,
    directory: Temporary,
    upper: PathBuf,
    work: PathBuf,
}

impl Staging {
    pub(super) fn new(store: Store) -> Result<Self, StoreError> {
        let directory = Temporary::new(&store.temporary_directory())?;
        let upper = directory.path().join("upper");
        let work = directory.path().join("work");
        for path in [&upper, &work] {
            fs_err::create_dir(path).map_err(StoreError::io("make the directory", path))?;
        }
        // The upper's root is what `/` looks like in the container, whatever our umask is.
        fs_err::set_permissions(&upper, std::fs::Permissions::from_mode(0o755))
            .map_err(StoreError::io("set the mode of", &upper))?;
        Ok(Self {
            store,
            directory,
            upper,
            work,
        })
    }

    /// The tree itself.
    pub fn upper(&self) -> &Path {
        &self.upper
    }

    /// Overlayfs's work directory.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// A directory for other files that go with the tree and away with the staging.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Makes the tree the snapshot `id`. When there is one already (another process was faster) this one is dropped: equal
    /// ids mean equal content.
    pub fn seal(self, id: &SnapshotId) -> Result<(), StoreError> {
        let target = self.store.snapshot_path(id);
        // Nothing refers to it yet, so a sweep would take it away.
        self.store.hold([id])?;
        // RENAME_NOREPLACE, because rename(2) would replace an empty directory.
        let renamed = rustix::fs::renameat_with(
            rustix::fs::CWD,
            &self.upper,
            rustix::fs::CWD,
            &target,
            rustix::fs::RenameFlags::NOREPLACE,
        );
        match renamed {
            Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
            Err(errno) => Err(StoreError::io("seal the snapshot", &target)(
                io::Error::from(errno),
            )),
        }
    }
}
