//! Writing a cache: what it lacks is sent, its list comes last.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use howdah_image::layer::{
    CompressionOptions, PackOptions, compressed_directory, compressed_layer,
};
use howdah_image::{Digest, Layer, LayerBlob, RegistryOptions, SnapshotId, Store};

use super::backend::Backend;
use super::collect::Collected;
use super::contents::{Blob, CachedLayer, Contents, LayerFiles, MountBlob, Record};
use super::error::CacheError;
use super::spec::CacheTarget;
use super::{PARALLEL, in_parallel};
use crate::exec::cache_mount::at_rest;
use crate::root::{Root, RootLayer};

/// A cache that a build should write, with everything that goes there.
#[derive(Debug)]
pub struct CacheExport {
    pub(super) target: CacheTarget,
    pub(super) registry: RegistryOptions,
    pub(super) collected: Collected,
}

/// What an export did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Steps of this build that the cache has now.
    pub steps: usize,
    /// Layers of theirs.
    pub layers: usize,
    /// Layers that had to be sent.
    pub sent: u64,
    /// Their compressed size.
    pub sent_bytes: u64,
}

impl CacheExport {
    /// Where it goes and how.
    pub fn target(&self) -> &CacheTarget {
        &self.target
    }

    /// Sends what is missing. Whoever reads the cache meanwhile finds the old list or the new one, each with all its blobs;
    /// of two exports at the same time the later one's list stays.
    pub fn write(&self, store: &Store) -> Result<Exported, CacheError> {
        let backend = Backend::new(&self.target.place, &self.registry)?;
        let previous = match backend.contents(None) {
            Ok(contents) => contents,
            Err(CacheError::Missing | CacheError::Document(_) | CacheError::Damaged(_)) => {
                Contents::default()
            }
            Err(error) => return Err(error),
        };
        let sending = Sending {
            store,
            backend: &backend,
            collected: &self.collected,
            compression: &self.target.compression,
            there: previous
                .blobs()
                .into_iter()
                .map(|blob| (blob.diff_id, blob))
                .collect(),
            claimed: Mutex::default(),
            sent: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
        };
        let now = now();
        let records = sending.records()?;
        let mut exported = Exported {
            steps: records.len(),
            ..Exported::default()
        };
        let mounts = if self.target.mounts {
            sending.mounts(now)?
        } else {
            Vec::new()
        };
        let contents = Contents { records, mounts };
        exported.layers = contents.blobs().len();
        exported.sent = sending.sent.into_inner();
        exported.sent_bytes = sending.sent_bytes.into_inner();
        backend.publish(&contents.over(previous, now))?;
        Ok(exported)
    }
}

/// An export at work.
struct Sending<'a> {
    store: &'a Store,
    backend: &'a Backend,
    collected: &'a Collected,
    compression: &'a CompressionOptions,
    /// What the cache has according to its list.
    there: HashMap<Digest, &'a Blob>,
    /// Blobs that somebody sends or has sent.
    claimed: Mutex<HashSet<Digest>>,
    sent: AtomicU64,
    sent_bytes: AtomicU64,
}

/// A layer with all below it.
struct Stack {
    layers: Vec<Layer>,
    epoch: i64,
}

