//! For development: watches the application's files, and has PHP read the code anew when they change (inotify(7)).

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init};
use serde_json::json;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::descriptor::watched;
use crate::log::Level;
use crate::server::Operator;

/// A change is followed by others: an editor writes several files, Git writes many.
const QUIET: Duration = Duration::from_millis(200);
/// Files by what is behind their last dot, as FrankenPHP watches them.
const EXTENSIONS: [&str; 5] = ["php", "env", "twig", "yaml", "yml"];
/// Directories of an application in which it keeps what it makes: to follow that would never end.
const MADE: [&str; 2] = ["storage", "var"];

/// Sees changes below one directory.
#[derive(Debug)]
pub(crate) struct Watcher {
    inotify: AsyncFd<OwnedFd>,
    root: PathBuf,
    directories: HashMap<i32, PathBuf>,
}

/// Something happened in a directory.
struct Happening {
    directory: i32,
    flags: ReadFlags,
    name: PathBuf,
}

impl Watcher {
    /// Watches from now on, in a runtime of tokio.
    pub(crate) fn new(root: &Path) -> io::Result<Self> {
        let inotify = watched(init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?)?;
        let mut watcher = Self {
            inotify,
            root: root.to_owned(),
            directories: HashMap::new(),
        };
        watcher.add_below(root)?;
        Ok(watcher)
    }

    /// Waits until a file that matters has changed, and gives its path.
    pub(crate) async fn changed(&mut self) -> io::Result<PathBuf> {
        loop {
            let happenings = self.inotify.async_io(Interest::READABLE, read).await?;
            let mut changed = None;
            for happening in happenings {
                if let Some(path) = self.take(happening)? {
                    changed.get_or_insert(path);
                }
            }
            if let Some(path) = changed {
                return Ok(path);
            }
        }
    }

    /// The path of a file that matters, if it is one.
    fn take(&mut self, happening: Happening) -> io::Result<Option<PathBuf>> {
        let Happening {
            directory,
            flags,
            name,
        } = happening;
        if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            // Nobody knows what was missed: directories, too.
            let root = self.root.clone();
            self.add_below(&root)?;
            return Ok(Some(root));
        }
        if flags.contains(ReadFlags::IGNORED) {
            self.directories.remove(&directory);
            return Ok(None);
        }
        let Some(parent) = self.directories.get(&directory) else {
            return Ok(None);
        };
        let path = parent.join(name);
        if flags.contains(ReadFlags::ISDIR) {
            let is_new = flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
            // Files may have been made in it before it was watched.
            let found = is_new && !self.is_left_out(&path) && self.add_below(&path)?;
            return Ok(found.then_some(path));
        }
        Ok(matters(&path).then_some(path))
    }

    /// Watches a directory and those in it. True if there are files that matter. One that is gone meanwhile is no matter.
    fn add_below(&mut self, directory: &Path) -> io::Result<bool> {
        let flags = WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::ONLYDIR
            | WatchFlags::DONT_FOLLOW;
        match add_watch(self.inotify.get_ref(), directory, flags) {
            Ok(watch) => self.directories.insert(watch, directory.to_owned()),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        };
        let mut found = false;
        let Ok(entries) = fs_err::read_dir(directory) else {
            return Ok(false);
        };
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found |= !self.is_left_out(&path) && self.add_below(&path)?;
            } else {
                found |= matters(&path);
            }
        }
        Ok(found)
    }

    fn is_left_out(&self, directory: &Path) -> bool {
        let name = directory.file_name().unwrap_or_default();
        let is_hidden = name.as_bytes().starts_with(b".");
        let is_made = directory.parent() == Some(&self.root) && is_one_of(name, &MADE);
        is_hidden || is_made || name == "node_modules"
    }
}

fn is_one_of(name: &OsStr, names: &[&str]) -> bool {
    names.iter().any(|one| name == *one)
}

/// `.env` and `.env.local` matter, too.
fn matters(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_bytes().starts_with(b".env")
        || path
            .extension()
            .is_some_and(|extension| is_one_of(extension, &EXTENSIONS))
}

/// Everything that is there to be read.
fn read(inotify: &OwnedFd) -> io::Result<Vec<Happening>> {
    let mut space = [MaybeUninit::uninit(); 16 << 10];
    let mut reader = Reader::new(inotify, &mut space);
    let mut happenings = Vec::new();
    loop {
        match reader.next() {
            Ok(event) => happenings.push(Happening {
                directory: event.wd(),
                flags: event.events(),
                name: event
                    .file_name()
                    .map(|name| Path::new(OsStr::from_bytes(name.to_bytes())).to_owned())
                    .unwrap_or_default(),
            }),
            Err(rustix::io::Errno::WOULDBLOCK) if !happenings.is_empty() => return Ok(happenings),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Reloads after each change, once nothing more changes.
pub(crate) async fn run(mut watcher: Watcher, operator: Arc<Operator>) {
    let log = operator.handler.log.clone();
    loop {
        let changed = watcher.changed().await;
        while let Ok(Ok(_)) = tokio::time::timeout(QUIET, watcher.changed()).await {}
        match changed {
            Ok(path) => {
                let fields = json!({ "file": path.display().to_string() });
                log.line(Level::Info, "watch", "changed, reloading", fields);
                // The log has what came of it.
                operator.reload().await.ok();
            }
            Err(error) => {
                let fields = json!({ "error": error.to_string() });
                let message = "changes are not seen any longer";
                log.line(Level::Error, "watch", message, fields);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    }

    #[test]
    fn sees_what_matters() {
        let root = tempfile::tempdir().unwrap();
        for name in ["src", "storage", "vendor/a", "src/node_modules", ".git"] {
            fs_err::create_dir_all(root.path().join(name)).unwrap();
        }
        runtime().block_on(async {
            let mut watcher = Watcher::new(root.path()).unwrap();
            let mut last = async |name: &str| {
                fs_err::write(root.path().join(name), "<?php").unwrap();
                watcher.changed().await.unwrap()
            };
            for left_out in [
                "storage/a.php",
                "src/node_modules/a.php",
                ".git/a.php",
                "src/a.txt",
            ] {
                fs_err::write(root.path().join(left_out), "").unwrap();
            }
            for name in [
                "src/a.php",
                ".env.local",
                "vendor/a/b.php",
                "src/views.yaml",
            ] {
                assert_eq!(last(name).await, root.path().join(name));
                // Made, then written.
                assert_eq!(last(name).await, root.path().join(name));
            }
        });
    }

    #[test]
    fn sees_new_directories_and_renamed_files() {
        let root = tempfile::tempdir().unwrap();
        runtime().block_on(async {
            let mut watcher = Watcher::new(root.path()).unwrap();
            let new = root.path().join("a/b");
            fs_err::create_dir_all(&new).unwrap();
            fs_err::write(new.join("c.php"), "").unwrap();
            // As a file of its own, or found in the directory.
            let seen = watcher.changed().await.unwrap();
            assert!(seen.starts_with(root.path().join("a")), "{seen:?}");
            fs_err::write(new.join("d.tmp"), "").unwrap();
            fs_err::rename(new.join("d.tmp"), new.join("d.php")).unwrap();
            while watcher.changed().await.unwrap() != new.join("d.php") {}
            fs_err::remove_file(new.join("d.php")).unwrap();
            assert_eq!(watcher.changed().await.unwrap(), new.join("d.php"));
        });
    }
}
