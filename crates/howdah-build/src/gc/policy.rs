//! Which items go: pure decisions over the inventory.

use std::collections::HashMap;

use howdah_image::SnapshotId;

use super::items::{Inventory, Item, ItemKind};

/// What a prune is asked to remove (`docker builder prune`).
#[derive(Clone, Debug, Default)]
pub struct Prune {
    /// Also the records of layers that images have, which frees nothing but makes their steps run again.
    pub all: bool,
    /// Only what was not used for so many milliseconds.
    pub unused_for: Option<i64>,
    /// Only until the cache is as small as this, least recently used first.
    pub keep_bytes: Option<u64>,
    /// Only these, by the beginning of their ids.
    pub ids: Vec<String>,
    /// Only this kind.
    pub kind: Option<ItemKind>,
}

/// Bounds of the cache's size, in bytes; zero means none (`gcpolicy` of buildkitd.toml).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SizeLimits {
    /// Never removes below this for the other two.
    pub reserved: u64,
    /// The most that the cache may have.
    pub most: u64,
    /// So much of the disk should stay free.
    pub free: u64,
}

impl SizeLimits {
    /// BuildKit's default for a disk of this size (moby/buildkit `cmd/buildkitd/config/gcpolicy.go`): 80 % but at most
    /// 100 GB, 20 % free, and a reserve of 10 % but at most 10 GB.
    pub(super) fn of_disk(total: u64) -> SizeLimits {
        SizeLimits {
            reserved: (total / 10).min(10_000_000_000),
            most: (total / 10 * 8).min(100_000_000_000),
            free: total / 5,
        }
    }

    /// How much a cache of this size may keep (`calculateKeepBytes` of moby/buildkit `cache/manager.go`).
    pub(super) fn keep(&self, used: u64, free: u64) -> u64 {
        let mut keep = if self.most == 0 { u64::MAX } else { self.most };
        if let excess @ 1.. = self.free.saturating_sub(free) {
            keep = keep.min(used.saturating_sub(excess));
        }
        keep.max(self.reserved)
    }
}

/// The places of the items that go, in their order.
pub(super) fn choose(inventory: &Inventory, prune: &Prune, now: i64) -> Vec<usize> {
    let mut holders: HashMap<&SnapshotId, usize> = HashMap::new();
    for snapshot in inventory.items.iter().flat_map(|item| &item.snapshots) {
        *holders.entry(snapshot).or_default() += 1;
    }
    let mut size = total(inventory);
    let mut chosen = Vec::new();
    for (index, item) in inventory.items.iter().enumerate() {
        if prune.keep_bytes.is_some_and(|keep| size <= keep) {
            break;
        }
        if !may_go(item, prune, now) {
            continue;
        }
        chosen.push(index);
        if item.kind == ItemKind::Mount {
            size = size.saturating_sub(item.bytes);
        }
        for snapshot in &item.snapshots {
            let holders = holders.entry(snapshot).or_default();
            *holders = holders.saturating_sub(1);
            if *holders == 0 {
                size = size.saturating_sub(inventory.sizes.get(snapshot).copied().unwrap_or(0));
            }
        }
    }
    chosen
}

/// What the cache has on the disk for itself alone.
pub(super) fn total(inventory: &Inventory) -> u64 {
    let mounts = inventory
        .items
        .iter()
        .filter(|item| item.kind == ItemKind::Mount)
        .map(|item| item.bytes);
    inventory.sizes.values().sum::<u64>() + mounts.sum::<u64>()
}

fn may_go(item: &Item, prune: &Prune, now: i64) -> bool {
    !item.in_use
        && (prune.all || !item.shared)
        && prune
            .unused_for
            .is_none_or(|time| item.unused_for(now) > time)
        && prune.kind.is_none_or(|kind| kind == item.kind)
        && (prune.ids.is_empty() || prune.ids.iter().any(|id| item.id.starts_with(id.as_str())))
}

#[cfg(test)]
mod tests {
    use howdah_solver::Key;

    use super::*;

    const HOUR: i64 = 3_600_000;

    fn snapshot(digit: char) -> SnapshotId {
        digit.to_string().repeat(64).parse().unwrap()
    }

