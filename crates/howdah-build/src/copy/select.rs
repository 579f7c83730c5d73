//! Which files a `COPY` takes: paths and wildcards, symbolic links of the sources followed, exclusions applied.

use std::sync::atomic::{AtomicBool, Ordering};

use howdah_solver::Key;
use rayon::prelude::*;

use super::CopyError;
use super::digest::{TreeDigest, entry_attributes};
use super::parents;
use crate::context::digest_file;
use crate::pattern::{Excludes, check, has_wildcard, matches_name};
use crate::tree::{self, Entry, Kind, Tree, TreePath};

/// So many files are worth another processor.
const MANY: usize = 512;

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
    /// The file or directory itself, symbolic links followed; with `--parents` the link.
    pub(crate) top: Entry,
    /// If it is a directory: what is in it, with paths that begin with that of `top`.
    pub(crate) below: Vec<Entry>,
    /// Copy the directory itself, not only what is in it (`--parents`).
    pub(crate) whole: bool,
}

impl Selected {
    /// Everything in the directory, with paths below it.
    pub(crate) fn below(&self) -> impl Iterator<Item = (&[u8], &Entry)> {
        let paths = |entry| (path_below(entry, &self.top.path), entry);
        self.below.iter().map(paths)
    }

    /// A directory with nothing in it.
    fn empty(top: Entry) -> Selected {
        Selected {
            name: TreePath::new(),
            ancestors: Vec::new(),
            top,
            below: Vec::new(),
            whole: false,
        }
    }
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
            let below = source.below.par_iter().with_min_len(MANY);
            let attributes: Vec<Key> = below.map(|entry| entry_attributes(entry, owner)).collect();
            for ((path, _), attributes) in source.below().zip(&attributes) {
                digest.entry(path, attributes);
            }
        }
        digest.finish()
    }

    /// Reads all files whose digest is not known yet. Gives up when `stop` is set.
    pub(crate) fn read(&mut self, stop: &AtomicBool) -> Result<(), CopyError> {
        let tops = self.sources.iter_mut().flat_map(|source| {
            let Selected { top, below, .. } = source;
            std::iter::once(top).chain(below)
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
            return Err(not_found(pattern.text.clone(), place));
        }
        if found.is_empty() && pattern.parents {
            // The walk begins at the top, which is there: an empty directory is made.
            let top = tree
                .entry(b"")
                .map_err(CopyError::io(format!("read {place}")))?;
            selection.sources.extend(top.map(Selected::empty));
        }
        for matched in found {
            let taken = take(tree, pattern, &matched, excludes)
                .map_err(CopyError::io(format!("read `{}` in {place}", pattern.text)))?;
            match taken {
                Taken::Found(selected) => selection.sources.push(*selected),
                Taken::LeftOut => {}
                Taken::Lost => return Err(not_found(tree::display(&matched.path), place)),
            }
        }
    }
    Ok(selection)
}

fn not_found(source_path: String, place: &str) -> CopyError {
    CopyError::NotFound {
        source_path,
        place: place.to_owned(),
        ignored: false,
    }
}

/// A path that a pattern matched.
pub(super) struct Matched {
    /// In the tree, before its last symbolic link is followed.
    pub(super) path: TreePath,
    /// How many bytes of `path` come before the pivot `/./` of `--parents`.
    pub(super) pivot: usize,
}

fn expand(tree: &dyn Tree, pattern: &Pattern) -> std::io::Result<Vec<Matched>> {
    if pattern.parents {
        return parents::expand(tree, &pattern.text);
    }
    let found = walk(tree, pattern.text.as_bytes())?;
    let matched = |path| Matched { path, pivot: 0 };
    Ok(found.into_iter().map(matched).collect())
}

/// Follows the components of a pattern. `..` only means something before wildcards are expanded; at the root it stays there.
/// Symbolic links lead on before the first wildcard, not behind it (fsutil `copy.go`, `ResolveWildcards`).
pub(super) fn walk(tree: &dyn Tree, pattern: &[u8]) -> std::io::Result<Vec<TreePath>> {
    let mut found = vec![TreePath::new()];
    let mut is_literal = true;
    for name in tree::components(&tree::clean(pattern)) {
        let text = String::from_utf8_lossy(name);
        let is_wild = has_wildcard(&text);
        if is_wild {
            check(&text)?;
        }
        let mut next = Vec::new();
        for directory in found {
            let directory = if is_literal {
                tree::resolve(tree, &directory)?
            } else {
                directory
            };
            if is_wild {
                let names = tree.names(&directory)?.into_iter();
                let names = names.filter(|name| matches_name(&text, name));
                next.extend(names.map(|name| tree::join(&directory, &name)));
            } else {
                next.push(tree::join(&directory, name));
            }
        }
        is_literal &= !is_wild;
        found = next;
    }
    let mut there = Vec::new();
    for path in found {
        if tree.entry(&path)?.is_some() {
            there.push(path);
        }
    }
    Ok(there)
}

/// What came of one matched path.
enum Taken {
    Found(Box<Selected>),
    /// `--exclude` leaves it out.
    LeftOut,
    /// A symbolic link that leads nowhere.
    Lost,
}

fn take(
    tree: &dyn Tree,
    pattern: &Pattern,
    matched: &Matched,
    excludes: &Excludes,
) -> std::io::Result<Taken> {
    let resolved = if pattern.parents {
        matched.path.clone()
    } else {
        tree::resolve(tree, &matched.path)?
    };
    let Some(top) = tree.entry(&resolved)? else {
        return Ok(Taken::Lost);
    };
    let (name, ancestors) = if pattern.parents {
        let name = tree::clean(&matched.path[matched.pivot..]);
        (name, ancestors(tree, matched)?)
    } else {
        let name = tree::split(&matched.path).map_or_else(TreePath::new, |(_, name)| name.to_vec());
        (name, Vec::new())
    };
    // Exclusions are paths below a source; with `--parents` below where it is copied to. A source itself is never left out
    // without it (moby/buildkit hands the patterns to each source's walk).
    let is_left_out = |path: &[u8], is_directory: bool| {
        if pattern.parents {
            excludes.contains(&tree::join(&name, path), is_directory)
        } else {
            excludes.contains(path, is_directory)
        }
    };
    if pattern.parents && !top.is_directory() && excludes.contains(&name, false) {
        return Ok(Taken::LeftOut);
    }
    let mut below = Vec::new();
    let mut skipped: Vec<Entry> = Vec::new();
    for entry in tree.below(&resolved)? {
        while skipped
            .pop_if(|above| !is_below(&entry.path, &above.path))
            .is_some()
        {}
        if !is_left_out(path_below(&entry, &resolved), entry.is_directory()) {
            // A directory that is left out comes back with what is in it and is not.
            below.append(&mut skipped);
            below.push(entry);
        } else if entry.is_directory() {
            skipped.push(entry);
        }
    }
    Ok(Taken::Found(Box::new(Selected {
        name,
        ancestors,
        top,
        below,
        whole: pattern.parents,
    })))
}

/// The path of an entry without that of a directory it is in.
fn path_below<'e>(entry: &'e Entry, directory: &[u8]) -> &'e [u8] {
    let path = entry.path.get(directory.len()..).unwrap_or_default();
    path.strip_prefix(b"/").unwrap_or(path)
}

fn is_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.starts_with(b"/"))
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
