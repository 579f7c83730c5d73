//! Layers of `COPY`, digests of parts of roots, and stat caches.

use howdah_image::{Image, Layer, SnapshotId, Store, StoreError};
use howdah_solver::Key;
use rusqlite::OptionalExtension as _;

use crate::context::StatCache;
use crate::copy::{CopyLayer, Manifest, Previous};
use crate::root::{Root, StoredLayer};
use crate::tree::TreePath;

/// The tables of one store.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    store: Store,
}

type LayerRow = (String, Vec<u8>);

impl Memory {
    pub(crate) fn new(store: &Store) -> Memory {
        Memory {
            store: store.clone(),
        }
    }

    /// A layer by its own key, if its snapshots are still there.
    pub(crate) fn layer(&self, key: &Key) -> Result<Option<StoredLayer>, StoreError> {
        let row: Option<LayerRow> = self.store.database().with(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT snapshots, masks FROM build_layers WHERE key = ?1")?;
            statement
                .query_row([key.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
        })?;
        Ok(row.and_then(|row| self.whole(&row)))
    }

    /// What a step wrote the last time.
    pub(crate) fn previous(&self, step: &Key) -> Result<Option<Previous>, StoreError> {
        let row: Option<(LayerRow, Vec<u8>)> = self.store.database().with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT snapshots, masks, manifest FROM build_steps JOIN build_layers ON key = layer WHERE step = ?1",
            )?;
            statement.query_row([step.as_bytes()], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?))).optional()
        })?;
        let Some((row, manifest)) = row else {
            return Ok(None);
        };
        let previous = self.whole(&row).zip(Manifest::from_bytes(&manifest));
        Ok(previous.map(|(stored, manifest)| Previous {
            layer: stored.layer,
            manifest,
            masks: stored.masks,
        }))
    }

    /// Remembers a layer under its key, and as the step's last one.
    pub(crate) fn save_layer(
        &self,
        key: &Key,
        step: &Key,
        made: &CopyLayer,
        manifest: &Manifest,
    ) -> Result<(), StoreError> {
        // A list of texts always has a JSON form.
        let snapshots = serde_json::to_string(&made.layer).unwrap_or_default();
        let masks: Vec<u8> = made
            .masks
            .iter()
            .flat_map(|mask| [mask.as_slice(), &[0]].concat())
            .collect();
        self.store.database().with(|connection| {
            let transaction = connection.transaction()?;
            transaction.execute(
                "INSERT OR REPLACE INTO build_layers (key, snapshots, masks, manifest) VALUES (?1, ?2, ?3, ?4)",
                (key.as_bytes(), &snapshots, &masks, manifest.to_bytes()),
            )?;
            set_step(&transaction, step, key)?;
            transaction.commit()
        })
    }

    /// Remembers that a step wrote a layer that was known already.
    pub(crate) fn save_step(&self, step: &Key, layer: &Key) -> Result<(), StoreError> {
        self.store
            .database()
            .with(|connection| set_step(connection, step, layer))
    }

    /// The digest of a part of a root that was read before.
    pub(crate) fn content(&self, key: &Key) -> Result<Option<Key>, StoreError> {
        self.store.database().with(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT digest FROM build_contents WHERE key = ?1")?;
            let digest: Option<[u8; 32]> = statement
                .query_row([key.as_bytes()], |row| row.get(0))
                .optional()?;
            Ok(digest.map(Key::from))
        })
    }

    /// Remembers the digest of a part of a root, or which layer a copy makes. `subject` is the content of that root or
    /// layer: with it the memory goes.
    pub(crate) fn save_content(
        &self,
        key: &Key,
        digest: &Key,
        subject: &Key,
    ) -> Result<(), StoreError> {
        self.store
            .database()
            .with(|connection| save_content(connection, (key, digest), subject))
    }

    /// What a layer of an image that was built here holds.
    pub(crate) fn image_layer(&self, layer: &Layer) -> Result<Option<Key>, StoreError> {
        self.store.database().with(|connection| {
            let sql = "SELECT content FROM build_image_layers WHERE snapshots = ?1";
            let content: Option<[u8; 32]> = connection
                .prepare_cached(sql)?
                .query_row([joined(&layer.snapshots)], |row| row.get(0))
                .optional()?;
            Ok(content.map(Key::from))
        })
    }

    /// The root of an image: what its layers hold is known of those that were built here.
    pub(crate) fn image_root(&self, image: &Image) -> Result<Root, StoreError> {
        let layers = image.layers.iter();
        let known = layers.map(|layer| Ok((layer, self.image_layer(layer)?)));
        let known: Vec<_> = known.collect::<Result<_, StoreError>>()?;
        Ok(Root::of_image(image.epoch(), known))
    }

    /// Remembers what the layers of an image hold, for builds that stand on it.
    pub(crate) fn save_image_layers(&self, root: &Root) -> Result<(), StoreError> {
        let mut unknown = Vec::new();
        for (layer, content) in root.image_layers().into_iter().zip(root.contents()) {
            if self.image_layer(&layer)?.is_none() {
                unknown.push((layer, content));
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        self.store.database().with(|connection| {
            let transaction = connection.transaction()?;
            for (layer, content) in &unknown {
                let sql =
                    "INSERT OR IGNORE INTO build_image_layers (snapshots, content) VALUES (?1, ?2)";
                transaction
                    .prepare_cached(sql)?
                    .execute((joined(&layer.snapshots), content.as_bytes()))?;
            }
            transaction.commit()
        })
    }

    /// The stat cache of a context; empty if there is none.
    pub(crate) fn stats(&self, context: &[u8]) -> Result<StatCache, StoreError> {
        self.store.database().with(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT stats FROM build_contexts WHERE path = ?1")?;
            let stats = statement.query_row([context], |row| {
                Ok(StatCache::from_bytes(row.get_ref(0)?.as_blob()?))
            });
            Ok(stats.optional()?.unwrap_or_default())
        })
    }

    pub(crate) fn save_stats(&self, context: &[u8], stats: &StatCache) -> Result<(), StoreError> {
        self.store.database().with(|connection| {
            let sql = "INSERT OR REPLACE INTO build_contexts (path, stats) VALUES (?1, ?2)";
            connection
                .execute(sql, (context, stats.as_bytes()))
                .map(drop)
        })
    }

    fn whole(&self, (snapshots, masks): &LayerRow) -> Option<StoredLayer> {
        let layer: Layer = serde_json::from_str(snapshots).ok()?;
        // What cannot be held may go at any moment, so it counts as gone.
        let whole = self.store.hold(&layer.snapshots).unwrap_or(false);
        let masks = masks
            .split(|byte| *byte == 0)
            .filter(|mask| !mask.is_empty())
            .map(TreePath::from)
            .collect();
        whole.then_some(StoredLayer { layer, masks })
    }
}

/// See [`Memory::save_content`].
pub(crate) fn save_content(
    connection: &rusqlite::Connection,
    (key, digest): (&Key, &Key),
    subject: &Key,
) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO build_contents (key, digest, subject) VALUES (?1, ?2, ?3)";
    let row = (key.as_bytes(), digest.as_bytes(), subject.as_bytes());
    connection.prepare_cached(sql)?.execute(row).map(drop)
}

fn joined(snapshots: &[SnapshotId]) -> String {
    let texts: Vec<&str> = snapshots.iter().map(SnapshotId::as_str).collect();
    texts.join(" ")
}

fn set_step(connection: &rusqlite::Connection, step: &Key, layer: &Key) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO build_steps (step, layer) VALUES (?1, ?2)";
    connection
        .execute(sql, (step.as_bytes(), layer.as_bytes()))
        .map(drop)
}
