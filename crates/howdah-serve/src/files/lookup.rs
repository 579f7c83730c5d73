//! What a path means in a document root: a file, a script, a directory to go to, or nothing.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::cache::Identity;
use super::path::CleanPath;
use crate::config::Site;

/// What answers a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The content of this file, which was found in this state.
    File(PathBuf, Identity),
    /// A PHP script.
    Script(Script),
    /// The client should ask for the same path with a slash at its end.
    Directory,
    /// Nothing.
    Nothing,
}

/// A script, and how the path is shared between it and what is passed to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Its file: the document root and the name.
    pub(crate) file: PathBuf,
    /// `SCRIPT_NAME`: the part of the path that named it.
    pub(crate) name: Vec<u8>,
    /// `PATH_INFO`: what followed it.
    pub(crate) path_info: Vec<u8>,
}

/// Looks for `$uri`, `$uri/` with an index, a script with something behind its name, and at last the front controller.
pub(crate) fn lookup(site: &Site, path: &CleanPath) -> Target {
    let file = below(&site.root, path.as_bytes());
    if path.is_directory() {
        if let Some(found) = index(site, path.as_bytes(), &file) {
            return found;
        }
    } else if let Ok(metadata) = fs_err::metadata(&file) {
        if metadata.is_dir() && index(site, path.as_bytes(), &file).is_some() {
            return Target::Directory;
        }
        if metadata.is_file() {
            return of_file(file, &metadata, path.as_bytes());
        }
    }
    with_path_info(site, path.as_bytes())
        .or_else(|| front_controller(site))
        .map_or(Target::Nothing, Target::Script)
}

fn index(site: &Site, path: &[u8], directory: &Path) -> Option<Target> {
    site.index.iter().find_map(|name| {
        let file = directory.join(name);
        let metadata = fs_err::metadata(&file).ok()?;
        let name = [path, name.as_bytes()].concat();
        metadata.is_file().then(|| of_file(file, &metadata, &name))
    })
}

/// A file that exists: PHP runs scripts, and source code that it would not run is never shown.
fn of_file(file: PathBuf, metadata: &Metadata, path: &[u8]) -> Target {
    if is_script(path) {
        Target::Script(Script {
            file,
            name: path.to_vec(),
            path_info: Vec::new(),
        })
    } else if is_source(path) {
        Target::Nothing
    } else {
        Target::File(file, Identity::of(metadata))
    }
}

/// `/index.php/a/b`: the first segment that is an existing script ends its name.
fn with_path_info(site: &Site, path: &[u8]) -> Option<Script> {
    path.iter()
        .enumerate()
        .skip(1)
        .filter(|(_, byte)| **byte == b'/')
        .map(|(place, _)| path.split_at(place))
        .filter(|(name, _)| is_script(name))
        .find_map(|(name, path_info)| {
            let file = below(&site.root, name);
            let is_file = fs_err::metadata(&file).is_ok_and(|metadata| metadata.is_file());
            is_file.then(|| Script {
                file,
                name: name.to_vec(),
                path_info: path_info.to_vec(),
            })
        })
}

fn front_controller(site: &Site) -> Option<Script> {
    let name = site.front_controller.as_ref()?.as_bytes();
    let file = below(&site.root, name);
    file.is_file().then(|| Script {
        file,
        name: name.to_vec(),
        path_info: Vec::new(),
    })
}

fn below(root: &Path, path: &[u8]) -> PathBuf {
    let relative = path.strip_prefix(b"/").unwrap_or(path);
    root.join(OsStr::from_bytes(relative))
}

/// ASCII only: other letters that become `php` when they are folded are another name (GHSA-3g8v-8r37-cgjm).
fn is_script(path: &[u8]) -> bool {
    ends_with(path, ".php")
}

/// Is it code, be it of a script that PHP runs or of one that it does not?
pub(crate) fn is_code(path: &[u8]) -> bool {
    is_script(path) || is_source(path)
}

/// Names under which PHP's source lies about: other names of scripts, and what editors leave beside them.
fn is_source(path: &[u8]) -> bool {
    const NAMES: [&str; 12] = [
        ".phtml",
        ".phar",
        ".phps",
        ".php3",
        ".php4",
        ".php5",
        ".php7",
        ".php8",
        ".php~",
        ".php.bak",
        ".php.swp",
        ".php.save",
    ];
    NAMES.iter().any(|name| ends_with(path, name))
}

fn ends_with(path: &[u8], end: &str) -> bool {
    path.len() > end.len() && path[path.len() - end.len()..].eq_ignore_ascii_case(end.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(files: &[&str], path: &str) -> String {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let file = root.path().join(file);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::write(file, "").unwrap();
        }
        let site = crate::ServeConfig::new(root.path()).site;
        match lookup(&site, &CleanPath::of(path).unwrap()) {
            Target::File(file, _) => {
                format!("file {}", file.strip_prefix(root.path()).unwrap().display())
            }
            Target::Script(script) => format!(
                "script {} + {}",
                String::from_utf8(script.name).unwrap(),
                String::from_utf8(script.path_info).unwrap()
            ),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn files_scripts_and_directories() {
        let files = [
            "index.php",
            "a.css",
            "dir/index.html",
            "empty/x",
            "b.PHP",
            "up.php.jpg",
            "old.phtml",
            "c.php.bak",
        ];
        for (path, expected) in [
            ("/a.css", "file a.css"),
            ("/", "script /index.php + "),
            ("/none", "script /index.php + "),
            ("/dir", "Directory"),
            ("/dir/", "file dir/index.html"),
            ("/empty", "script /index.php + "),
            ("/empty/", "script /index.php + "),
            ("/b.PHP", "script /b.PHP + "),
            ("/index.php/x/y", "script /index.php + /x/y"),
            ("/a.css/x.php", "script /index.php + "),
            ("/up.php.jpg", "file up.php.jpg"),
            ("/old.phtml", "Nothing"),
            ("/c.php.bak", "Nothing"),
            ("/a.css/", "script /index.php + "),
        ] {
            assert_eq!(target(&files, path), expected, "{path}");
        }
        assert_eq!(target(&["a.css"], "/none"), "Nothing");
    }
}
