//! A cache of all that a store remembers, for an export without a build (docs/decisions/0028).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use howdah_image::{RegistryOptions, SnapshotId, Store, StoreError};
use howdah_solver::Key;
use rusqlite::Connection;

use super::collect::{Collected, StepResult};
use super::contents::{LARGEST, LONGEST_UNUSED};
use super::export::{CacheExport, now};
use super::spec::{CacheMode, CacheTarget};
use crate::cache::migrate;
use crate::root::Root;

/// A result, as the database has it.
#[derive(Default)]
struct Remembered {
    /// Those by definition first, which the history has.
    keys: Vec<Key>,
    used: i64,
    seconds: f64,
}

impl CacheExport {
    /// An export of the results of all steps that were used in the last two weeks, the latest first and as many as a cache
    /// takes. With [`CacheMode::Min`] only of those whose layers images have.
    pub fn of_store(
        store: &Store,
        target: CacheTarget,
        registry: RegistryOptions,
    ) -> Result<CacheExport, StoreError> {
        migrate(store)?;
        let mut collected = Collected::default();
        if target.mounts {
            collected.mounts = mounts(store)?;
        }
        let (results, mut memories) = store.database().with(|connection| {
            let transaction = connection.transaction()?;
            Ok((results(&transaction)?, memories(&transaction)?))
        })?;
        let in_images = match target.mode {
            CacheMode::Min => Some(store.image_snapshots()?),
            CacheMode::Max => None,
        };
        let mut size = 0;
        let mut counted: HashSet<SnapshotId> = HashSet::new();
        for (text, result) in results {
            let Ok(root) = serde_json::from_str::<Root>(&text) else {
                continue;
            };
            let wanted = |id| in_images.as_ref().is_none_or(|images| images.contains(id));
            // What is gone already, or is being removed now, is no result any more.
            if !root.snapshots().all(wanted) || !store.hold(root.snapshots())? {
                continue;
            }
            let (arrived, made) = root.layers.iter().partition(|layer| layer.is_arrived());
            let (arrived, made): (Vec<_>, Vec<_>) = (arrived, made);
            let made = made.into_iter().flat_map(|layer| &layer.snapshots);
            let new: Vec<&SnapshotId> = made.filter(|id| !counted.contains(id)).collect();
            let mut more = 0;
            for id in &new {
                more += store.snapshot_size(id)?;
            }
            if size + more > LARGEST {
                continue;
            }
            size += more;
            counted.extend(new.into_iter().cloned());
            collected
                .base
                .extend(arrived.iter().map(|layer| layer.content));
            let subjects = root.layers.last().map(|layer| layer.content);
            let subjects = subjects.into_iter().chain([root.content()]);
            collected.steps.push(StepResult {
                keys: result.keys,
                seconds: result.seconds,
                used: result.used,
                memories: subjects
                    .filter_map(|subject| memories.remove(&subject))
                    .flatten()
                    .collect(),
                root: Arc::new(root),
            });
        }
        Ok(CacheExport {
            target,
            registry,
            collected,
        })
    }
}

/// All results by their roots, the last used ones first.
fn results(connection: &Connection) -> rusqlite::Result<Vec<(String, Remembered)>> {
    let used: HashMap<Key, i64> = by_key(
        connection,
        "SELECT key, max(started) / 1000 FROM build_vertices JOIN builds ON id = build
         WHERE build_vertices.outcome IN ('hit', 'executed') GROUP BY key",
    )?;
    let mut seconds: HashMap<Key, f64> =
        by_key(connection, "SELECT key, seconds FROM build_elsewhere")?;
    seconds.extend(by_key::<f64>(
        connection,
        "SELECT key, max(seconds) FROM build_vertices WHERE outcome = 'executed' GROUP BY key",
    )?);
    let mut results: HashMap<String, Remembered> = HashMap::new();
    let mut statement = connection.prepare("SELECT key, root, used FROM build_records")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let key = Key::from(row.get::<_, [u8; 32]>(0)?);
        let result = results.entry(row.get(1)?).or_default();
        let last = used.get(&key).copied();
        result.used = result.used.max(row.get(2)?).max(last.unwrap_or(0));
        if let Some(seconds) = seconds.get(&key) {
            result.seconds = result.seconds.max(*seconds);
        }
        match last {
            Some(_) => result.keys.insert(0, key),
            None => result.keys.push(key),
        }
    }
    let now = now();
    let mut results: Vec<_> = results.into_iter().collect();
    results.retain(|(_, result)| now.saturating_sub(result.used) <= LONGEST_UNUSED);
    results.sort_by_key(|(_, result)| std::cmp::Reverse(result.used));
    Ok(results)
}

/// What is remembered of parts of roots and of copies, by the content that it is about.
fn memories(connection: &Connection) -> rusqlite::Result<HashMap<Key, Vec<(Key, Key)>>> {
    let sql = "SELECT subject, key, digest FROM build_contents WHERE subject IS NOT NULL";
    let mut statement = connection.prepare(sql)?;
    let mut memories: HashMap<Key, Vec<(Key, Key)>> = HashMap::new();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let key = |column| row.get::<_, [u8; 32]>(column).map(Key::from);
        memories
            .entry(key(0)?)
            .or_default()
            .push((key(1)?, key(2)?));
    }
    Ok(memories)
}

fn by_key<T: rusqlite::types::FromSql>(
    connection: &Connection,
    sql: &str,
) -> rusqlite::Result<HashMap<Key, T>> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        Ok((Key::from(row.get::<_, [u8; 32]>(0)?), row.get(1)?))
    })?;
    rows.collect()
}

/// The ids of all cache mounts.
fn mounts(store: &Store) -> Result<Vec<String>, StoreError> {
    let directory = store.root().join("mounts");
    let error = |source| StoreError::Io {
        action: "list",
        path: directory.clone(),
        source,
    };
    // The copies of a private cache have one id.
    let mut ids = BTreeSet::new();
    let entries = match fs_err::read_dir(&directory) {
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(error)?,
    };
    for entry in entries {
        // One that is being made or removed is left out.
        ids.extend(fs_err::read_to_string(
            entry.map_err(error)?.path().join("id"),
        ));
    }
    Ok(ids.into_iter().collect())
}
