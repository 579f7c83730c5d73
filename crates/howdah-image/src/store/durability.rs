//! Power cuts. A process's death loses nothing that was written, but a machine's death loses what the kernel had not yet
//! written back, and a snapshot of thousands of files is too slow to fsync file by file.
//!
//! So a snapshot is sealed together with a mark `unsettled/<id>` that holds the boot's id. A mark of an earlier boot says
//! that the machine went down before the tree was known to be on disk: the snapshot is dropped and will be made again. Marks
//! are cleared by [`settle`] (one syncfs(2)), or once the kernel has had ample time to write back.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use rusqlite::params;

use super::{Store, StoreError};
use crate::{Layer, SnapshotId};

/// The kernel writes dirty pages back after 30 seconds (`vm.dirty_expire_centisecs`, kernel documentation sysctl/vm.rst).
const WRITTEN_BACK_AFTER: Duration = Duration::from_mins(5);

pub(super) fn mark_unsettled(store: &Store, id: &SnapshotId) -> Result<(), StoreError> {
    let path = store.root().join("unsettled").join(id.as_str());
    boot_id()
        .and_then(|boot| fs_err::write(&path, boot))
        .map_err(StoreError::io("write", &path))
}

/// Makes everything that was sealed so far survive a power cut.
pub(crate) fn settle(store: &Store) -> Result<(), StoreError> {
    let marks = marks(store)?;
    if marks.is_empty() {
        return Ok(());
    }
    let error = || StoreError::io("sync", store.root());
    let root = fs_err::File::open(store.root()).map_err(error())?;
    rustix::fs::syncfs(&root)
        .map_err(io::Error::from)
        .map_err(error())?;
    for id in marks {
        remove_mark(store, &id)?;
    }
    Ok(())
}

/// Drops the snapshots that an earlier boot did not settle, and the images that need them.
pub(super) fn forget_lost(store: &Store) -> Result<(), StoreError> {
    let marks = marks(store)?;
    if marks.is_empty() {
        return Ok(());
    }
    let boot = boot_id().map_err(StoreError::io("read the boot id for", store.root()))?;
    let mut lost = BTreeSet::new();
    for id in marks {
        let path = store.root().join("unsettled").join(id.as_str());
        // A mark that another process clears meanwhile needs nothing.
        let Ok(marked_boot) = fs_err::read_to_string(&path) else {
            continue;
        };
        let age = fs_err::metadata(&path)
            .and_then(|metadata| metadata.modified())
            .ok()
            .and_then(|time| time.elapsed().ok());
        if marked_boot != boot {
            lost.insert(id);
        } else if age.is_some_and(|age| age > WRITTEN_BACK_AFTER) {
            remove_mark(store, &id)?;
        }
    }
    if lost.is_empty() {
        Ok(())
    } else {
        drop_snapshots(store, &lost)
    }
}

fn drop_snapshots(store: &Store, lost: &BTreeSet<SnapshotId>) -> Result<(), StoreError> {
    store.database().with(|connection| {
        let transaction = connection.transaction()?;
        {
            let mut images = transaction.prepare("SELECT id, layers FROM images")?;
            let mut rows = images.query([])?;
            while let Some(row) = rows.next()? {
                let layers: Vec<Layer> =
                    serde_json::from_str(&row.get::<_, String>(1)?).unwrap_or_default();
                if layers
                    .iter()
                    .flat_map(|layer| &layer.snapshots)
                    .any(|id| lost.contains(id))
                {
                    transaction.execute(
                        "DELETE FROM images WHERE id = ?1",
                        params![row.get::<_, String>(0)?],
                    )?;
                }
            }
        }
        transaction.commit()
    })?;
    for id in lost {
        let path = store.snapshot_path(id);
        // Moved away first: a half-removed snapshot must never be found under its name.
        let grave = super::Temporary::new(&store.temporary_directory())?;
        match fs_err::rename(&path, grave.path().join("lost")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io("remove", &path)(error));
            }
            _ => remove_mark(store, id)?,
        }
    }
    Ok(())
}

fn marks(store: &Store) -> Result<Vec<SnapshotId>, StoreError> {
    let path = store.root().join("unsettled");
    let entries = fs_err::read_dir(&path).map_err(StoreError::io("list", &path))?;
    Ok(entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect())
}

fn remove_mark(store: &Store, id: &SnapshotId) -> Result<(), StoreError> {
    let path = store.root().join("unsettled").join(id.as_str());
    match fs_err::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", &path)(error))
        }
        _ => Ok(()),
    }
}

/// `random(4)`: "`boot_id` ... is a random string generated once" per boot.
fn boot_id() -> io::Result<String> {
    fs_err::read_to_string("/proc/sys/kernel/random/boot_id")
}
