//! Small files that are asked for often stay in memory. Every use looks whether the file is still the same one.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

/// Bytes of the largest file that is kept.
pub(crate) const MAX_FILE: u64 = 2 << 20;
/// Bytes of each of the two generations.
const MAX_GENERATION: usize = 32 << 20;
/// A file that changed within this time could change again without a visible difference: the kernel's clock for file times
/// ticks every few milliseconds, and other file systems every second or two.
const TOO_FRESH: Duration = Duration::from_secs(2);

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    /// Bytes.
    pub(super) size: u64,
    /// Seconds and nanoseconds.
    pub(super) modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Would another change be seen?
    fn is_settled(&self) -> bool {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let limit = now.saturating_sub(TOO_FRESH).as_secs();
        let latest = self.changed.0.max(self.modified.0);
        u64::try_from(latest).is_ok_and(|latest| latest < limit)
    }
}

/// Contents by path. Two generations: what was not used while the younger one filled is dropped with the older one.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<PathBuf, Entry>,
    young_bytes: usize,
    old: HashMap<PathBuf, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    identity: Identity,
    content: Bytes,
}

impl Cache {
    /// The content of a file in this state.
    pub(crate) fn get(&self, path: &Path, identity: Identity) -> Option<Bytes> {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = generations.young.get(path) {
            return (entry.identity == identity).then(|| entry.content.clone());
        }
        let (path, entry) = generations.old.remove_entry(path)?;
        if entry.identity != identity {
            return None;
        }
        let content = entry.content.clone();
        generations.insert(path, entry);
        Some(content)
    }

    /// Keeps the content of a file, read when it was in this state.
    pub(crate) fn put(&self, path: &Path, identity: Identity, content: Bytes) {
        if identity.is_settled() {
            let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            generations.insert(path.to_owned(), Entry { identity, content });
        }
    }
}

impl Generations {
    fn insert(&mut self, path: PathBuf, entry: Entry) {
        if self.young_bytes + entry.content.len() > MAX_GENERATION {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += entry.content.len();
        if let Some(before) = self.young.insert(path, entry) {
            self.young_bytes -= before.content.len();
        }
    }
}
