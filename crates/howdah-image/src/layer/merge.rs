//! A layer's snapshots seen as one tree, the way overlayfs would show them, with what hides lower layers kept.
//!
//! A whiteout in a delta hides a path of the snapshots below it, and that path may be in the image's lower layers too.
//! Then it must stay. Where nothing is left for it to hide it must go: overlayfs shows a whiteout as a broken file in a directory
//! that only one layer has (it looks for whiteouts in merged directories only, fs/overlayfs/readdir.c).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::{LayerError, WHITEOUT_PREFIX};
use crate::namespace::opaque_attribute;

/// One thing the merged layer says.
#[derive(Debug)]
pub(super) enum Change<'a> {
    /// The path of lower layers is gone.
    Whiteout(&'a Path),
    /// The path is this.
    Entry(Found<'a>),
}

/// The highest version of a path.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// Relative to the layer's root; empty for the root itself.
    pub(super) path: &'a Path,
    /// Where it is.
    pub(super) source: &'a Path,
    /// Which of the snapshots has it.
    pub(super) snapshot: usize,
    pub(super) metadata: &'a Metadata,
    /// For a directory: nothing of lower layers shows through.
    pub(super) opaque: bool,
}

/// A path in one of the snapshots.
struct Candidate {
    snapshot: usize,
    source: PathBuf,
    metadata: Metadata,
}

/// Visits the merged tree of `roots` (lowest first): a directory before what is in it, names in byte order.
pub(super) fn walk(
    roots: &[PathBuf],
    visit: &mut dyn FnMut(Change<'_>) -> Result<(), LayerError>,
) -> Result<(), LayerError> {
    let mut candidates = Vec::new();
    for (snapshot, source) in roots.iter().enumerate().rev() {
        let metadata = fs_err::symlink_metadata(source).map_err(read_error(source))?;
        candidates.push(Candidate {
            snapshot,
            source: source.clone(),
            metadata,
        });
    }
    if candidates.is_empty() {
        Ok(())
    } else {
        walk_directory(Path::new(""), candidates, false, visit)
    }
}

/// `candidates` are highest first, and the first is a directory. `hidden` says that a directory above is opaque.
fn walk_directory(
    path: &Path,
    candidates: Vec<Candidate>,
    hidden: bool,
    visit: &mut dyn FnMut(Change<'_>) -> Result<(), LayerError>,
) -> Result<(), LayerError> {
    let (merged, opaque) = merged_directories(candidates)?;
    let Some(top) = merged.first() else {
        return Ok(());
    };
    visit(Change::Entry(Found {
        path,
        source: &top.source,
        snapshot: top.snapshot,
        metadata: &top.metadata,
        opaque: opaque && !hidden,
    }))?;
    let hidden = hidden || opaque;
    for (name, candidates) in children(&merged)? {
        let child = path.join(&name);
        if name.as_bytes().starts_with(WHITEOUT_PREFIX) {
            // A tar cannot tell this file from a whiteout: it stays behind, as in images that BuildKit builds.
            continue;
        }
        let Some(top) = candidates.first() else {
            continue;
        };
        if is_whiteout(&top.metadata) {
            if !hidden {
                visit(Change::Whiteout(&child))?;
            }
        } else if top.metadata.is_dir() {
            walk_directory(&child, candidates, hidden, visit)?;
        } else {
            let Candidate {
                snapshot,
                source,
                metadata,
            } = top;
            visit(Change::Entry(Found {
                path: &child,
                source,
                snapshot: *snapshot,
                metadata,
                opaque: false,
            }))?;
        }
    }
    Ok(())
}

/// Those of the candidates that show through: down to an opaque directory, or to something that is no directory, which
/// hides all below it just as well.
fn merged_directories(candidates: Vec<Candidate>) -> Result<(Vec<Candidate>, bool), LayerError> {
    let mut merged = Vec::new();
    for candidate in candidates {
        if !candidate.metadata.is_dir() {
            return Ok((merged, true));
        }
        let opaque = is_opaque(&candidate.source).map_err(read_error(&candidate.source))?;
        merged.push(candidate);
        if opaque {
            return Ok((merged, true));
        }
    }
    Ok((merged, false))
}

fn children(directories: &[Candidate]) -> Result<BTreeMap<OsString, Vec<Candidate>>, LayerError> {
    let mut children: BTreeMap<OsString, Vec<Candidate>> = BTreeMap::new();
    for directory in directories {
        let error = || read_error(&directory.source);
        for entry in fs_err::read_dir(&directory.source).map_err(error())? {
            let entry = entry.map_err(error())?;
            let metadata = entry.metadata().map_err(error())?;
            let candidate = Candidate {
                snapshot: directory.snapshot,
                source: entry.path(),
                metadata,
            };
            children
                .entry(entry.file_name())
                .or_default()
                .push(candidate);
        }
    }
    Ok(children)
}

/// Whether overlayfs shows `path` in the directories `roots` (lowest first).
pub(super) fn is_visible(roots: &[PathBuf], path: &Path) -> Result<bool, LayerError> {
    let mut directories: Vec<PathBuf> = roots.iter().rev().cloned().collect();
    let mut components = path.components().peekable();
    while let Some(component) = components.next() {
        let mut merged = Vec::new();
        for directory in directories {
            let candidate = directory.join(component);
            let metadata = match fs_err::symlink_metadata(&candidate) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(read_error(&candidate)(error)),
            };
            if components.peek().is_none() {
                return Ok(!is_whiteout(&metadata));
            }
            if !metadata.is_dir() {
                break;
            }
            let opaque = is_opaque(&candidate).map_err(read_error(&candidate))?;
            merged.push(candidate);
            if opaque {
                break;
            }
        }
        directories = merged;
    }
    Ok(false)
}

fn is_whiteout(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

fn is_opaque(directory: &Path) -> io::Result<bool> {
    Ok(xattr::get(directory, opaque_attribute())?.is_some_and(|value| value == b"y"))
}

fn read_error(path: &Path) -> impl FnOnce(io::Error) -> LayerError {
    let path = path.to_owned();
    move |source| LayerError::Io {
        action: "read",
        path,
        source,
    }
}
