//! The layer of a `COPY`: what the same step wrote the last time, and a small delta over it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use howdah_image::{Layer, SnapshotId, Store};

use super::write::{Piece, write_tree, write_whiteouts};
use super::{CopyError, Manifest, Placed, Plan};
use crate::error::StepError;
use crate::tree::{self, Kind, Tree, TreePath};
use crate::view::View;

/// Deltas over one base before everything is linked into a new base. Every lower directory costs each later mount a
/// little (5 microseconds measured) and each failed lookup a step.
const DEPTH_LIMIT: usize = 12;

/// What a step wrote the last time.
#[derive(Clone, Debug)]
pub(crate) struct Previous {
    pub(crate) layer: Layer,
    pub(crate) manifest: Manifest,
    /// See [`CopyLayer::masks`].
    pub(crate) masks: Vec<TreePath>,
}

/// A layer that was written.
#[derive(Debug)]
pub(crate) struct CopyLayer {
    pub(crate) layer: Layer,
    /// Paths at which the layer's own deltas hide whatever is below the layer. The layer only fits on an image that has
    /// nothing there.
    pub(crate) masks: Vec<TreePath>,
    pub(crate) bytes: u64,
    /// A source changed while it was read; the layer must not be remembered.
    pub(crate) moved: bool,
}

/// How a plan is written.
#[derive(Debug)]
enum Strategy<'p> {
    /// Everything into a new snapshot, linking from the previous one what has not changed.
    Base,
    /// Only what has changed.
    Delta {
        removed: Vec<&'p TreePath>,
        masks: Vec<TreePath>,
    },
}

/// Writes `plan` as snapshots of `store`.
pub(crate) fn make_layer(
    store: &Store,
    plan: &Plan,
    previous: Option<&Previous>,
    image: &View,
    stop: &AtomicBool,
) -> Result<CopyLayer, StepError> {
    let strategy = match previous {
        Some(previous) => choose(plan, previous, image)?,
        None => Strategy::Base,
    };
    let staging = store.stage()?;
    let links = previous.map(|previous| snapshots(store, &previous.layer));
    let mut snapshots = Vec::new();
    let mut masks = Vec::new();
    let (pieces, removed) = match strategy {
        Strategy::Base => (whole(plan, previous, links.as_ref())?, Vec::new()),
        Strategy::Delta {
            removed,
            masks: delta_masks,
        } => {
            snapshots.extend(
                previous
                    .iter()
                    .flat_map(|previous| previous.layer.snapshots.clone()),
            );
            masks = delta_masks;
            (delta(plan, previous, &removed), removed)
        }
    };
    let written = write_tree(staging.upper(), &pieces, stop)?;
    write_whiteouts(staging.upper(), removed.into_iter())?;
    let id = SnapshotId::random();
    staging.seal(&id)?;
    snapshots.push(id);
    Ok(CopyLayer {
        layer: Layer { snapshots },
        masks,
        bytes: written.bytes,
        moved: written.moved,
    })
}

fn snapshots(store: &Store, layer: &Layer) -> View {
    View::new(
        layer
            .snapshots
            .iter()
            .map(|snapshot| store.snapshot_path(snapshot))
            .collect(),
    )
}

fn choose<'p>(
    plan: &Plan,
    previous: &'p Previous,
    image: &View,
) -> Result<Strategy<'p>, CopyError> {
    let there = |path: &[u8]| {
        let found = image.entry(path).map_err(CopyError::io(format!(
            "look up `{}` in the image",
            tree::display(path)
        )));
        found.map(|entry| entry.is_some())
    };
    if previous.layer.snapshots.len() > DEPTH_LIMIT {
        return Ok(Strategy::Base);
    }
    let changed = plan
        .placed
        .iter()
        .filter(|(path, placed)| has_changed(path, placed, previous))
        .count();
    let removed = removed(plan, previous);
    // Most of it is new: a base of its own is no more work and one layer less.
    if (changed + removed.len()) * 2 > plan.placed.len() {
        return Ok(Strategy::Base);
    }
    let mut masks: BTreeSet<TreePath> = previous.masks.iter().cloned().collect();
    masks.extend(removed.iter().map(|path| (*path).clone()));
    masks.extend(
        plan.placed
            .iter()
            .filter(|(path, placed)| became_directory(path, placed, previous))
            .map(|(path, _)| path.clone()),
    );
    for path in &masks {
        if there(path)? {
            return Ok(Strategy::Base);
        }
    }
    Ok(Strategy::Delta {
        removed,
        masks: masks.into_iter().collect(),
    })
}

fn has_changed(path: &[u8], placed: &Placed, previous: &Previous) -> bool {
    previous
        .manifest
        .get(path)
        .is_none_or(|listed| listed.attributes != placed.attributes)
}

/// A directory over a file of an earlier delta does not merge with what is below that file.
fn became_directory(path: &[u8], placed: &Placed, previous: &Previous) -> bool {
    placed.kind == Kind::Directory
        && previous
            .manifest
            .get(path)
            .is_some_and(|listed| !listed.is_directory)
}

/// The topmost paths that are no longer there, without those that go with a directory that became something else.
fn removed<'p>(plan: &Plan, previous: &'p Previous) -> Vec<&'p TreePath> {
    let gone = |path: &[u8]| !plan.placed.contains_key(path);
    let files = previous.manifest.files.iter().map(|listed| &listed.path);
    let topmost = |path: &&TreePath| {
        let parent = tree::split(path).and_then(|(parent, _)| plan.placed.get(parent));
        gone(path) && parent.is_some_and(|parent| parent.kind == Kind::Directory)
    };
    files.filter(topmost).collect()
}

fn whole<'p>(
    plan: &'p Plan,
    previous: Option<&Previous>,
    links: Option<&View>,
) -> Result<Vec<Piece<'p>>, CopyError> {
    let mut pieces = Vec::with_capacity(plan.placed.len());
    for (path, placed) in &plan.placed {
        let unchanged = previous.is_some_and(|previous| !has_changed(path, placed, previous));
        let linkable = unchanged && placed.kind != Kind::Directory;
        let link = match links.filter(|_| linkable) {
            Some(links) => real_path(links, path)?,
            None => None,
        };
        pieces.push(Piece { path, placed, link });
    }
    Ok(pieces)
}

fn real_path(links: &View, path: &[u8]) -> Result<Option<PathBuf>, CopyError> {
    let entry = links.entry(path).map_err(CopyError::io(format!(
        "look up `{}` in its layer",
        tree::display(path)
    )))?;
    Ok(entry.map(|entry| entry.real()))
}

/// Changed files, and the directories of everything that changed.
fn delta<'p>(plan: &'p Plan, previous: Option<&Previous>, removed: &[&TreePath]) -> Vec<Piece<'p>> {
    let changed = plan.placed.iter().filter(|(path, placed)| {
        previous.is_none_or(|previous| has_changed(path, placed, previous))
    });
    let changed: Vec<&TreePath> = changed.map(|(path, _)| path).collect();
    let mut needed: BTreeSet<&[u8]> = changed.iter().map(|path| path.as_slice()).collect();
    for path in changed.into_iter().chain(removed.iter().copied()) {
        let mut path = path.as_slice();
        while let Some((parent, _)) = tree::split(path) {
            needed.insert(parent);
            path = parent;
        }
    }
    let placed = plan
        .placed
        .iter()
        .filter(|(path, _)| needed.contains(path.as_slice()));
    placed
        .map(|(path, placed)| Piece {
            path,
            placed,
            link: None,
        })
        .collect()
}
