//! Keeping the build cache small.
//!
//! The cache consists of [`Item`]s: layers that steps made, with the records that lead to them, and cache mounts. A pure
//! policy ([`policy`]) chooses which go; their rows are deleted in one transaction, and then [`Store::sweep`] removes the
//! snapshots that nothing needs any more. What a running build or an existing container uses is never chosen.

mod forget;
mod items;
mod mounts;
mod policy;
mod quota;

use howdah_image::{SnapshotId, Store, StoreError, Swept};
use rusqlite::Transaction;

pub use items::{Item, ItemKind};
pub use mounts::directory_size;
pub use policy::{Prune, SizeLimits};
pub use quota::{disk_limits, keep_quota};

use crate::cache::migrate;
use crate::root::Root;

/// Why the cache could not be looked at or made smaller.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PruneError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A cache mount cannot be looked at or removed.
    #[error("cannot {action} the cache mount `{}`", path.display())]
    Mount {
        /// What was attempted.
        action: &'static str,
        /// Its directory.
        path: std::path::PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// What a prune removed.
#[derive(Clone, Debug, Default)]
pub struct Pruned {
    /// The items, least recently used first.
    pub items: Vec<Item>,
    /// How much the disk got back.
    pub bytes: u64,
}

/// Everything in the build cache, least recently used first.
pub fn items(store: &Store) -> Result<Vec<Item>, PruneError> {
    migrate(store)?;
    Ok(items::Inventory::take(store)?.items)
}

/// Removes what `prune` says, and everything in the store that belonged to it alone. `now`: milliseconds since 1970.
pub fn prune(store: &Store, prune: &Prune, now: i64) -> Result<Pruned, PruneError> {
    let _room = store.make_room();
    migrate(store)?;
    let inventory = items::Inventory::take(store)?;
    let chosen = policy::choose(&inventory, prune, now);
    let items: Vec<Item> = chosen
        .iter()
        .map(|index| inventory.items[*index].clone())
        .collect();
    forget::items(store, &items, now)?;
    let mut pruned = Pruned::default();
    for item in items {
        if item.kind == ItemKind::Mount {
            // A build may have begun to use it.
            let Some(bytes) = mounts::remove(store, &item)? else {
                continue;
            };
            pruned.bytes += bytes;
        }
        pruned.items.push(item);
    }
    pruned.bytes += collect(store)?;
    forget::leftovers(store, now)?;
    Ok(pruned)
}

/// Removes snapshots and blobs that nothing needs any more, as after an image was removed. Returns how many bytes.
pub fn collect(store: &Store) -> Result<u64, PruneError> {
    let _room = store.make_room();
    migrate(store)?;
    let Swept { bytes, .. } = store.sweep(referenced)?;
    Ok(bytes + store.sweep_blobs()?)
}

/// The snapshots that the tables of builds refer to.
fn referenced(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<SnapshotId>> {
    let mut snapshots = Vec::new();
    let mut records = transaction.prepare("SELECT root FROM build_records")?;
    for text in records.query_map([], |row| row.get::<_, String>(0))? {
        // A record that cannot be read is a miss for builds too.
        if let Ok(root) = serde_json::from_str::<Root>(&text?) {
            snapshots.extend(root.layers.into_iter().flat_map(|layer| layer.snapshots));
        }
    }
    let mut layers = transaction.prepare("SELECT snapshots FROM build_layers")?;
    for text in layers.query_map([], |row| row.get::<_, String>(0))? {
        snapshots.extend(serde_json::from_str::<Vec<SnapshotId>>(&text?).unwrap_or_default());
    }
    Ok(snapshots)
}
