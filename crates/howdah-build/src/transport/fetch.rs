//! Taking a whole cache into the store, so that builds need neither the cache nor its network (docs/decisions/0028).

use std::collections::HashSet;

use howdah_image::{RegistryOptions, SnapshotId, Store};
use howdah_solver::Key;
use rusqlite::OptionalExtension as _;

use super::backend::Backend;
use super::caches::{Caches, FetchedLayers, root_layer};
use super::contents::{Blob, LayerFiles, Record};
use super::error::CacheError;
use super::spec::CacheSource;
use super::{PARALLEL, in_parallel};
use crate::cache::{migrate, save_content, save_cost, save_record};
use crate::root::Root;

/// What an import brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Steps whose results the store has now.
    pub steps: usize,
    /// Steps with layers that did not come, or that stand on an image which was built elsewhere and is not here.
    pub left_out: usize,
    /// What was not here before.
    pub fetched: FetchedLayers,
}

/// Fetches everything that a cache holds but cache mounts, which a build fills that looks into the cache. A layer that
/// does not come is told to `complain` and costs the steps that have it.
pub fn import_cache(
    store: &Store,
    source: &CacheSource,
    registry: &RegistryOptions,
    complain: &(dyn Fn(CacheError) + Sync),
) -> Result<Imported, CacheError> {
    migrate(store)?;
    let backend = Backend::new(&source.place, registry)?;
    let contents = backend.contents(source.digest)?;
    let records = contents.records.clone();
    let mut caches = Caches::default();
    caches.add(source.place.to_string(), backend, contents);
    let mut seen = HashSet::new();
    let blobs = records.iter().flat_map(Record::blobs);
    let snapshots: Vec<SnapshotId> = blobs
        .map(Blob::snapshot)
        .filter(|snapshot| seen.insert(snapshot.clone()))
        .collect();
    store.hold(&snapshots)?;
    in_parallel(PARALLEL, &snapshots, |snapshot| {
        caches.fetch(store, snapshot, &|_, error| complain(error))
    });
    // The records are synced by the database, so what they name comes first.
    store.settle()?;
    let mut imported = Imported {
        fetched: caches.fetched(),
        ..Imported::default()
    };
    for record in &records {
        match whole(store, record) {
            Some(root) => {
                save(store, record, &root)?;
                imported.steps += 1;
            }
            None => imported.left_out += 1,
        }
    }
    Ok(imported)
}

/// The root of a record, unless it has a layer that neither came nor will come with its base image.
fn whole(store: &Store, record: &Record) -> Option<Root> {
    let layers = record.layers.iter().map(|layer| {
        let here = match &layer.files {
            LayerFiles::Base(snapshots) => !snapshots.is_empty(),
            LayerFiles::None => true,
            LayerFiles::Blob(blob) => store.has_snapshot(&blob.snapshot()),
        };
        here.then(|| root_layer(layer))
    });
    Some(Root {
        layers: layers.collect::<Option<_>>()?,
        epoch: record.epoch,
    })
}

/// Remembers a record under those of its keys for which the store itself has nothing.
fn save(store: &Store, record: &Record, root: &Root) -> Result<(), CacheError> {
    // Roots are lists of texts and numbers, which always have a JSON form.
    let Ok(text) = serde_json::to_string(root) else {
        return Ok(());
    };
    let subject = root.content();
    store.database().with(|connection| {
        let transaction = connection.transaction()?;
        for key in &record.keys {
            if !has_result(store, &transaction, key)? {
                save_record(&transaction, key, &text)?;
            }
            save_cost(&transaction, key, record.seconds)?;
        }
        for (key, digest) in &record.memories {
            save_content(&transaction, (key, digest), &subject)?;
        }
        transaction.commit()
    })?;
    Ok(())
}

fn has_result(
    store: &Store,
    connection: &rusqlite::Connection,
    key: &Key,
) -> rusqlite::Result<bool> {
    let text: Option<String> = connection
        .prepare_cached("SELECT root FROM build_records WHERE key = ?1")?
        .query_row([key.as_bytes()], |row| row.get(0))
        .optional()?;
    let root = text.and_then(|text| serde_json::from_str::<Root>(&text).ok());
    Ok(root.is_some_and(|root| root.snapshots().all(|id| store.has_snapshot(id))))
}
