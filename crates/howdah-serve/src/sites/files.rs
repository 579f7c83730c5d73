//! Steps that look for files: `file` matchers, `try_files` and `file_server`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use howdah_caddyfile::{FileMatcher, FileServer};
use http::StatusCode;

use super::trip::Trip;
use super::{Failure, Outcome, redirect, when};
use crate::files::lookup;
use crate::files::path::{CleanPath, PathFault};

/// A file of the document root.
#[derive(Debug)]
pub(super) struct Found {
    /// Its path, decoded.
    pub(super) file: String,
    /// What follows a script's name.
    pub(super) rest: String,
    /// What takes the place of the query.
    pub(super) query: Option<String>,
}

impl Trip<'_> {
    /// The first of these files that is there.
    pub(super) fn find_file(&self, files: &FileMatcher) -> Result<Option<Found>, Failure> {
        let root = self.root_or(files.root.as_ref());
        for (index, candidate) in files.try_files.iter().enumerate() {
            let text = self.fill(candidate);
            if let Some(status) = text.strip_prefix('=') {
                let status = status.parse().unwrap_or(StatusCode::NOT_FOUND);
                return Err(status.into());
            }
            let (path, query) = match text.split_once('?') {
                Some((path, query)) => (path, Some(query.to_owned())),
                None => (text.as_str(), None),
            };
            let path = match CleanPath::of(&format!("/{path}")) {
                Ok(path) => path,
                Err(PathFault::Hidden) => continue,
                Err(PathFault::Bad) => return Err(StatusCode::BAD_REQUEST.into()),
            };
            let path = String::from_utf8_lossy(path.as_bytes()).into_owned();
            let (file, rest) = split(&path, &files.split_path).unwrap_or((&path, ""));
            let is_last = index + 1 == files.try_files.len();
            let wants_directory = candidate.source().ends_with('/');
            if is_last && files.has_fallback || is_there(&below(&root, file), wants_directory) {
                return Ok(Some(Found {
                    file: file.to_owned(),
                    rest: rest.to_owned(),
                    query,
                }));
            }
        }
        Ok(None)
    }

    pub(super) fn root_or(&self, other: Option<&howdah_caddyfile::Template>) -> PathBuf {
        match other {
            Some(root) => self.absolute(&self.fill(root)),
            None => self.root.clone(),
        }
    }

    /// The path, decoded and checked.
    pub(super) fn clean_path(&self) -> Result<CleanPath, Failure> {
        CleanPath::of(&self.path).map_err(|fault| match fault {
            PathFault::Bad => StatusCode::BAD_REQUEST.into(),
            PathFault::Hidden => StatusCode::NOT_FOUND.into(),
        })
    }

    /// Sends a file. PHP's source is never shown.
    pub(super) async fn file(&mut self, options: &FileServer) -> Outcome {
        let path = self.clean_path()?;
        let root = self.root_or(options.root.as_ref());
        let name = String::from_utf8_lossy(path.as_bytes()).into_owned();
        let mut file = below(&root, &name);
        let metadata = fs_err::metadata(&file);
        let is_directory = metadata.as_ref().is_ok_and(std::fs::Metadata::is_dir);
        if is_directory {
            let mut names = options.index.iter().map(|index| file.join(index));
            let index = names.find(|index| is_there(index, false));
            match index {
                Some(_) if !path.is_directory() => return self.to_canonical(true),
                Some(index) => file = index,
                None => return not_there(options),
            }
        } else if metadata.is_err() {
            return not_there(options);
        } else if path.is_directory() {
            return self.to_canonical(false);
        }
        let relative = file.strip_prefix(&root).unwrap_or(&file);
        let name = Path::new("/").join(relative);
        if lookup::is_code(name.as_os_str().as_bytes()) || is_hidden(&options.hide, &root, &name) {
            return not_there(options);
        }
        let answer = self
            .server
            .file((&file, None), &self.parts, self.encodes)
            .await;
        let status = answer.status();
        let is_failure = status == StatusCode::NOT_FOUND
            || status == StatusCode::FORBIDDEN
            || status.is_server_error();
        if is_failure {
            Err(status.into())
        } else {
            Ok(Some(answer))
        }
    }

    /// Directories end in a slash, and files do not.
    fn to_canonical(&self, is_directory: bool) -> Outcome {
        // Two slashes at the beginning would lead to another host (RFC 3986 section 4.2).
        let path = self.parts.uri.path().trim_matches('/');
        let slash = if is_directory { "/" } else { "" };
        let query = self.parts.uri.query().map(|query| format!("?{query}"));
        let to = format!("/{path}{slash}{}", query.unwrap_or_default());
        redirect(&to, 308)
    }
}

fn not_there(options: &FileServer) -> Outcome {
    if options.pass_thru {
        Ok(None)
    } else {
        Err(StatusCode::NOT_FOUND.into())
    }
}

pub(super) fn below(root: &Path, path: &str) -> PathBuf {
    root.join(OsStr::new(path.trim_start_matches('/')))
}

fn is_there(path: &Path, wants_directory: bool) -> bool {
    fs_err::metadata(path).is_ok_and(|metadata| metadata.is_dir() == wants_directory)
}

/// `/index.php/a/b` after `/index.php`. The first end of a segment that is one of the ends counts; only ASCII is folded
/// (GHSA-3g8v-8r37-cgjm).
pub(super) fn split<'a>(path: &'a str, ends: &[String]) -> Option<(&'a str, &'a str)> {
    let slashes = path
        .match_indices('/')
        .map(|(place, _)| place)
        .filter(|place| *place > 0);
    slashes.chain([path.len()]).find_map(|place| {
        let (name, rest) = path.split_at(place);
        let is_end = |end: &String| {
            let start = name.len().checked_sub(end.len());
            let tail = start.and_then(|start| name.get(start..));
            tail.is_some_and(|tail| tail.eq_ignore_ascii_case(end))
        };
        ends.iter().any(is_end).then_some((name, rest))
    })
}

/// A pattern without a slash is one of names, of any directory or file on the way; another is one of paths.
fn is_hidden(patterns: &[String], root: &Path, name: &Path) -> bool {
    let whole = root.join(name.strip_prefix("/").unwrap_or(name));
    let whole = whole.to_string_lossy();
    let path = name.to_string_lossy();
    patterns.iter().any(|pattern| {
        if pattern.contains('/') {
            let pattern = pattern.strip_prefix('.').unwrap_or(pattern);
            let is_within =
                |path: &str| when::like(pattern, path) || path.starts_with(&format!("{pattern}/"));
            is_within(&path) || is_within(&whole)
        } else {
            path.split('/').any(|segment| when::like(pattern, segment))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_end_where_a_segment_ends() {
        let php = [".php".to_owned()];
        assert_eq!(split("/a.php/b.php", &php), Some(("/a.php", "/b.php")));
        assert_eq!(split("/a.PHP", &php), Some(("/a.PHP", "")));
        assert_eq!(split("/a.phpx/b.php", &php), Some(("/a.phpx/b.php", "")));
        assert_eq!(split("/a.ph\u{17f}", &php), None);
        assert_eq!(split("/", &php), None);
    }

    #[test]
    fn hidden_names_and_paths() {
        let hides = |pattern: &str, path: &str| {
            is_hidden(&[pattern.to_owned()], Path::new("/srv"), Path::new(path))
        };
        assert!(hides("*.php", "/a/b.php") && hides("secret", "/secret/x"));
        assert!(hides("/srv/private", "/private/x") && hides("/private/*", "/private/x"));
        assert!(!hides("*.php", "/a.css") && !hides("/srv/priv", "/private/x"));
    }
}
