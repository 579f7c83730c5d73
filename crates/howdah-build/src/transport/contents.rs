//! What a cache holds, in memory: records of steps over layers that are blobs beside it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use howdah_image::{Digest, SnapshotId};
use howdah_solver::Key;

/// Records that no export used for this long are dropped, in seconds: branches that were merged long ago.
pub(super) const LONGEST_UNUSED: i64 = 14 * 24 * 3600;
/// Records of other builds are kept as long as all blobs together are no larger; the present build's always are.
pub(super) const LARGEST: u64 = 10 << 30;
/// As many, because registries bound the size of a manifest, which lists them.
const MOST_BLOBS: usize = 5000;

/// A whole cache.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Contents {
    pub(crate) records: Vec<Record>,
    pub(crate) mounts: Vec<MountBlob>,
}

/// The result of one step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    /// By definition, and by the content of its inputs if that has a name.
    pub(crate) keys: Vec<Key>,
    /// The root filesystem, lowest layer first.
    pub(crate) layers: Vec<Arc<CachedLayer>>,
    /// See [`crate::root::Root::epoch`].
    pub(crate) epoch: i64,
    /// What the step took when it ran; 0 if unknown.
    pub(crate) seconds: f64,
    /// When an export last had it among its steps, in seconds since 1970.
    pub(crate) used: i64,
    /// Digests of the parts of inputs that the step reads, by the keys under which builds remember them: who has them
    /// need not fetch an input only to find out that it is what it was.
    pub(crate) memories: Vec<(Key, Key)>,
}

/// One layer of a root filesystem.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CachedLayer {
    /// See [`crate::root::RootLayer::content`].
    pub(crate) content: Key,
    pub(crate) files: LayerFiles,
}

/// Where the files of a layer are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LayerFiles {
    /// In the base image, which everybody has who can ask for the record. Its snapshots if that image came from elsewhere,
    /// where they are the same in every store.
    Base(Vec<SnapshotId>),
    /// There are none: the step changed nothing.
    None,
    /// In a blob of the cache.
    Blob(Blob),
}

/// A layer's blob.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Blob {
    /// Of its tar: the name of its snapshot.
    pub(crate) diff_id: Digest,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) media_type: String,
}

/// The content of a cache mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MountBlob {
    /// The mount's id.
    pub(crate) id: String,
    pub(crate) used: i64,
    pub(crate) blob: Blob,
}

impl Blob {
    pub(crate) fn snapshot(&self) -> SnapshotId {
        SnapshotId::from(&self.diff_id)
    }
}

impl Record {
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Blob> {
        self.layers.iter().filter_map(|layer| match &layer.files {
            LayerFiles::Blob(blob) => Some(blob),
            LayerFiles::Base(_) | LayerFiles::None => None,
        })
    }
}

impl Contents {
    /// Every blob once, in the order of first use.
    pub(crate) fn blobs(&self) -> Vec<&Blob> {
        let mut seen = HashSet::new();
        let layers = self.records.iter().flat_map(Record::blobs);
        let mounts = self.mounts.iter().map(|mount| &mount.blob);
        let blobs = layers.chain(mounts);
        blobs.filter(|blob| seen.insert(blob.digest)).collect()
    }

    /// These contents, and of those that were there before what is still of use at the time `now`.
    pub(crate) fn over(mut self, previous: Contents, now: i64) -> Contents {
        self.recall_seconds(&previous);
        let mut known: HashSet<Key> = self.records.iter().flat_map(|r| r.keys.clone()).collect();
        let mut blobs: HashSet<Digest> = self.blobs().iter().map(|blob| blob.digest).collect();
        let mut size: u64 = self.blobs().iter().map(|blob| blob.size).sum();
        let is_recent = |used: i64| now.saturating_sub(used) <= LONGEST_UNUSED;
        let mut old = previous.records;
        old.retain(|record| is_recent(record.used));
        // Written by a clock that was ahead: it would be the newest of all for as long.
        for record in &mut old {
            record.used = record.used.min(now);
        }
        // Stable: records of one export stay in their order, inputs before what reads them.
        old.sort_by_key(|record| std::cmp::Reverse(record.used));
        for record in old {
            if record.keys.first().is_none_or(|key| known.contains(key)) {
                continue;
            }
            let mut added: Vec<&Blob> = record.blobs().collect();
            added.retain(|blob| !blobs.contains(&blob.digest));
            let more: u64 = added.iter().map(|blob| blob.size).sum();
            if size.saturating_add(more) > LARGEST || blobs.len() + added.len() > MOST_BLOBS {
                continue;
            }
            size += more;
            blobs.extend(added.iter().map(|blob| blob.digest));
            known.extend(&record.keys);
            self.records.push(record);
        }
        let replaced: HashSet<String> = self.mounts.iter().map(|mount| mount.id.clone()).collect();
        let mounts = previous.mounts.into_iter();
        self.mounts
            .extend(mounts.filter(|mount| is_recent(mount.used) && !replaced.contains(&mount.id)));
        self
    }

