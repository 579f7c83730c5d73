//! Deleting rows: of items, of what belonged to them, of old history.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use howdah_image::{SnapshotId, Store, StoreError};
use howdah_solver::Key;
use rusqlite::Transaction;

use super::items::{Item, ItemKind};
use crate::cache::Memory;
use crate::history;
use crate::root::Root;

/// Older builds are forgotten.
const HISTORY: Duration = Duration::from_hours(90 * 24);

/// Deletes the records that lead to these items, and notes when, for `why`.
pub(super) fn items(store: &Store, items: &[Item], now: i64) -> Result<(), StoreError> {
    store.database().with(|connection| {
        let transaction = connection.transaction()?;
        for item in items.iter().filter(|item| item.kind == ItemKind::Step) {
            for key in &item.keys {
                transaction
                    .prepare_cached("DELETE FROM build_records WHERE key = ?1")?
                    .execute([key.as_bytes()])?;
                transaction
                    .prepare_cached(
                        "INSERT OR REPLACE INTO build_pruned (key, at) VALUES (?1, ?2)",
                    )?
                    .execute((key.as_bytes(), now))?;
            }
            // As cache/layers.rs writes it.
            let snapshots = serde_json::to_string(&item.snapshots).unwrap_or_default();
            transaction
                .prepare_cached("DELETE FROM build_layers WHERE snapshots = ?1")?
                .execute([snapshots])?;
        }
        transaction.commit()
    })
}

/// Deletes rows that only meant something together with what is gone: last layers of steps, contents of image layers,
/// digests of parts of roots, stat caches of directories that are no more.
pub(super) fn leftovers(store: &Store, now: i64) -> Result<(), StoreError> {
    let oldest = now.saturating_sub(i64::try_from(HISTORY.as_millis()).unwrap_or(i64::MAX));
    let images = image_roots(store)?;
    store.database().with(|connection| {
        let transaction = connection.transaction()?;
        transaction.execute(
            "DELETE FROM build_steps WHERE layer NOT IN (SELECT key FROM build_layers)",
            [],
        )?;
        transaction.execute("DELETE FROM build_pruned WHERE at < ?1", [oldest])?;
        image_layers(&transaction, store)?;
        contents(&transaction, &images)?;
        contexts(&transaction)?;
        transaction.commit()
    })
}

/// The roots of all images. An image that goes meanwhile needs none.
fn image_roots(store: &Store) -> Result<Vec<Root>, StoreError> {
    let memory = Memory::new(store);
    let mut roots = Vec::new();
    for summary in store.images()? {
        if let Some(image) = store.find_image(&summary.id.to_string())? {
            roots.push(memory.image_root(&image)?);
        }
    }
    Ok(roots)
}

fn image_layers(transaction: &Transaction<'_>, store: &Store) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare("SELECT snapshots FROM build_image_layers")?;
    let rows: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for row in rows {
        let mut ids = row
            .split(' ')
            .filter_map(|id| id.parse::<SnapshotId>().ok());
        if !ids.all(|id| store.has_snapshot(&id)) {
            transaction.execute("DELETE FROM build_image_layers WHERE snapshots = ?1", [row])?;
        }
    }
    Ok(())
}

/// Digests of parts of roots that neither a record nor an image has any more.
fn contents(transaction: &Transaction<'_>, images: &[Root]) -> rusqlite::Result<()> {
    let mut subjects: HashSet<Key> = HashSet::new();
    let mut add = |root: &Root| {
        subjects.insert(root.content());
        subjects.extend(root.contents());
    };
    images.iter().for_each(&mut add);
    let mut records = transaction.prepare("SELECT root FROM build_records")?;
    for text in records.query_map([], |row| row.get::<_, String>(0))? {
        if let Ok(root) = serde_json::from_str(&text?) {
            add(&root);
        }
    }
    let mut statement = transaction.prepare("SELECT DISTINCT subject FROM build_contents")?;
    let known: Vec<Option<[u8; 32]>> = statement
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for subject in known {
        if subject.is_none_or(|subject| !subjects.contains(&Key::from(subject))) {
            let sql = "DELETE FROM build_contents WHERE subject IS ?1";
            transaction.execute(sql, [subject])?;
        }
    }
    Ok(())
}

fn contexts(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare("SELECT path FROM build_contexts")?;
    let rows: Vec<Vec<u8>> = statement
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for row in rows {
        // The directory, a zero byte, the ignore file: see lower/sources.rs.
        let directory = row.split(|byte| *byte == 0).next().unwrap_or_default();
        if !Path::new(std::ffi::OsStr::from_bytes(directory)).is_dir() {
            transaction.execute("DELETE FROM build_contexts WHERE path = ?1", [row])?;
        }
    }
    Ok(())
}

/// Forgets builds older than 90 days, and what was kept of their keys alone.
pub(super) fn history(store: &Store, now: i64) -> Result<(), StoreError> {
    let oldest = now.saturating_sub(i64::try_from(HISTORY.as_millis()).unwrap_or(i64::MAX));
    store.database().with(|connection| {
        let transaction = connection.transaction()?;
        if transaction.execute("DELETE FROM builds WHERE started < ?1", [oldest])? > 0 {
            transaction.execute(
                "DELETE FROM build_inputs WHERE key NOT IN (SELECT key FROM build_vertices)
                 AND key NOT IN (SELECT key FROM build_records)",
                [],
            )?;
            unused_sources(&transaction)?;
        }
        transaction.commit()
    })
}

fn unused_sources(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare("SELECT fields FROM build_inputs")?;
    let mut needed: HashSet<[u8; 32]> = HashSet::new();
    for fields in statement.query_map([], |row| row.get::<_, String>(0))? {
        needed.extend(history::content_digests(&fields?));
    }
    let mut statement = transaction.prepare("SELECT digest, files FROM build_sources")?;
    let sources: Vec<([u8; 32], Vec<u8>)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut texts: HashSet<[u8; 8]> = HashSet::new();
    for (digest, files) in sources {
        if needed.contains(&digest) {
            texts.extend(history::text_digests(&files));
        } else {
            transaction.execute("DELETE FROM build_sources WHERE digest = ?1", [digest])?;
        }
    }
    let mut statement = transaction.prepare("SELECT digest FROM build_texts")?;
    let known: Vec<[u8; 8]> = statement
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for digest in known.iter().filter(|digest| !texts.contains(*digest)) {
        transaction.execute("DELETE FROM build_texts WHERE digest = ?1", [digest])?;
    }
    Ok(())
}