impl Sending<'_> {
    /// The records of all steps, when the blobs of their layers are there.
    fn records(&self) -> Result<Vec<Record>, CacheError> {
        let stacks = self.stacks();
        let blobs = in_parallel(PARALLEL, &stacks, |stack| self.blob(stack));
        let mut by_layer: HashMap<&Layer, Blob> = HashMap::new();
        for (stack, blob) in stacks.iter().zip(blobs) {
            by_layer.extend(stack.layers.last().zip(blob?));
        }
        let mut known: HashMap<CachedLayer, Arc<CachedLayer>> = HashMap::new();
        let mut records = Vec::new();
        for step in &self.collected.steps {
            let layers = step.root.layers.iter().map(|layer| {
                let layer = self.cached(layer, &by_layer)?;
                Some(Arc::clone(
                    known
                        .entry(layer.clone())
                        .or_insert_with(|| Arc::new(layer)),
                ))
            });
            // A step with a layer that could not be had is left out.
            let Some(layers) = layers.collect() else {
                continue;
            };
            records.push(Record {
                keys: step.keys.clone(),
                layers,
                epoch: step.root.epoch,
                seconds: self.seconds(&step.keys, step.seconds),
                used: step.used,
                memories: step.memories.clone(),
            });
        }
        Ok(records)
    }

    /// The cache mounts that steps have, as they are now. One that a step is using for itself stays as it was.
    fn mounts(&self, now: i64) -> Result<Vec<MountBlob>, CacheError> {
        let mut mounts = Vec::new();
        for id in &self.collected.mounts {
            let error = CacheError::io("lock the cache mounts in", self.store.root());
            let Some((directory, _lock)) = at_rest(self.store, id).map_err(error)? else {
                continue;
            };
            let blob = blob_of(&compressed_directory(self.store, &directory)?);
            self.send(&blob)?;
            mounts.push(MountBlob {
                id: id.clone(),
                used: now,
                blob,
            });
        }
        Ok(mounts)
    }

    fn seconds(&self, keys: &[howdah_solver::Key], took: f64) -> f64 {
        let caches = self.collected.caches.as_ref().filter(|_| took <= 0.0);
        let known = caches.and_then(|caches| keys.first().and_then(|key| caches.seconds(key)));
        known.unwrap_or(took)
    }

    /// Every layer of every step that must travel, once.
    fn stacks(&self) -> Vec<Stack> {
        let mut seen: HashSet<&[SnapshotId]> = HashSet::new();
        let mut stacks = Vec::new();
        for step in &self.collected.steps {
            let root: &Root = &step.root;
            for (index, layer) in root.layers.iter().enumerate() {
                if self.travels(layer) && seen.insert(&layer.snapshots) {
                    let below = Root {
                        layers: root.layers[..=index].to_vec(),
                        epoch: root.epoch,
                    };
                    stacks.push(Stack {
                        layers: below.image_layers(),
                        epoch: self.collected.epoch.unwrap_or(root.epoch),
                    });
                }
            }
        }
        stacks
    }

    fn travels(&self, layer: &RootLayer) -> bool {
        !layer.snapshots.is_empty() && !self.collected.base.contains(&layer.content)
    }

    fn cached(&self, layer: &RootLayer, blobs: &HashMap<&Layer, Blob>) -> Option<CachedLayer> {
        let files = if layer.snapshots.is_empty() {
            LayerFiles::None
        } else if self.travels(layer) {
            let layer = Layer {
                snapshots: layer.snapshots.clone(),
            };
            LayerFiles::Blob(blobs.get(&layer)?.clone())
        } else {
            let arrived = Some(&layer.snapshots).filter(|_| layer.is_arrived());
            LayerFiles::Base(arrived.cloned().unwrap_or_default())
        };
        Some(CachedLayer {
            content: layer.content,
            files,
        })
    }

    /// The blob of a layer, which the cache has when this returns. `None` if it came from a cache that has lost it.
    fn blob(&self, stack: &Stack) -> Result<Option<Blob>, CacheError> {
        let snapshots = stack.layers.last().map(|layer| layer.snapshots.as_slice());
        let caches = self.collected.caches.as_ref();
        if let (Some(caches), Some([snapshot])) = (caches, snapshots)
            && let Some(blob) = caches.blob(snapshot)
            && !self.compression.force
            && self.has(blob)?
        {
            return Ok(Some(blob.clone()));
        }
        let known = self.store.layer_diff_id(&stack.layers, Some(stack.epoch))?;
        if let Some(blob) = known.and_then(|diff_id| self.there.get(&diff_id))
            && !self.compression.force
            && self.has(blob)?
        {
            return Ok(Some((*blob).clone()));
        }
        // What a layer is packed to may depend on those below it, which another thread may still be fetching.
        let below = stack.layers.iter().flat_map(|layer| &layer.snapshots);
        let mut missing = below.filter(|id| !self.store.has_snapshot(id));
        if let Some(caches) = caches
            && !missing.all(|id| caches.fetch(self.store, id, &|_, _| ()))
        {
            return Ok(None);
        }
        let options = PackOptions {
            epoch: Some(stack.epoch),
        };
        let packed = compressed_layer(self.store, &stack.layers, &options, self.compression)?;
        let blob = blob_of(&packed);
        self.send(&blob)?;
        Ok(Some(blob))
    }

    fn has(&self, blob: &Blob) -> Result<bool, CacheError> {
        self.backend.has(blob)
    }

    /// Sends a blob that is not there. Layers of two steps may be one blob, which the first one sends.
    fn send(&self, blob: &Blob) -> Result<(), CacheError> {
        let is_first = {
            let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
            claimed.insert(blob.digest)
        };
        if is_first && !self.has(blob)? && self.backend.send(self.store, blob)? {
            self.sent.fetch_add(1, Ordering::Relaxed);
            self.sent_bytes.fetch_add(blob.size, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn blob_of(packed: &LayerBlob) -> Blob {
    Blob {
        diff_id: packed.diff_id,
        digest: packed.digest,
        size: packed.size,
        media_type: packed.compression.media_type().to_owned(),
    }
}

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs().cast_signed()
}
