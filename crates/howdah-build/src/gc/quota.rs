//! The quota that is kept after builds.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use howdah_image::{SnapshotId, Store, StoreError};

use super::items::Inventory;
use super::{Prune, PruneError, Pruned, SizeLimits, forget, policy, prune};
use crate::cache::migrate;

/// What nobody used for so long goes, however much room there is (BuildKit's default, `gcpolicy.go`).
const LONGEST_UNUSED: Duration = Duration::from_hours(60 * 24);
/// How often everything is looked through although there is room.
const EVERY: Duration = Duration::from_hours(24);
/// Its time of change says when everything was looked through last.
const STAMP: &str = "pruned";

/// The limits that fit the disk of `path`.
pub fn disk_limits(path: &Path) -> std::io::Result<SizeLimits> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(SizeLimits::of_disk(
        disk.f_blocks.saturating_mul(disk.f_frsize),
    ))
}

/// Keeps the cache within `limits`, and once a day removes what was not used for two months. Costs little when there is
/// room. `now`: milliseconds since 1970.
pub fn keep_quota(
    store: &Store,
    limits: &SizeLimits,
    now: i64,
) -> Result<Option<Pruned>, PruneError> {
    migrate(store)?;
    let disk = rustix::fs::statvfs(store.root()).map_err(|errno| StoreError::Io {
        action: "ask for the free space of",
        path: store.root().to_owned(),
        source: errno.into(),
    })?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let stamp = store.root().join(STAMP);
    let due = fs_err::metadata(&stamp)
        .and_then(|metadata| metadata.modified())
        .map_or(true, |last| {
            SystemTime::now()
                .duration_since(last)
                .map_or(true, |age| age > EVERY)
        });
    let most = estimate(store)?;
    if !due && most <= limits.keep(most, free) {
        return Ok(None);
    }
    let mut pruned = Pruned::default();
    if due {
        let old = Prune {
            unused_for: i64::try_from(LONGEST_UNUSED.as_millis()).ok(),
            ..Prune::default()
        };
        pruned = prune(store, &old, now)?;
        forget::history(store, now)?;
        fs_err::write(&stamp, "").map_err(|source| StoreError::Io {
            action: "write",
            path: stamp,
            source,
        })?;
    }
    let used = policy::total(&Inventory::take(store)?);
    let keep = limits.keep(used, free);
    if used > keep {
        let size = Prune {
            keep_bytes: Some(keep),
            ..Prune::default()
        };
        let more = prune(store, &size, now)?;
        pruned.items.extend(more.items);
        pruned.bytes += more.bytes;
    }
    Ok(Some(pruned))
}

/// No less than the cache's snapshots have: all but those of images. Measures only what is new. Cache mounts are left to
/// the daily look.
fn estimate(store: &Store) -> Result<u64, PruneError> {
    let in_images: HashSet<SnapshotId> = store.image_snapshots()?;
    let directory = store.root().join("snapshots");
    let error = |source| StoreError::Io {
        action: "list",
        path: directory.clone(),
        source,
    };
    let mut bytes = 0;
    for entry in fs_err::read_dir(&directory).map_err(error)? {
        let name = entry.map_err(error)?.file_name();
        if let Some(id) = name
            .to_str()
            .and_then(|name| name.parse::<SnapshotId>().ok())
            && !in_images.contains(&id)
        {
            bytes += store.snapshot_size(&id)?;
        }
    }
    Ok(bytes)
}
