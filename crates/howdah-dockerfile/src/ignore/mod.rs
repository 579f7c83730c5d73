//! `.dockerignore`: which paths of a build context stay out, as moby/patternmatcher decides it.
//!
//! The last pattern that matches a path or one of its parents wins; `!` takes a path back in. The same patterns serve
//! `--exclude` and `COPY --parents`. The order of evaluation is that of fsutil, which walks contexts for BuildKit; unlike
//! Docker before 23 it finds what a negation with wildcards takes back in below an ignored directory.

mod pattern;

use pattern::Pattern;

use crate::{
    glob::GlobError,
    limits::{IGNORE_PATTERNS, PATTERN_BYTES},
};

/// Why an ignore file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreError {
    /// A pattern that has no meaning.
    #[error("cannot read line {line} of the ignore file")]
    Pattern {
        /// Its number, from 1 (of a list of patterns, its position).
        line: usize,
        /// What is wrong.
        source: GlobError,
    },
    /// `!` without a pattern.
    #[error("line {line} of the ignore file is `!` without a pattern")]
    LoneNegation {
        /// Its number, from 1.
        line: usize,
    },
    /// More patterns than anyone writes.
    #[error("the ignore file has more than {IGNORE_PATTERNS} patterns")]
    TooMany,
}

/// The patterns of an ignore file.
#[derive(Clone, Debug, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
    negations: bool,
}

/// What is known about a directory when its entries are judged.
#[derive(Clone, Debug)]
pub struct Directory {
    /// For each pattern, whether it matched this directory or one above.
    matched: Box<[bool]>,
}

/// The judgement on a directory.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The directory is kept out. If something inside is taken back in, it is needed all the same, as its parent.
    pub ignored: bool,
    /// Nothing inside can be taken back in: do not even read it.
    pub prune: bool,
    /// For judging the entries.
    pub directory: Directory,
}

impl Ignore {
    /// Reads an ignore file: one pattern a line, `#` in the first column begins a comment, white space around a pattern
    /// and a leading `/` do not count.
    pub fn parse(text: &str) -> Result<Ignore, IgnoreError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.lines().map(|line| {
            if line.starts_with('#') {
                ""
            } else {
                line.trim()
            }
        });
        Ignore::collect(lines.map(|line| match line.strip_prefix('!') {
            Some(pattern) => (true, rooted(pattern.trim())),
            None => (false, rooted(line)),
        }))
    }

    /// Takes patterns from elsewhere, such as the values of `--exclude`.
    pub fn from_patterns<'text>(
        patterns: impl IntoIterator<Item = &'text str>,
    ) -> Result<Ignore, IgnoreError> {
        Ignore::collect(patterns.into_iter().map(|pattern| {
            let pattern = pattern.trim();
            pattern
                .strip_prefix('!')
                .map_or((false, clean(pattern)), |rest| (true, clean(rest)))
        }))
    }

    fn collect(lines: impl Iterator<Item = (bool, String)>) -> Result<Ignore, IgnoreError> {
        let mut ignore = Ignore::default();
        for (index, (negated, text)) in lines.enumerate() {
            let line = index + 1;
            if text.is_empty() {
                if negated {
                    return Err(IgnoreError::LoneNegation { line });
                }
                continue;
            }
            if ignore.patterns.len() == IGNORE_PATTERNS {
                return Err(IgnoreError::TooMany);
            }
            if text.len() > PATTERN_BYTES {
                return Err(IgnoreError::Pattern {
                    line,
                    source: GlobError::Length,
                });
            }
            ignore.patterns.push(
                Pattern::new(&text, negated)
                    .map_err(|source| IgnoreError::Pattern { line, source })?,
            );
            ignore.negations |= negated;
        }
        Ok(ignore)
    }

    /// Whether there is no pattern at all.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether some pattern takes back in what an earlier one keeps out.
    pub fn has_negations(&self) -> bool {
        self.negations
    }

    /// The root of the context, which is never ignored.
    pub fn root(&self) -> Directory {
        Directory {
            matched: vec![false; self.patterns.len()].into(),
        }
    }

    /// Judges a directory. `path` is relative to the root, with `/` between its parts; `parent` is the directory it is in.
    pub fn directory(&self, path: &str, parent: &Directory) -> Verdict {
        let mut matched = vec![false; self.patterns.len()].into_boxed_slice();
        let ignored = self.judge(path, parent, |index| matched[index] = true);
        let below = format!("{path}/");
        let negation_below = |pattern: &Pattern| pattern.negated && pattern.may_match_below(&below);
        let prune = ignored && !(self.negations && self.patterns.iter().any(negation_below));
        Verdict {
            ignored,
            prune,
            directory: Directory { matched },
        }
    }

    /// Judges a file (anything but a directory); true when it is kept out.
    pub fn file(&self, path: &str, parent: &Directory) -> bool {
        self.judge(path, parent, |_| {})
    }

    /// Judges a path alone, by walking down to it. To judge many, walk and use [`Self::directory`] and [`Self::file`].
    pub fn is_ignored(&self, path: &str) -> bool {
        let path = path.trim_matches('/');
        let mut parent = self.root();
        for (slash, _) in path.match_indices('/') {
            parent = self.directory(&path[..slash], &parent).directory;
        }
        self.file(path, &parent)
    }

    /// A pattern that matched the parent matches here. Another one is only looked at if it would change the outcome so
    /// far; this is how BuildKit does it, and it can be seen in results (a negation that is skipped for the parent is
    /// not remembered for what is inside).
    fn judge(&self, path: &str, parent: &Directory, mut note: impl FnMut(usize)) -> bool {
        let mut ignored = false;
        for (index, (pattern, &inherited)) in self.patterns.iter().zip(&parent.matched).enumerate()
        {
            if inherited || (pattern.negated == ignored && pattern.matches(path)) {
                note(index);
                ignored = !pattern.negated;
            }
        }
        ignored
    }
}

/// Cleaned, and relative to the root of the context.
fn rooted(pattern: &str) -> String {
    let cleaned = clean(pattern);
    match cleaned.strip_prefix('/') {
        Some(relative) if !relative.is_empty() => relative.to_owned(),
        _ => cleaned,
    }
}

/// Go's `filepath.Clean`: no empty parts, no `.`, `..` resolved as far as possible. Nothing stays nothing.
fn clean(path: &str) -> String {
    if path.is_empty() {
        return String::new();
    }
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    match (absolute, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

#[cfg(test)]
mod tests;