    /// What a step took is only known where it ran.
    fn recall_seconds(&mut self, previous: &Contents) {
        let known = previous.records.iter();
        let known: HashMap<Key, f64> = known
            .filter_map(|record| Some((*record.keys.first()?, record.seconds)))
            .collect();
        for record in self.records.iter_mut().filter(|r| r.seconds <= 0.0) {
            let seconds = record.keys.first().and_then(|key| known.get(key));
            record.seconds = seconds.copied().unwrap_or(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 100 * 24 * 3600;

    fn record(name: &str, size: u64, used: i64) -> Record {
        let digest = Digest::of(name);
        let files = LayerFiles::Blob(Blob {
            diff_id: digest,
            digest,
            size,
            media_type: "x".to_owned(),
        });
        let content = Key::of(name.as_bytes());
        Record {
            keys: vec![content],
            layers: vec![Arc::new(CachedLayer { content, files })],
            epoch: 0,
            seconds: 1.5,
            used,
            memories: Vec::new(),
        }
    }

    fn names(contents: &Contents, names: &[&str]) -> Vec<bool> {
        let has = |name: &&str| {
            let key = Key::of(name.as_bytes());
            contents.records.iter().any(|record| record.keys[0] == key)
        };
        names.iter().map(has).collect()
    }

    #[test]
    fn what_is_of_use_stays_and_the_rest_goes() {
        let day = 24 * 3600;
        let previous = Contents {
            records: vec![
                record("same", 1, NOW - day),
                record("branch", 1, NOW - day),
                record("ancient", 1, NOW - 15 * day),
                record("huge", LARGEST, NOW - 2 * day),
            ],
            mounts: Vec::new(),
        };
        let mut same = record("same", 1, NOW);
        same.seconds = 0.0;
        let new = Contents {
            records: vec![same, record("new", LARGEST, NOW)],
            mounts: Vec::new(),
        };
        let merged = new.over(previous, NOW);
        // The new build is kept whole, however large; nothing more fits beside it.
        assert_eq!(
            names(&merged, &["same", "new", "branch", "ancient", "huge"]),
            [true, true, false, false, false]
        );
        assert!((merged.records[0].seconds - 1.5).abs() < 0.01);
        let small = Contents {
            records: vec![record("new", 1, NOW)],
            mounts: Vec::new(),
        };
        let merged = small.over(
            Contents {
                records: vec![
                    record("branch", 1, NOW - day),
                    record("ancient", 1, NOW - 15 * day),
                ],
                mounts: Vec::new(),
            },
            NOW,
        );
        assert_eq!(
            names(&merged, &["new", "branch", "ancient"]),
            [true, true, false]
        );
        assert_eq!(merged.blobs().len(), 2);
    }

    #[test]
    fn a_mount_replaces_the_one_before() {
        let mount = |id: &str, content: &str, used| MountBlob {
            id: id.to_owned(),
            used,
            blob: record(content, 1, used).blobs().next().unwrap().clone(),
        };
        let contents = |mounts| Contents {
            records: Vec::new(),
            mounts,
        };
        let previous = contents(vec![
            mount("npm", "old", NOW - 1),
            mount("apt", "apt", NOW - 1),
        ]);
        let merged = contents(vec![mount("npm", "new", NOW)]).over(previous, NOW);
        let ids: Vec<_> = merged
            .mounts
            .iter()
            .map(|m| (m.id.as_str(), m.used))
            .collect();
        assert_eq!(ids, [("npm", NOW), ("apt", NOW - 1)]);
    }
}
