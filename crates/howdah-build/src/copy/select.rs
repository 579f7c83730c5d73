//! Which files a `COPY` takes: paths and wildcards, symbolic links of the sources followed, exclusions applied.

use std::sync::atomic::{AtomicBool, Ordering};

use howdah_solver::Key;
use rayon::prelude::*;

use super::CopyError;
use super::digest::{TreeDigest, entry_attributes};
use crate::context::digest_file;
use crate::pattern::{Excludes, has_wildcard, matches_name};
use crate::tree::{self, Entry, Kind, Tree, TreePath};

/// A source as written, and how it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// Path or wildcard; expanded already.
    pub(crate) text: String,
    /// `--parents`
    pub(crate) parents: bool,
}

/// One source that was found.
#[derive(Clone, Debug)]
pub(crate) struct Selected {
    /// Its name in the destination; with `--parents` a path.
    pub(crate) name: TreePath,
    /// With `--parents` the directories of `name`, outermost first.
    pub(crate) ancestors: Vec<Entry>,
    /// The file or directory itself, symbolic links followed.
    pub(crate) top: Entry,
    /// If it is a directory: what is in it, with paths below it.
    pub(crate) below: Vec<(TreePath, Entry)>,
    /// Copy the directory itself, not only what is in it (`--parents`).
    pub(crate) whole: bool,
}

/// All sources of one `COPY` that come from one tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    pub(crate) sources: Vec<Selected>,
}

impl Selection {
    /// The digest of everything selected. With `owner` if the copy keeps owners (from a stage or an image); the
    /// owners in a build context are whoever checked it out.
    pub(crate) fn digest(&self, owner: bool) -> Key {
        let mut digest = TreeDigest::default();
        for source in &self.sources {
            digest.text(&source.name);
            for ancestor in &source.ancestors {
                digest.entry(&ancestor.path, &entry_attributes(ancestor, owner));
            }
            digest.entry(b"", &entry_attributes(&source.top, owner));
            for (path, entry) in &source.below {
                digest.entry(path, &entry_attributes(entry, owner));
            }
        }
        digest.finish()
    }

    /// Reads all files whose digest is not known yet. Gives up when `stop` is set.
    pub(crate) fn read(&mut self, stop: &AtomicBool) -> Result<(), CopyError> {
        let tops = self.sources.iter_mut().flat_map(|source| {
            let Selected { top, below, .. } = source;
            std::iter::once(top).chain(below.iter_mut().map(|(_, entry)| entry))
        });
        let unread: Vec<&mut Entry> = tops
            .filter(|entry| entry.kind == Kind::File && entry.digest.is_none())
            .collect();
        unread.into_par_iter().try_for_each(|entry| {
            if !stop.load(Ordering::Relaxed) {
                let real = entry.real();
                let digest = digest_file(&real, entry.size);
                entry.digest = Some(digest.map_err(CopyError::io(format!(
                    "read `{}`",
                    tree::display(&entry.path)
                )))?);
            }
            Ok(())
        })
    }
}

/// Finds the sources. `place` says in errors where they were looked for.
pub(crate) fn select(
    tree: &dyn Tree,
    patterns: &[Pattern],
    excludes: &Excludes,
    place: &str,
) -> Result<Selection, CopyError> {
    let mut selection = Selection::default();
    for pattern in patterns {
        let found = expand(tree, pattern).map_err(CopyError::io(format!(
            "look for `{}` in {place}",
            pattern.text
        )))?;
        if found.is_empty() && !has_wildcard(&pattern.text) {
            return Err(CopyError::NotFound {
                source_path: pattern.text.clone(),
                place: place.to_owned(),
                ignored: false,
            });
        }
        for matched in found {
            let selected = take(tree, pattern, &matched, excludes)
                .map_err(CopyError::io(format!("read `{}` in {place}", pattern.text)))?;
            selection.sources.extend(selected);
        }
    }
    Ok(selection)
}

/// A path that a pattern matched.
struct Matched {
    /// In the tree, before its last symbolic link is followed.
    path: TreePath,
    /// How many bytes of `path` come before the pivot `/./` of `--parents`.
    pivot: usize,
}

