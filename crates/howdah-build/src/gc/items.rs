//! What is in the build cache.

use std::collections::{BTreeMap, HashMap, HashSet};

use howdah_image::{SnapshotId, Store};
use howdah_solver::Key;
use serde::Serialize;

use super::{PruneError, mounts};
use crate::root::Root;

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ItemKind {
    /// The result of a step.
    #[serde(rename = "regular")]
    Step,
    /// A directory of `RUN --mount=type=cache`.
    #[serde(rename = "exec.cachemount")]
    Mount,
}

/// One thing that can be removed.
#[derive(Clone, Debug, Serialize)]
pub struct Item {
    /// 12 hexadecimal digits.
    pub id: String,
    /// What it is.
    pub kind: ItemKind,
    /// The step, or the name of the mount.
    pub description: String,
    /// The size of what it has for itself.
    pub bytes: u64,
    /// Milliseconds since 1970.
    pub last_used: i64,
    /// In how many builds.
    pub uses: u64,
    /// A running build or a container needs it.
    pub in_use: bool,
    /// An image needs it, so removing it frees nothing.
    pub shared: bool,
    /// The keys that lead to it.
    #[serde(skip)]
    pub(super) keys: Vec<Key>,
    /// Of a step: the snapshots of its layer. Of a mount: none.
    #[serde(skip)]
    pub(super) snapshots: Vec<SnapshotId>,
    /// Of a mount: its directory's name.
    #[serde(skip)]
    pub(super) mount: Option<String>,
}

impl Item {
    /// For how long nobody used it, in milliseconds. A clock that was set back must not make everything young forever, so
    /// what was used in the future counts as unused for as long.
    pub fn unused_for(&self, now: i64) -> i64 {
        now.saturating_sub(self.last_used).saturating_abs()
    }
}

/// All items, and the sizes of snapshots.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    /// Least recently used first.
    pub(super) items: Vec<Item>,
    /// Of those that no image has.
    pub(super) sizes: HashMap<SnapshotId, u64>,
}

/// What the history knows of a key.
struct Usage {
    last: i64,
    builds: u64,
    name: String,
}

impl Inventory {
    pub(super) fn take(store: &Store) -> Result<Inventory, PruneError> {
        let (in_images, mut in_use) = (store.image_snapshots()?, store.held()?);
        in_use.extend(store.pins()?.into_iter().flat_map(|pin| pin.snapshots));
        let mut items = steps(store)?;
        let mut sizes = HashMap::new();
        let mut counted: HashSet<SnapshotId> = HashSet::new();
        for item in &mut items {
            item.in_use = item
                .snapshots
                .iter()
                .any(|snapshot| in_use.contains(snapshot));
            item.shared = item
                .snapshots
                .iter()
                .any(|snapshot| in_images.contains(snapshot));
            for snapshot in &item.snapshots {
                let size = store.snapshot_size(snapshot)?;
                if !in_images.contains(snapshot) {
                    sizes.insert(snapshot.clone(), size);
                }
                // Deltas share their base; the first item that has a snapshot shows it.
                if counted.insert(snapshot.clone()) {
                    item.bytes += size;
                }
            }
        }
        items.extend(mounts::items(store)?);
        items.sort_by(|left, right| {
            left.last_used
                .cmp(&right.last_used)
                .then_with(|| left.id.cmp(&right.id))
        });
        Ok(Inventory { items, sizes })
    }
}

/// The results of steps: records and layers with the same snapshots on top are one item.
fn steps(store: &Store) -> Result<Vec<Item>, PruneError> {
    let usage = usage(store)?;
    let (records, layers) = store.database().with(|connection| {
        let mut statement =
            connection.prepare("SELECT key, root, used FROM build_records ORDER BY used, key")?;
        let records: Vec<([u8; 32], String, i64)> = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<Result<_, _>>()?;
        let mut statement = connection.prepare("SELECT snapshots FROM build_layers")?;
        let layers: Vec<String> = statement
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        Ok((records, layers))
    })?;
    let mut items: BTreeMap<String, Item> = BTreeMap::new();
    for (key, text, used) in records {
        let key = Key::from(key);
        let root: Root = serde_json::from_str(&text).unwrap_or_default();
        let snapshots = root
            .layers
            .last()
            .map(|layer| layer.snapshots.clone())
            .unwrap_or_default();
        // A step that changed nothing has no snapshot; what it stands on tells it from others.
        let name = if snapshots.is_empty() {
            text
        } else {
            join(&snapshots)
        };
        let item = items
            .entry(name)
            .or_insert_with_key(|name| item(name, snapshots));
        item.last_used = item.last_used.max(used.saturating_mul(1000));
        if let Some(usage) = usage.get(&key) {
            item.uses += usage.builds;
            if item.description.is_empty() || usage.last > item.last_used {
                item.description.clone_from(&usage.name);
            }
            item.last_used = item.last_used.max(usage.last);
        }
        item.keys.push(key);
    }
    for text in layers {
        let snapshots: Vec<SnapshotId> = serde_json::from_str(&text).unwrap_or_default();
        items
            .entry(join(&snapshots))
            .or_insert_with_key(|name| item(name, snapshots));
    }
    Ok(items.into_values().collect())
}

fn item(name: &str, snapshots: Vec<SnapshotId>) -> Item {
    Item {
        id: Key::of(name.as_bytes()).to_string()[..12].to_owned(),
        kind: ItemKind::Step,
        description: String::new(),
        bytes: 0,
        last_used: 0,
        uses: 0,
        in_use: false,
        shared: false,
        keys: Vec::new(),
        snapshots,
        mount: None,
    }
}

fn join(snapshots: &[SnapshotId]) -> String {
    snapshots
        .iter()
        .map(SnapshotId::as_str)
        .collect::<Vec<_>>()
        .join(" ")
}

fn usage(store: &Store) -> Result<HashMap<Key, Usage>, PruneError> {
    let usage = store.database().with(|connection| {
        // With max(), the other columns are those of the row that has it (sqlite.org/lang_select.html#bareagg).
        let mut statement = connection.prepare(
            "SELECT key, max(started), count(*), name FROM build_vertices JOIN builds ON id = build
             WHERE build_vertices.outcome IN ('hit', 'executed') GROUP BY key",
        )?;
        let rows = statement.query_map([], |row| {
            let usage = Usage {
                last: row.get(1)?,
                builds: row.get::<_, i64>(2)?.unsigned_abs(),
                name: row.get(3)?,
            };
            Ok((Key::from(row.get::<_, [u8; 32]>(0)?), usage))
        })?;
        rows.collect()
    })?;
    Ok(usage)
}
