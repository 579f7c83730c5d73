//! Removing snapshots and blobs that nothing needs any more.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use rusqlite::Transaction;

use super::temporary::{self, Temporary};
use super::{Store, StoreError};
use crate::{Digest, Layer, SnapshotId};

/// A blob is on its way from or to a registry before the database knows of it; no transfer takes longer.
const YOUNGEST_BLOB: Duration = Duration::from_hours(24);

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many snapshots.
    pub snapshots: usize,
    /// The sum of their sizes.
    pub bytes: u64,
}

impl Store {
    /// Removes the snapshots that no image has, no process holds, no container stands on, and `referenced` does not
    /// name. Whoever refers to a snapshot in a table of its own names it there; the database does not change meanwhile.
    ///
    /// Rows go first and files later, and files go by a rename: killed at any moment, this leaves nothing that points to
    /// a missing snapshot.
    pub fn sweep(
        &self,
        referenced: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<Vec<SnapshotId>>,
    ) -> Result<Swept, StoreError> {
        let directory = self.root().join("snapshots");
        // Made before the gate is closed, through which it goes itself.
        let trash = Temporary::new(&self.temporary_directory())?;
        let gate = temporary::close_gate(&self.temporary_directory())?;
        let mut kept = self.held()?;
        kept.extend(self.pins()?.into_iter().flat_map(|pin| pin.snapshots));
        let mut unneeded = Vec::new();
        for entry in fs_err::read_dir(&directory).map_err(StoreError::io("list", &directory))? {
            let name = entry
                .map_err(StoreError::io("list", &directory))?
                .file_name();
            unneeded.extend(
                name.to_str()
                    .and_then(|name| name.parse::<SnapshotId>().ok()),
            );
        }
        unneeded.retain(|id| !kept.contains(id));
        let mut swept = Swept::default();
        self.database().with(|connection| {
            let transaction = connection.transaction()?;
            kept.extend(image_snapshots(&transaction)?);
            kept.extend(referenced(&transaction)?);
            unneeded.retain(|id| !kept.contains(id));
            for id in &unneeded {
                let size = transaction
                    .prepare_cached(
                        "DELETE FROM snapshot_sizes WHERE snapshot = ?1 RETURNING size",
                    )?
                    .query_map([id.as_str()], |row| row.get::<_, i64>(0))?
                    .sum::<rusqlite::Result<i64>>()?;
                swept.bytes += size.unsigned_abs();
            }
            transaction.commit()
        })?;
        for id in &unneeded {
            let from = self.snapshot_path(id);
            fs_err::rename(&from, trash.path().join(id.as_str()))
                .map_err(StoreError::io("remove", &from))?;
        }
        swept.snapshots = unneeded.len();
        // The files themselves take longer than anybody should wait at the gate.
        drop(gate);
        drop(trash);
        Ok(swept)
    }

    /// Removes blobs that hold no layer of an image here and that nobody touched for a day: layers of images that are
    /// gone, and packed layers, which can be packed again. Returns the sum of their sizes.
    pub fn sweep_blobs(&self) -> Result<u64, StoreError> {
        let needed = self.needed_blobs()?;
        let directory = self.root().join("blobs/sha256");
        let error = || StoreError::io("list", &directory);
        let mut bytes = 0;
        for entry in fs_err::read_dir(&directory).map_err(error())? {
            let entry = entry.map_err(error())?;
            let digest = entry
                .file_name()
                .to_str()
                .and_then(|name| format!("sha256:{name}").parse::<Digest>().ok());
            let metadata = entry.metadata().map_err(error())?;
            let path = entry.path();
            let touched = metadata.modified().unwrap_or_else(|_| SystemTime::now());
            let age = touched.elapsed();
            if age.is_err() {
                // The clock was set back since. It may be on its way as well as old, so its day begins now.
                let file = fs_err::File::open(&path).map_err(StoreError::io("open", &path))?;
                file.set_modified(SystemTime::now())
                    .map_err(StoreError::io("touch", &path))?;
            }
            let young = age.map_or(true, |age| age < YOUNGEST_BLOB);
            let Some(digest) = digest.filter(|digest| !young && !needed.contains(digest)) else {
                continue;
            };
            fs_err::remove_file(&path).map_err(StoreError::io("remove", &path))?;
            bytes += metadata.len();
            self.database().with(|connection| {
                connection.execute(
                    "DELETE FROM layer_blobs WHERE digest = ?1",
                    [digest.to_string()],
                )
            })?;
        }
        Ok(bytes)
    }

    /// The blobs of layers that images name by their diff ids.
    fn needed_blobs(&self) -> Result<HashSet<Digest>, StoreError> {
        self.database().with(|connection| {
            let mut statement = connection.prepare(
                "SELECT digest FROM layer_blobs WHERE diff_id IN
                 (SELECT value FROM images, json_each(config, '$.rootfs.diff_ids'))",
            )?;
            let digests = statement.query_map([], |row| row.get::<_, String>(0))?;
            Ok(digests
                .filter_map(Result::ok)
                .filter_map(|digest| digest.parse().ok())
                .collect())
        })
    }

    /// The snapshots of all images.
    pub fn image_snapshots(&self) -> Result<HashSet<SnapshotId>, StoreError> {
        self.database().with(|connection| {
            let transaction = connection.transaction()?;
            image_snapshots(&transaction)
        })
    }
}

fn image_snapshots(transaction: &Transaction<'_>) -> rusqlite::Result<HashSet<SnapshotId>> {
    let mut statement = transaction.prepare("SELECT layers FROM images")?;
    let texts = statement.query_map([], |row| row.get::<_, String>(0))?;
    let mut snapshots = HashSet::new();
    for text in texts {
        let layers: Vec<Layer> = serde_json::from_str(&text?).map_err(|error| {
            // What cannot be read must not be taken for empty: its snapshots would be removed.
            rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into())
        })?;
        snapshots.extend(layers.into_iter().flat_map(|layer| layer.snapshots));
    }
    Ok(snapshots)
}
