//! Outputs by key.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use howdah_image::{SnapshotId, Store, StoreError};
use howdah_solver::{Cache, Cancel, Key};
use rusqlite::{Connection, OptionalExtension as _};

use super::lock::{KeyLock, KeyLocks};
use crate::error::StepError;
use crate::root::{Root, RootLayer};
use crate::timing::{Phase, Timings};
use crate::transport::Imports;

/// The records of one build: those of the store, then those of caches elsewhere. Base images need none: they are in the
/// store by themselves.
pub(crate) struct Records<'a> {
    store: Store,
    locks: KeyLocks,
    images: HashMap<Key, Arc<Root>>,
    imports: &'a Imports<'a>,
    /// The layers of base images by content, for records of caches that stand on them.
    base: HashMap<Key, RootLayer>,
    timings: &'a Timings,
    /// Snapshots that were seen in the store.
    present: Mutex<HashSet<SnapshotId>>,
}

impl<'a> Records<'a> {
    /// `images`: the roots of base images by their vertices' keys.
    pub(crate) fn new(
        store: Store,
        images: HashMap<Key, Arc<Root>>,
        imports: &'a Imports<'a>,
        timings: &'a Timings,
    ) -> Records<'a> {
        let locks = KeyLocks::new(store.root());
        let layers = images.values().flat_map(|root| root.layers.clone());
        Records {
            store,
            locks,
            base: layers.map(|layer| (layer.content, layer)).collect(),
            images,
            imports,
            timings,
            present: Mutex::new(HashSet::new()),
        }
    }

    /// Keeps what caches gave and has arrived with all its files, so that the next build need not ask them; and of all that
    /// they gave what it took to make, for reports.
    pub(crate) fn keep_imported(&self) -> Result<(), StepError> {
        let costs = self.imports.costs();
        if costs.is_empty() {
            return Ok(());
        }
        self.store.database().with(|connection| {
            let transaction = connection.transaction()?;
            for (key, seconds) in &costs {
                save_cost(&transaction, key, *seconds)?;
            }
            transaction.commit()
        })?;
        let arrived = self.imports.arrived();
        arrived
            .iter()
            .try_for_each(|(key, root)| self.save(&[*key], root))
    }

    /// Whether all of a root is here. From then on it stays until the build ends.
    fn is_whole(&self, root: &Root) -> bool {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<&SnapshotId> = root
            .snapshots()
            .filter(|snapshot| !present.contains(*snapshot))
            .collect();
        // What cannot be held may go at any moment, so it counts as gone.
        let whole = new.is_empty() || self.store.hold(new.iter().copied()).unwrap_or(false);
        if whole {
            present.extend(new.into_iter().cloned());
        }
        whole
    }

    fn find_here(&self, keys: &[Key]) -> Result<Vec<Option<Arc<Root>>>, StepError> {
        let texts: Vec<Option<String>> = self.store.database().with(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT root FROM build_records WHERE key = ?1")?;
            keys.iter()
                .map(|key| {
                    if self.images.contains_key(key) {
                        return Ok(None);
                    }
                    statement
                        .query_row([key.as_bytes()], |row| row.get(0))
                        .optional()
                })
                .collect()
        })?;
        let roots = keys.iter().zip(texts).map(|(key, text)| {
            // A record that cannot be read is a miss; the step will write it anew.
            let root = text.and_then(|text| serde_json::from_str(&text).ok().map(Arc::new));
            root.or_else(|| self.images.get(key).cloned())
                .filter(|root| self.is_whole(root))
        });
        Ok(roots.collect())
    }
}

/// Remembers a root, in its JSON form, under a key.
pub(crate) fn save_record(connection: &Connection, key: &Key, root: &str) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO build_records (key, root, used) VALUES (?1, ?2, unixepoch())";
    let row = (key.as_bytes(), root);
    connection.prepare_cached(sql)?.execute(row).map(drop)
}

/// Remembers what a step took elsewhere.
pub(crate) fn save_cost(connection: &Connection, key: &Key, seconds: f64) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO build_elsewhere (key, seconds) VALUES (?1, ?2)";
    let row = (key.as_bytes(), seconds);
    connection.prepare_cached(sql)?.execute(row).map(drop)
}

impl Cache for Records<'_> {
    type Output = Arc<Root>;
    type Error = StepError;
    type Guard = KeyLock;

    fn find(&self, keys: &[Key]) -> Result<Vec<Option<Arc<Root>>>, StepError> {
        let mut found = self
            .timings
            .measure(Phase::Lookup, || self.find_here(keys))?;
        // Nobody waits for a cache elsewhere if the store itself knows everything.
        for (root, key) in found
            .iter_mut()
            .zip(keys)
            .filter(|(root, _)| root.is_none())
        {
            *root = self.imports.root(key, &self.base);
        }
        Ok(found)
    }

    fn save(&self, keys: &[Key], output: &Arc<Root>) -> Result<(), StepError> {
        // Roots are lists of texts and numbers, which always have a JSON form.
        let Ok(text) = serde_json::to_string(&**output) else {
            return Ok(());
        };
        self.store.database().with(|connection| {
            let transaction = connection.transaction()?;
            for key in keys {
                save_record(&transaction, key, &text)?;
            }
            transaction.commit()
        })?;
        Ok(())
    }

    fn lock(&self, key: &Key, cancel: &Cancel) -> Result<Option<KeyLock>, StepError> {
        let path = self.store.root().join("build.lock");
        let lock = self.locks.lock(key, cancel);
        lock.map_err(|source| {
            StepError::Store(StoreError::Io {
                action: "lock",
                path,
                source,
            })
        })
    }
}
