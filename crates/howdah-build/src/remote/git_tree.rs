//! What is done with the files of a commit after git wrote them.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::RemoteError;
use super::git::Checkout;

/// Whether a subdirectory is the whole repository.
pub(super) fn is_whole(subdirectory: &str) -> bool {
    normal(subdirectory).as_os_str().is_empty()
}

/// Takes out of `.git` what only names our own places or moments.
pub(super) fn tidy(git_dir: &Path) -> Result<(), RemoteError> {
    for name in ["FETCH_HEAD", "logs", "hooks"] {
        let path = git_dir.join(name);
        let removed = if path.is_dir() {
            fs_err::remove_dir_all(&path)
        } else {
            fs_err::remove_file(&path)
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(RemoteError::io("tidy the repository")(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Moves the wanted directory into `into`, unless it is there already, and gives its files modes that do not depend on
/// our umask and the time of the commit.
pub(super) fn settle(
    checkout: &Checkout,
    work_tree: &Path,
    into: &Path,
    time: u64,
) -> Result<(), RemoteError> {
    let error = || RemoteError::io("arrange the files of a commit");
    if work_tree != into {
        let directory = directory(checkout, work_tree)?;
        for entry in fs_err::read_dir(&directory).map_err(error())? {
            let entry = entry.map_err(error())?;
            fs_err::rename(entry.path(), into.join(entry.file_name())).map_err(error())?;
        }
    }
    let finish = Finish {
        keep_git_dir: checkout.keep_git_dir && work_tree == into,
        time: SystemTime::UNIX_EPOCH + Duration::from_secs(time),
    };
    finish.directory(into, true).map_err(error())
}

/// The wanted directory; no part of its path may be a link, which could lead anywhere.
fn directory(checkout: &Checkout, work_tree: &Path) -> Result<PathBuf, RemoteError> {
    let mut path = work_tree.to_owned();
    for name in &normal(&checkout.subdirectory) {
        path.push(name);
        let is_directory = fs_err::symlink_metadata(&path).is_ok_and(|found| found.is_dir());
        if !is_directory || name == ".git" {
            return Err(RemoteError::NoDirectory {
                address: checkout.shown(),
                directory: checkout.subdirectory.clone(),
                commit: checkout.commit.clone(),
            });
        }
    }
    Ok(path)
}

/// A path without `/` at its beginning, `.` and `..`, which stays at the root.
fn normal(path: &str) -> PathBuf {
    let mut result = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => result.push(name),
            Component::ParentDir => drop(result.pop()),
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    result
}

struct Finish {
    keep_git_dir: bool,
    time: SystemTime,
}

impl Finish {
    fn directory(&self, path: &Path, is_top: bool) -> io::Result<()> {
        for entry in fs_err::read_dir(path)? {
            let entry = entry?;
            let (kind, child) = (entry.file_type()?, entry.path());
            if entry.file_name() == ".git" {
                // Below a submodule it names a directory of ours that is soon gone.
                if !self.keep_git_dir && !kind.is_dir() {
                    fs_err::remove_file(&child)?;
                }
                // The kept repository itself.
                if is_top || !self.keep_git_dir {
                    continue;
                }
            }
            if kind.is_dir() {
                self.directory(&child, false)?;
            } else if kind.is_file() {
                let mode = fs_err::metadata(&child)?.permissions().mode();
                self.finish(&child, if mode & 0o100 == 0 { 0o644 } else { 0o755 })?;
            } else {
                let time = rustix::fs::Timespec {
                    tv_sec: self.seconds(),
                    tv_nsec: 0,
                };
                let times = rustix::fs::Timestamps {
                    last_access: time,
                    last_modification: time,
                };
                let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::utimensat(rustix::fs::CWD, &child, &times, flags)?;
            }
        }
        self.finish(path, 0o755)
    }

    fn finish(&self, path: &Path, mode: u32) -> io::Result<()> {
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        fs_err::File::open(path)?.set_modified(self.time)
    }

    fn seconds(&self) -> i64 {
        let since = self.time.duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap_or_default().as_secs().cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subdirectory_stays_in_the_repository() {
        assert!(is_whole("") && is_whole("/") && is_whole("./..") && !is_whole("a"));
        assert_eq!(normal("/a/../../b/./c"), Path::new("b/c"));
    }
}
