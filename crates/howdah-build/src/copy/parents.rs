//! What `COPY --parents` takes: everything that its pattern matches as a line of an ignore file would, `**` and what is below a
//! matched directory included (moby/buildkit `dockerfile2llb/convert_copy.go`: include patterns of the copy).

use std::io;

use super::select::{Matched, walk};
use crate::pattern::{Excludes, has_wildcard};
use crate::tree::{self, Kind, Tree, TreePath};

/// Finds what a source matches. What stands before the pivot `/./` is a wildcard as everywhere.
pub(super) fn expand(tree: &dyn Tree, text: &str) -> io::Result<Vec<Matched>> {
    let Some((above, pattern)) = text.split_once("/./") else {
        let found = below(tree, &TreePath::new(), text)?;
        let matched = |path| Matched { path, pivot: 0 };
        return Ok(found.into_iter().map(matched).collect());
    };
    let sent = sent(tree, text)?;
    let mut matched = Vec::new();
    for base in walk(tree, above.as_bytes())? {
        let resolved = tree::resolve(tree, &base)?;
        let Some(entry) = tree.entry(&resolved)? else {
            continue;
        };
        if entry.is_directory() {
            let pivot = resolved.len();
            let found = below(tree, &resolved, pattern)?;
            matched.extend(found.into_iter().map(|path| Matched { path, pivot }));
        } else if !tree.is_context() || sent.iter().any(|pattern| pattern.matches(&base, false)) {
            // A wildcard before the pivot may match files: they are taken as they are.
            let pivot = tree::split(&resolved).map_or(0, |(parent, _)| parent.len());
            let path = resolved;
            matched.push(Matched { path, pivot });
        }
    }
    Ok(matched)
}

/// What BuildKit's client would send of a context for a source: what it matches as a whole and, where one of its wildcards
/// matches a symbolic link, everything that wildcard matches (fsutil `followlinks.go`).
fn sent(tree: &dyn Tree, text: &str) -> io::Result<Vec<Pattern>> {
    let mut patterns = vec![Pattern::new(text)?];
    let mut prefix = TreePath::new();
    for name in tree::components(&tree::clean(text.as_bytes())) {
        prefix = tree::join(&prefix, name);
        if !has_wildcard(&String::from_utf8_lossy(name)) {
            continue;
        }
        for path in walk(tree, &prefix)? {
            if let Some(Kind::Symlink(_)) = tree.entry(&path)?.map(|entry| entry.kind) {
                patterns.push(Pattern::new(&String::from_utf8_lossy(&prefix))?);
                return Ok(patterns);
            }
        }
    }
    Ok(patterns)
}

/// The outermost paths below `base` that match. Their names keep their way, and that does not lead through a link.
fn below(tree: &dyn Tree, base: &TreePath, text: &str) -> io::Result<Vec<TreePath>> {
    let cleaned = tree::clean(text.as_bytes());
    if cleaned.is_empty() {
        // The directory itself has no path to keep; BuildKit finds nothing either.
        return Ok(Vec::new());
    }
    if !has_wildcard(text) {
        let path = tree::join(base, &cleaned);
        return Ok(Vec::from_iter(tree.entry(&path)?.map(|_| path)));
    }
    let is_literal = |name: &&[u8]| !has_wildcard(&String::from_utf8_lossy(name));
    let literal: Vec<&[u8]> = tree::components(&cleaned).take_while(is_literal).collect();
    let start = literal
        .iter()
        .fold(base.clone(), |path, name| tree::join(&path, name));
    let pattern = Pattern::new(text)?;
    let mut found: Vec<TreePath> = Vec::new();
    for entry in tree.below(&start)? {
        let is_inside = |above: &TreePath| {
            let rest = entry.path.strip_prefix(above.as_slice());
            rest.is_some_and(|rest| rest.starts_with(b"/"))
        };
        let relative = tree::clean(&entry.path[base.len()..]);
        if !found.last().is_some_and(is_inside) && pattern.matches(&relative, entry.is_directory())
        {
            found.push(entry.path);
        }
    }
    Ok(found)
}

/// One pattern.
struct Pattern(Excludes);

impl Pattern {
    fn new(text: &str) -> io::Result<Pattern> {
        let cleaned = tree::clean(text.as_bytes());
        let patterns = [String::from_utf8_lossy(&cleaned).into_owned()];
        let malformed = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        Excludes::new(&patterns).map(Pattern).map_err(malformed)
    }

    /// Whether the path or a directory above it matches.
    fn matches(&self, path: &[u8], is_directory: bool) -> bool {
        self.0.contains(path, is_directory)
    }
}
