//! Caches that were read: what they know at once, and their layers when somebody needs the files.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use howdah_image::layer::{Limits, unpack};
use howdah_image::{SnapshotId, Store};
use howdah_solver::Key;

use super::backend::Backend;
use super::contents::{Blob, CachedLayer, Contents, LayerFiles, MountBlob, Record};
use super::error::CacheError;
use crate::root::{Root, RootLayer};

/// Everything that the caches of one build hold. The first one that knows a key answers.
#[derive(Debug, Default)]
pub(crate) struct Caches {
    sources: Vec<(String, Backend)>,
    records: HashMap<Key, Arc<Record>>,
    memories: HashMap<Key, Key>,
    layers: HashMap<Key, Arc<CachedLayer>>,
    /// By snapshot, in every source that has it.
    blobs: HashMap<SnapshotId, Vec<(usize, Blob)>>,
    mounts: HashMap<String, (usize, MountBlob)>,
    /// Layers that could not be fetched from anywhere.
    lost: Mutex<HashSet<SnapshotId>>,
    /// One fetch of a layer at a time.
    turns: Mutex<HashMap<SnapshotId, Arc<Mutex<()>>>>,
    fetched: [AtomicU64; 2],
}

/// What was fetched from caches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchedLayers {
    /// How many layers.
    pub layers: u64,
    /// Their compressed size.
    pub bytes: u64,
}

impl Caches {
    /// Adds a cache, known to people as `name`.
    pub(super) fn add(&mut self, name: String, backend: Backend, contents: Contents) {
        let source = self.sources.len();
        self.sources.push((name, backend));
        for record in contents.records {
            let record = Arc::new(record);
            for layer in &record.layers {
                self.layers
                    .entry(layer.content)
                    .or_insert_with(|| Arc::clone(layer));
                if let LayerFiles::Blob(blob) = &layer.files {
                    let places = self.blobs.entry(blob.snapshot()).or_default();
                    if places.iter().all(|(known, _)| *known != source) {
                        places.push((source, blob.clone()));
                    }
                }
            }
            for (key, digest) in &record.memories {
                self.memories.entry(*key).or_insert(*digest);
            }
            for key in &record.keys {
                self.records
                    .entry(*key)
                    .or_insert_with(|| Arc::clone(&record));
            }
        }
        for mount in contents.mounts {
            self.mounts
                .entry(mount.id.clone())
                .or_insert((source, mount));
        }
    }

    /// What is remembered under a key, over the base images of this build, which `base` has by content.
    pub(crate) fn root(&self, key: &Key, base: &HashMap<Key, RootLayer>) -> Option<Root> {
        let record = self.records.get(key)?;
        let layers = record.layers.iter().map(|layer| match &layer.files {
            LayerFiles::Base(_) => base.get(&layer.content).cloned(),
            LayerFiles::None | LayerFiles::Blob(_) => Some(root_layer(layer)),
        });
        Some(Root {
            layers: layers.collect::<Option<_>>()?,
            epoch: record.epoch,
        })
    }

    /// A layer with this content that some step made.
    pub(crate) fn layer(&self, content: &Key) -> Option<RootLayer> {
        let layer = self.layers.get(content)?;
        let has_files = matches!(layer.files, LayerFiles::Blob(_));
        let layer = has_files.then(|| root_layer(layer))?;
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        (!layer.snapshots.iter().any(|id| lost.contains(id))).then_some(layer)
    }

    /// The digest of a part of a root, under the key by which builds remember it.
    pub(crate) fn memory(&self, key: &Key) -> Option<Key> {
        self.memories.get(key).copied()
    }

    /// How long the step with this key took when it ran.
    pub(crate) fn seconds(&self, key: &Key) -> Option<f64> {
        self.records.get(key).map(|record| record.seconds)
    }

    /// Whether a snapshot could be fetched.
    pub(crate) fn has(&self, snapshot: &SnapshotId) -> bool {
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        self.blobs.contains_key(snapshot) && !lost.contains(snapshot)
    }

    /// The blob of a snapshot, wherever it is.
    pub(super) fn blob(&self, snapshot: &SnapshotId) -> Option<&Blob> {
        self.blobs.get(snapshot)?.first().map(|(_, blob)| blob)
    }

    /// Fetches the files of a snapshot into the store. False if no source gives it; `complain` is told of each and why.
    pub(crate) fn fetch(
        &self,
        store: &Store,
        snapshot: &SnapshotId,
        complain: &dyn Fn(&str, CacheError),
    ) -> bool {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(snapshot.clone()).or_default())
        };
        let _mine = turn.lock().unwrap_or_else(PoisonError::into_inner);
        if store.has_snapshot(snapshot) {
            return true;
        }
        for (source, blob) in self.blobs.get(snapshot).into_iter().flatten() {
            let (name, backend) = &self.sources[*source];
            match backend.fetch_layer(store, blob) {
                Ok(()) => {
                    self.fetched[0].fetch_add(1, Ordering::Relaxed);
                    self.fetched[1].fetch_add(blob.size, Ordering::Relaxed);
                    return true;
                }
                Err(error) => complain(
                    name,
                    CacheError::Fetch {
                        digest: blob.digest,
                        source: Box::new(error),
                    },
                ),
            }
        }
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.insert(snapshot.clone());
        false
    }

    /// Unpacks the content of a cache mount; the name of its cache, and whether it worked. `None` if no cache has it.
    pub(super) fn fill_mount(
        &self,
        store: &Store,
        id: &str,
        directory: &Path,
    ) -> Option<(&str, Result<(), CacheError>)> {
        let (source, mount) = self.mounts.get(id)?;
        let (name, backend) = &self.sources[*source];
        let fill = || {
            let reader = backend.open(store, &mount.blob)?;
            if unpack(reader, directory, &Limits::default())? != mount.blob.diff_id {
                return Err(CacheError::Damaged(mount.blob.digest));
            }
            Ok(())
        };
        Some((name, fill()))
    }

    /// What was fetched so far.
    pub(crate) fn fetched(&self) -> FetchedLayers {
        let [layers, bytes] = &self.fetched;
        FetchedLayers {
            layers: layers.load(Ordering::Relaxed),
            bytes: bytes.load(Ordering::Relaxed),
        }
    }
}

pub(super) fn root_layer(layer: &CachedLayer) -> RootLayer {
    let snapshots = match &layer.files {
        LayerFiles::Blob(blob) => vec![blob.snapshot()],
        LayerFiles::Base(snapshots) => snapshots.clone(),
        LayerFiles::None => Vec::new(),
    };
    RootLayer {
        snapshots,
        content: layer.content,
    }
}
