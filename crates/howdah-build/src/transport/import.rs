//! The caches of one build: read in the background while the build begins, asked when the store itself does not know.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use howdah_image::{SnapshotId, Store, StoreError};
use howdah_solver::Key;

use super::backend::Backend;
use super::caches::{Caches, FetchedLayers};
use super::contents::Contents;
use super::error::CacheError;
use super::spec::CacheSource;
use super::{PARALLEL, in_parallel};
use crate::error::StepError;
use crate::event::Event;
use crate::request::{Options, Target};
use crate::root::{Root, RootLayer};

/// A cache whose list has not come by then is done without.
const PATIENCE: Duration = Duration::from_secs(15);

/// See the module.
pub(crate) struct Imports<'a> {
    store: &'a Store,
    observe: &'a (dyn Fn(Event) + Sync),
    started: Mutex<Vec<Started>>,
    caches: OnceLock<Arc<Caches>>,
    /// Roots that a cache gave, by key.
    served: Mutex<HashMap<Key, Arc<Root>>>,
    /// A layer that was counted on is lost.
    lost: AtomicBool,
}

/// A cache whose list is on its way.
struct Started {
    name: String,
    answer: Receiver<Result<(Backend, Contents), CacheError>>,
}

impl<'a> Imports<'a> {
    /// Begins to read the lists of all caches.
    pub(crate) fn start(
        store: &'a Store,
        targets: &[Target],
        options: &Options,
        observe: &'a (dyn Fn(Event) + Sync),
    ) -> Imports<'a> {
        let started = sources(targets).into_iter().map(|source| {
            let (sender, answer) = sync_channel(1);
            let name = source.place.to_string();
            let registry = options.registry.clone();
            // Left alone when nobody waits any longer: it ends by the client's own timeouts.
            std::thread::spawn(move || {
                let read = || {
                    let backend = Backend::new(&source.place, &registry)?;
                    let contents = backend.contents(source.digest)?;
                    Ok((backend, contents))
                };
                drop(sender.send(read()));
            });
            Started { name, answer }
        });
        Imports {
            observe,
            started: Mutex::new(started.collect()),
            ..Imports::none(store)
        }
    }

    /// No caches.
    pub(crate) fn none(store: &'a Store) -> Imports<'a> {
        Imports {
            store,
            observe: &|_| {},
            started: Mutex::default(),
            caches: OnceLock::new(),
            served: Mutex::default(),
            lost: AtomicBool::new(false),
        }
    }

    /// What the caches hold; waits for their lists, but not for long.
    pub(crate) fn caches(&self) -> &Arc<Caches> {
        self.caches.get_or_init(|| {
            let deadline = Instant::now() + PATIENCE;
            let mut caches = Caches::default();
            let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
            for Started { name, answer } in started.drain(..) {
                let left = deadline.saturating_duration_since(Instant::now());
                match answer.recv_timeout(left) {
                    Ok(Ok((backend, contents))) => caches.add(name, backend, contents),
                    Ok(Err(error)) => self.complain(&name, error),
                    Err(_) => self.complain(&name, CacheError::Silent(PATIENCE)),
                }
            }
            Arc::new(caches)
        })
    }

    /// The caches if anybody had to ask them.
    pub(crate) fn asked(&self) -> Option<&Arc<Caches>> {
        self.caches.get()
    }

    /// What came from the caches.
    pub(crate) fn fetched(&self) -> FetchedLayers {
        let asked = self.asked();
        asked.map(|caches| caches.fetched()).unwrap_or_default()
    }

    /// What a cache remembers under a key, its files here or not.
    pub(crate) fn root(&self, key: &Key, base: &HashMap<Key, RootLayer>) -> Option<Arc<Root>> {
        let root = Arc::new(self.caches().root(key, base)?);
        if !self.can_bring(&root) {
            return None;
        }
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        served.insert(*key, Arc::clone(&root));
        Some(root)
    }

    /// Whether a cache answered for this key.
    pub(crate) fn has_served(&self, key: &Key) -> bool {
        let served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        served.contains_key(key)
    }

    /// How long the steps took, in seconds, for which a cache answered.
    pub(crate) fn costs(&self) -> Vec<(Key, f64)> {
        let served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        let cost = |key: &Key| Some((*key, self.asked()?.seconds(key)?));
        served.keys().filter_map(cost).collect()
    }

    /// What caches gave and is here now with all its files.
    pub(crate) fn arrived(&self) -> Vec<(Key, Arc<Root>)> {
        let served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        let here = |root: &Root| root.snapshots().all(|id| self.store.has_snapshot(id));
        let roots = served.iter().filter(|(_, root)| here(root));
        roots.map(|(key, root)| (*key, Arc::clone(root))).collect()
    }

    /// Makes the files of a root be here. With [`StepError::CacheLost`] the graph must be solved again.
    pub(crate) fn bring(&self, root: &Root) -> Result<(), StepError> {
        let Some(caches) = self.asked() else {
            return Ok(());
        };
        let absent = root.snapshots().filter(|id| !self.store.has_snapshot(id));
        let absent: Vec<&SnapshotId> = absent.collect();
        if let Some(gone) = absent.iter().find(|id| caches.blob(id).is_none()) {
            return Err(StoreError::NoSnapshot((*gone).clone()).into());
        }
        let complain = |name: &str, error| self.complain(name, error);
        let fetched = in_parallel(PARALLEL, &absent, |id| {
            caches.fetch(self.store, id, &complain)
        });
        if fetched.contains(&false) {
            self.lost.store(true, Ordering::Relaxed);
            return Err(StepError::CacheLost);
        }
        Ok(())
    }

    /// Fills the new directory of a cache mount as it was where a cache was written. `None` if no cache has it, false if not all
    /// of it came.
    pub(crate) fn fill_mount(&self, id: &str, directory: &Path) -> Option<bool> {
        let caches = self.asked()?;
        let (name, filled) = caches.fill_mount(self.store, id, directory)?;
        match filled {
            Ok(()) => Some(true),
            Err(error) => {
                self.complain(name, error);
                Some(false)
            }
        }
    }

    /// Whether everything that is missing of a root could be fetched.
    fn can_bring(&self, root: &Root) -> bool {
        let caches = self.caches();
        let mut snapshots = root.snapshots();
        snapshots.all(|id| self.store.has_snapshot(id) || caches.has(id))
    }

    /// Whether something was lost since the last question.
    pub(crate) fn take_loss(&self) -> bool {
        self.lost.swap(false, Ordering::Relaxed)
    }

    /// Whether something was lost.
    pub(crate) fn has_loss(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    fn complain(&self, name: &str, error: CacheError) {
        (self.observe)(Event::CacheFault {
            cache: name.to_owned(),
            error: Arc::new(error),
        });
    }
}

/// The caches that any target may read, each once.
fn sources(targets: &[Target]) -> Vec<CacheSource> {
    let mut sources: Vec<CacheSource> = Vec::new();
    for source in targets.iter().flat_map(|target| &target.cache_from) {
        if !sources.contains(source) {
            sources.push(source.clone());
        }
    }
    sources
}
