//! Caches that travel: the results of all steps as an OCI artifact in a registry or a directory (docs/decisions/0015).
//!
//! An [import](import::Imports) fetches one small list at the beginning of a build and layers only when their files are
//! needed. An [export](CacheExport::write) sends what the other side lacks, and the list last.

mod backend;
mod caches;
mod collect;
mod contents;
mod directory;
mod document;
mod error;
mod export;
mod fetch;
mod import;
mod remembered;
mod repository;
mod spec;

use std::sync::atomic::{AtomicUsize, Ordering};

pub use caches::FetchedLayers;
pub(crate) use collect::exports;
pub use error::{CacheError, DocumentError};
pub use export::{CacheExport, Exported};
pub use fetch::{Imported, import_cache};
pub(crate) use import::Imports;
pub use spec::{CacheMode, CachePlace, CacheSource, CacheTarget, ParseCacheError};

/// Layers that move at the same time.
const PARALLEL: usize = 4;

/// Does work that mostly waits, with at most so many threads. The results are in the order of the items.
fn in_parallel<T: Sync, R: Send>(
    threads: usize,
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            match items.get(index) {
                Some(item) => done.push((index, work(item))),
                None => break done,
            }
        }
    };
    let mut results = std::thread::scope(|scope| {
        let threads = (0..threads.min(items.len())).map(|_| scope.spawn(take));
        let threads: Vec<_> = threads.collect();
        let done = threads.into_iter().flat_map(|thread| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        done.collect::<Vec<_>>()
    });
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