    /// Items last used in their order, an hour apart: `ab` is one with the snapshots a and b, `m` a mount.
    fn inventory(names: &[&str], sizes: &[(char, u64)]) -> Inventory {
        let item = |(index, name): (usize, &&str)| Item {
            id: format!("{index}"),
            kind: if *name == "m" {
                ItemKind::Mount
            } else {
                ItemKind::Step
            },
            description: (*name).to_owned(),
            bytes: 100,
            last_used: i64::try_from(index).unwrap() * HOUR,
            uses: 1,
            in_use: false,
            shared: false,
            keys: vec![Key::of(name.as_bytes())],
            snapshots: if *name == "m" {
                Vec::new()
            } else {
                name.chars().map(snapshot).collect()
            },
            mount: None,
        };
        Inventory {
            items: names.iter().enumerate().map(item).collect(),
            sizes: sizes
                .iter()
                .map(|(digit, size)| (snapshot(*digit), *size))
                .collect(),
        }
    }

    #[test]
    fn what_is_in_use_or_shared_stays() {
        let mut inventory = inventory(&["a", "b", "c", "m"], &[('a', 10), ('b', 20), ('c', 30)]);
        inventory.items[0].in_use = true;
        inventory.items[1].shared = true;
        let all = Prune {
            all: true,
            ..Prune::default()
        };
        assert_eq!(choose(&inventory, &Prune::default(), 0), [2, 3]);
        assert_eq!(choose(&inventory, &all, 0), [1, 2, 3]);
        let mounts = Prune {
            kind: Some(ItemKind::Mount),
            ..Prune::default()
        };
        assert_eq!(choose(&inventory, &mounts, 0), [3]);
        let by_id = Prune {
            ids: vec!["2".into()],
            ..Prune::default()
        };
        assert_eq!(choose(&inventory, &by_id, 0), [2]);
    }

    #[test]
    fn the_oldest_go_until_it_is_small_enough() {
        let inventory = inventory(&["a", "ab", "c", "m"], &[('a', 50), ('b', 5), ('c', 30)]);
        assert_eq!(total(&inventory), 185);
        let keep = |bytes| {
            let prune = Prune {
                keep_bytes: Some(bytes),
                ..Prune::default()
            };
            choose(&inventory, &prune, 0)
        };
        assert!(keep(185).is_empty());
        // The base is freed with the last delta on it.
        assert_eq!(keep(184), [0, 1]);
        assert_eq!(keep(130), [0, 1]);
        assert_eq!(keep(129), [0, 1, 2]);
        assert_eq!(keep(0), [0, 1, 2, 3]);
    }

    #[test]
    fn by_age() {
        let inventory = inventory(&["a", "b", "c"], &[]);
        let older = |time| {
            let prune = Prune {
                unused_for: Some(time),
                ..Prune::default()
            };
            choose(&inventory, &prune, 3 * HOUR)
        };
        assert_eq!(older(2 * HOUR), [0]);
        assert_eq!(older(HOUR), [0, 1]);
        assert!(older(9 * HOUR).is_empty());
        // A clock that was set back by a day, and one that could not be set back further.
        for now in [-24 * HOUR, i64::MIN] {
            let prune = Prune {
                unused_for: Some(25 * HOUR),
                ..Prune::default()
            };
            let chosen = choose(&inventory, &prune, now);
            assert_eq!(chosen.len(), if now == i64::MIN { 3 } else { 1 });
        }
    }

    #[test]
    fn limits_as_buildkit_has_them() {
        let gigabyte = 1_000_000_000;
        assert_eq!(
            SizeLimits::of_disk(1000 * gigabyte),
            SizeLimits {
                reserved: 10 * gigabyte,
                most: 100 * gigabyte,
                free: 200 * gigabyte
            }
        );
        let limits = SizeLimits {
            reserved: 10,
            most: 100,
            free: 50,
        };
        assert_eq!(limits.keep(80, 60), 100);
        assert_eq!(limits.keep(80, 30), 60);
        assert_eq!(limits.keep(80, 0), 30);
        assert_eq!(limits.keep(20, 0), 10);
        let fixed = SizeLimits {
            most: 7,
            ..SizeLimits::default()
        };
        assert_eq!(fixed.keep(80, 0), 7);
    }
}
