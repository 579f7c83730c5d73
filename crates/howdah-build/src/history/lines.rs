//! Which lines of a text file changed.

use serde::Serialize;
use similar::{Algorithm, DiffOp, TextDiff};

/// More changed lines of one file are only counted.
const MOST_LINES: usize = 50;
/// Longer lines are cut: minified files have one of a megabyte.
const LONGEST_LINE: usize = 300;
/// Two texts that have little in common are compared no longer than this.
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(500);

/// A line that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LineChange {
    /// Its number, from 1: in the new text, or in the old one if it is gone.
    pub line: usize,
    /// What it was; `None` if it is new.
    pub old: Option<String>,
    /// What it is; `None` if it is gone.
    pub new: Option<String>,
}

/// The changed lines in order, at most [`MOST_LINES`], and how many there are.
pub(super) fn changed_lines(old: &str, new: &str) -> (Vec<LineChange>, usize) {
    let (old_lines, new_lines): (Vec<&str>, Vec<&str>) =
        (old.lines().collect(), new.lines().collect());
    let diff = TextDiff::configure()
        .algorithm(Algorithm::Myers)
        .timeout(PATIENCE)
        .diff_slices(&old_lines, &new_lines);
    let mut changes = Vec::new();
    for operation in diff
        .ops()
        .iter()
        .filter(|operation| !matches!(operation, DiffOp::Equal { .. }))
    {
        let (old_range, new_range) = (operation.old_range(), operation.new_range());
        for index in 0..old_range.len().max(new_range.len()) {
            let old_index = (index < old_range.len()).then_some(old_range.start + index);
            let new_index = (index < new_range.len()).then_some(new_range.start + index);
            changes.push(LineChange {
                line: new_index.or(old_index).unwrap_or_default() + 1,
                old: old_index.map(|index| cut(old_lines[index])),
                new: new_index.map(|index| cut(new_lines[index])),
            });
        }
    }
    let count = changes.len();
    changes.truncate(MOST_LINES);
    (changes, count)
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(LONGEST_LINE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_line_has_its_number_and_both_texts() {
        let old = "{\n  \"name\": \"a/b\",\n  \"version\": \"1.2.3\",\n  \"type\": \"x\"\n}\n";
        let new = old.replace("1.2.3", "1.2.4");
        let (changes, count) = changed_lines(old, &new);
        assert_eq!(count, 1);
        assert_eq!(
            changes,
            [LineChange {
                line: 3,
                old: Some("  \"version\": \"1.2.3\",".to_owned()),
                new: Some("  \"version\": \"1.2.4\",".to_owned()),
            }]
        );
    }

    #[test]
    fn new_and_gone_lines() {
        let line = |line, old: Option<&str>, new: Option<&str>| LineChange {
            line,
            old: old.map(str::to_owned),
            new: new.map(str::to_owned),
        };
        assert_eq!(
            changed_lines("a\nc\n", "a\nb\nc\n").0,
            [line(2, None, Some("b"))]
        );
        assert_eq!(
            changed_lines("a\nb\nc\n", "a\nc\n").0,
            [line(2, Some("b"), None)]
        );
        let many = "x\n".repeat(200);
        let (changes, count) = changed_lines("", &many);
        assert_eq!((changes.len(), count), (MOST_LINES, 200));
        let long = "x".repeat(1000);
        assert_eq!(
            changed_lines("", &long).0[0]
                .new
                .as_ref()
                .unwrap()
                .chars()
                .count(),
            LONGEST_LINE + 1
        );
    }
}
