//! The files of a context that went into a key: kept small, and compared.

use std::cmp::Ordering;

use serde::Serialize;

use super::lines::LineChange;
use super::mask;
use crate::copy::Selection;
use crate::tree::{self, Entry, Kind, TreePath};

/// Another number, another format: old lists are read as absent.
const FORMAT: u8 = 1;
/// Set in a kind's byte when the text must never be kept or shown.
const PRIVATE: u8 = 0x80;

/// The beginning of a digest: enough to tell the versions of one file apart.
pub(super) type ShortDigest = [u8; 8];

/// A file of a context as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceFile {
    pub(super) path: TreePath,
    kind: u8,
    /// Its text is a secret.
    pub(super) private: bool,
    mode: u16,
    /// Of the content; of a link's target.
    pub(super) digest: ShortDigest,
}

impl SourceFile {
    pub(super) fn is_file(&self) -> bool {
        self.kind == b'f'
    }
}

/// How a file differs from what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileDifference {
    /// It was not there.
    Added,
    /// It is gone.
    Removed,
    /// Its content is another.
    Changed,
    /// Its permissions are others.
    Mode,
    /// It was a file, a link or a directory, and is something else now.
    Type,
}

/// A file that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Below the context.
    pub path: String,
    /// How.
    pub difference: FileDifference,
    /// The first changed lines, if it is a text and both versions are still known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LineChange>,
    /// How many lines changed.
    pub changed_lines: usize,
}

/// A pair of files to look at: the old one and the new one.
pub(super) type Pair<'a> = (Option<&'a SourceFile>, Option<&'a SourceFile>);

/// The files of a selection, sorted. `is_private` says of which the text must not be kept.
pub(super) fn list(selection: &Selection, is_private: &dyn Fn(&Entry) -> bool) -> Vec<SourceFile> {
    let mut files: Vec<SourceFile> = entries(selection)
        .map(|entry| SourceFile {
            path: entry.path.clone(),
            kind: kind(&entry.kind),
            private: mask::is_secret_path(&tree::display(&entry.path)) || is_private(entry),
            mode: u16::try_from(entry.mode & 0o7777).unwrap_or(0),
            digest: digest(entry),
        })
        .collect();
    files.sort_by(|left, right| left.path.cmp(&right.path));
    files.dedup_by(|left, right| left.path == right.path);
    files
}

/// Every file of a selection that counts in its digest.
pub(super) fn entries(selection: &Selection) -> impl Iterator<Item = &Entry> {
    selection.sources.iter().flat_map(|source| {
        let within = source.ancestors.iter().chain([&source.top]);
        within.chain(&source.below)
    })
}

fn kind(kind: &Kind) -> u8 {
    match kind {
        Kind::Directory => b'd',
        Kind::File => b'f',
        Kind::Symlink(_) => b'l',
        Kind::Special { .. } => b's',
    }
}

/// The short digest of a file's content or of a link's target.
pub(super) fn digest(entry: &Entry) -> ShortDigest {
    let key = match &entry.kind {
        Kind::Symlink(target) => Some(howdah_solver::Key::of(target)),
        _ => entry.digest,
    };
    key.map_or([0; 8], |key| short(&key))
}

pub(super) fn short(key: &howdah_solver::Key) -> ShortDigest {
    key.as_bytes().first_chunk().copied().unwrap_or_default()
}

/// One blob; a path shares its beginning with the one before.
pub(super) fn to_bytes(files: &[SourceFile]) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    let mut previous: &[u8] = &[];
    for file in files {
        let shared = previous
            .iter()
            .zip(&file.path)
            .take_while(|(left, right)| left == right)
            .count();
        let shared = shared.min(usize::from(u16::MAX));
        let suffix = &file.path[shared..];
        let (Ok(prefix), Ok(length)) = (u16::try_from(shared), u16::try_from(suffix.len())) else {
            continue;
        };
        bytes.extend(prefix.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend(suffix);
        bytes.push(file.kind | if file.private { PRIVATE } else { 0 });
        bytes.extend(file.mode.to_le_bytes());
        bytes.extend(file.digest);
        previous = &file.path;
    }
    bytes
}

