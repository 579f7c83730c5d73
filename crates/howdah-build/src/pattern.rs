//! Wildcards and exclusions on the bytes of paths.

use howdah_dockerfile::glob::Glob;
use howdah_dockerfile::ignore::{Ignore, IgnoreError};

use crate::tree;

/// Whether a path has characters that a pattern gives a meaning.
pub(crate) fn has_wildcard(text: &str) -> bool {
    Glob::has_wildcards(text)
}

/// Refuses a malformed pattern.
pub(crate) fn check(pattern: &str) -> std::io::Result<()> {
    let malformed = |error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error);
    Glob::new(pattern).map(drop).map_err(malformed)
}

/// Whether one component of a pattern matches a file name. A malformed one matches nothing.
pub(crate) fn matches_name(pattern: &str, name: &[u8]) -> bool {
    Glob::new(pattern).is_ok_and(|glob| glob.matches(&String::from_utf8_lossy(name)))
}

/// The patterns of `--exclude`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Excludes {
    ignore: Ignore,
}

impl Excludes {
    pub(crate) fn new(patterns: &[String]) -> Result<Excludes, IgnoreError> {
        Ok(Excludes {
            ignore: Ignore::from_patterns(patterns.iter().map(String::as_str))?,
        })
    }

    /// Whether a path, or a directory above it, is excluded.
    pub(crate) fn contains(&self, path: &[u8], is_directory: bool) -> bool {
        if self.ignore.is_empty() {
            return false;
        }
        let mut directory = self.ignore.root();
        let mut reached = Vec::new();
        let mut names = tree::components(path).peekable();
        while let Some(name) = names.next() {
            reached = tree::join(&reached, name);
            let text = String::from_utf8_lossy(&reached);
            if names.peek().is_none() && !is_directory {
                return self.ignore.file(&text, &directory);
            }
            let verdict = self.ignore.directory(&text, &directory);
            if names.peek().is_none() {
                return verdict.ignored;
            }
            directory = verdict.directory;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excludes_files_and_whole_directories() {
        let excludes = Excludes::new(&[
            "*.md".into(),
            "docs".into(),
            "!docs/keep".into(),
            "**/cache".into(),
        ])
        .unwrap();
        for (path, directory, excluded) in [
            ("a.md", false, true),
            ("sub/a.md", false, false),
            ("docs", true, true),
            ("docs/a", false, true),
            ("docs/keep", false, false),
            ("x/y/cache/z", false, true),
            ("x", true, false),
        ] {
            assert_eq!(
                excludes.contains(path.as_bytes(), directory),
                excluded,
                "{path}"
            );
        }
        assert!(!Excludes::default().contains(b"a", false));
    }

    #[test]
    fn a_malformed_pattern_matches_nothing() {
        assert!(matches_name("a*[b-d]", b"axc"));
        assert!(!matches_name("[", b"["));
    }
}