fn expand(tree: &dyn Tree, pattern: &Pattern) -> std::io::Result<Vec<Matched>> {
    let text = pattern.text.as_bytes();
    let (base, rest) = match pattern.text.find("/./").filter(|_| pattern.parents) {
        Some(pivot) => (tree::resolve(tree, &text[..pivot])?, &text[pivot + 3..]),
        None => (TreePath::new(), text),
    };
    let pivot = base.len();
    // `..` only means something before wildcards are expanded; at the root it stays there.
    let rest = tree::clean(rest);
    let mut found = vec![base];
    for name in tree::components(&rest) {
        let mut next = Vec::new();
        for directory in &found {
            step(tree, directory, name, pattern.parents, &mut next)?;
        }
        found = next;
    }
    let mut matched = Vec::new();
    for path in found {
        // A symbolic link that leads nowhere is not there.
        if tree.entry(&tree::resolve(tree, &path)?)?.is_some() {
            matched.push(Matched { path, pivot });
        }
    }
    Ok(matched)
}

/// What one component of a pattern leads to from `directory`.
fn step(
    tree: &dyn Tree,
    directory: &[u8],
    name: &[u8],
    parents: bool,
    next: &mut Vec<TreePath>,
) -> std::io::Result<()> {
    let directory = tree::resolve(tree, directory)?;
    let pattern = String::from_utf8_lossy(name);
    if parents && name == b"**" {
        next.push(directory.clone());
        let below = tree.below(&directory)?;
        next.extend(
            below
                .into_iter()
                .filter(Entry::is_directory)
                .map(|entry| entry.path),
        );
    } else if has_wildcard(&pattern) {
        let names = tree.names(&directory)?.into_iter();
        next.extend(
            names
                .filter(|name| matches_name(&pattern, name))
                .map(|name| tree::join(&directory, &name)),
        );
    } else {
        next.push(tree::join(&directory, name));
    }
    Ok(())
}

fn take(
    tree: &dyn Tree,
    pattern: &Pattern,
    matched: &Matched,
    excludes: &Excludes,
) -> std::io::Result<Option<Selected>> {
    let resolved = tree::resolve(tree, &matched.path)?;
    let Some(top) = tree.entry(&resolved)? else {
        return Ok(None);
    };
    let base_name = tree::split(&matched.path)
        .map(|(_, name)| name.to_vec())
        .unwrap_or_default();
    let (name, ancestors) = if pattern.parents {
        let name = tree::clean(&matched.path[matched.pivot..]);
        (name, ancestors(tree, matched)?)
    } else {
        (base_name.clone(), Vec::new())
    };
    // Exclusions are paths below a source directory, or the name of a source file.
    let seen_as = if pattern.parents { &name } else { &base_name };
    if !top.is_directory() && excludes.contains(seen_as, false) {
        return Ok(None);
    }
    let mut below = Vec::new();
    for entry in tree.below(&resolved)? {
        let path = entry.path[resolved.len()..]
            .strip_prefix(b"/")
            .unwrap_or(&entry.path[resolved.len()..])
            .to_vec();
        let left_out = if pattern.parents {
            excludes.contains(&tree::join(&name, &path), entry.is_directory())
        } else {
            excludes.contains(&path, entry.is_directory())
        };
        if !left_out {
            below.push((path, entry));
        }
    }
    Ok(Some(Selected {
        name,
        ancestors,
        top,
        below,
        whole: pattern.parents,
    }))
}

fn ancestors(tree: &dyn Tree, matched: &Matched) -> std::io::Result<Vec<Entry>> {
    let mut ancestors = Vec::new();
    let mut path = matched.path.as_slice();
    while let Some((parent, _)) =
        tree::split(path).filter(|(parent, _)| parent.len() > matched.pivot)
    {
        ancestors.extend(tree.entry(&tree::resolve(tree, parent)?)?.map(|mut entry| {
            entry.path = tree::clean(&parent[matched.pivot..]);
            entry
        }));
        path = parent;
    }
    ancestors.reverse();
    Ok(ancestors)
}