/// Reads a blob back; `None` if it is not whole.
pub(super) fn from_bytes(bytes: &[u8]) -> Option<Vec<SourceFile>> {
    let (&FORMAT, mut rest) = bytes.split_first()? else {
        return None;
    };
    let mut files: Vec<SourceFile> = Vec::new();
    while !rest.is_empty() {
        let prefix = usize::from(u16::from_le_bytes(rest.split_off(..2)?.try_into().ok()?));
        let suffix = usize::from(u16::from_le_bytes(rest.split_off(..2)?.try_into().ok()?));
        let previous = files.last().map_or(&[][..], |file| &file.path);
        let path = [previous.get(..prefix)?, rest.split_off(..suffix)?].concat();
        let kind = *rest.split_off_first()?;
        let mode = u16::from_le_bytes(rest.split_off(..2)?.try_into().ok()?);
        let digest = rest.split_off(..8)?.try_into().ok()?;
        files.push(SourceFile {
            path,
            kind: kind & !PRIVATE,
            private: kind & PRIVATE != 0,
            mode,
            digest,
        });
    }
    Some(files)
}

/// The files that differ, in order. Both lists are sorted.
pub(super) fn differences<'a>(old: &'a [SourceFile], new: &'a [SourceFile]) -> Vec<Pair<'a>> {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    let mut pairs = Vec::new();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return pairs,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => left.path.cmp(&right.path),
        };
        let left = if order.is_le() { old.next() } else { None };
        let right = if order.is_ge() { new.next() } else { None };
        if left != right {
            pairs.push((left, right));
        }
    }
}

/// What happened to a file, without its lines.
pub(super) fn difference((old, new): Pair<'_>) -> Option<FileChange> {
    let file = new.or(old)?;
    let difference = match (old, new) {
        (None, _) => FileDifference::Added,
        (_, None) => FileDifference::Removed,
        (Some(old), Some(new)) if old.kind != new.kind => FileDifference::Type,
        (Some(old), Some(new)) if old.digest != new.digest => FileDifference::Changed,
        _ => FileDifference::Mode,
    };
    Some(FileChange {
        path: tree::display(&file.path).trim_start_matches('/').to_owned(),
        difference,
        lines: Vec::new(),
        changed_lines: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: &str) -> SourceFile {
        SourceFile {
            path: path.into(),
            kind: b'f',
            private: path == "app/.env",
            mode: 0o644,
            digest: short(&howdah_solver::Key::of(content.as_bytes())),
        }
    }

    #[test]
    fn a_list_reads_back_or_not_at_all() {
        let files = vec![
            file("app/.env", "x"),
            file("app/a.php", "1"),
            file("app/b.php", "2"),
            file("z", "3"),
        ];
        let bytes = to_bytes(&files);
        assert_eq!(from_bytes(&bytes), Some(files));
        for length in 1..bytes.len() {
            assert!(
                from_bytes(&bytes[..length]).is_none_or(|files| files.len() < 4),
                "{length}"
            );
        }
        assert_eq!(from_bytes(&[]), None);
        assert_eq!(from_bytes(&[FORMAT, 9, 0, 0, 0]), None);
    }

    #[test]
    fn differences_have_names() {
        let old = [
            file("a", "1"),
            file("b", "1"),
            file("c", "1"),
            file("e", "1"),
        ];
        let mut new = [
            file("a", "1"),
            file("b", "2"),
            file("d", "1"),
            file("e", "1"),
        ];
        new[3].mode = 0o755;
        let changes: Vec<(String, FileDifference)> = differences(&old, &new)
            .into_iter()
            .filter_map(difference)
            .map(|change| (change.path, change.difference))
            .collect();
        let named = |path: &str, difference| (path.to_owned(), difference);
        assert_eq!(
            changes,
            [
                named("b", FileDifference::Changed),
                named("c", FileDifference::Removed),
                named("d", FileDifference::Added),
                named("e", FileDifference::Mode),
            ]
        );
    }
}
