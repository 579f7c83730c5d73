//! The files of a project that the rules may look at.

use std::io::Read as _;
use std::path::{Path, PathBuf};

/// A larger file is no configuration.
const MOST_BYTES: u64 = 1 << 20;
/// More entries than that are not looked through.
const MOST_ENTRIES: usize = 20_000;
const DEEPEST: usize = 6;

/// Directories that hold what tools have put there.
const NOT_OURS: [&str; 8] = [
    "vendor",
    "node_modules",
    ".git",
    "storage",
    "target",
    "dist",
    "var",
    "public",
];

/// A file and its text.
#[derive(Debug)]
pub(crate) struct ProjectFile {
    /// As people know it.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Reads a small text file.
pub(crate) fn read(path: &Path) -> Option<ProjectFile> {
    let mut text = String::new();
    let file = fs_err::File::open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    file.take(MOST_BYTES).read_to_string(&mut text).ok()?;
    Some(ProjectFile {
        name: shown(path),
        text,
    })
}

/// A path without the `./` that relative ones begin with.
fn shown(path: &Path) -> String {
    path.strip_prefix("./")
        .unwrap_or(path)
        .display()
        .to_string()
}

/// All files below a directory, in a fixed order, without those of dependencies. Links are not followed.
pub(crate) fn walk(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![(directory.to_owned(), 0)];
    let mut seen = 0;
    while let Some((directory, depth)) = open.pop() {
        let Ok(entries) = fs_err::read_dir(&directory) else {
            continue;
        };
        let mut entries: Vec<_> = entries.filter_map(Result::ok).collect();
        entries.sort_by_key(fs_err::DirEntry::file_name);
        for entry in entries {
            seen += 1;
            if seen > MOST_ENTRIES {
                return files;
            }
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            let name = entry.file_name();
            if kind.is_file() {
                files.push(entry.path());
            } else if kind.is_dir()
                && depth < DEEPEST
                && !NOT_OURS.iter().any(|not_ours| name == *not_ours)
            {
                open.push((entry.path(), depth + 1));
            }
        }
    }
    files
}

/// The file's name without its directories.
pub(crate) fn file_name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}
