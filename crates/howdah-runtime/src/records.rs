//! The state directory: one directory a container, written by its helper, read by everyone.
//!
//! ```text
//! containers/<id>/record.json   who the helper is, which process the container's first is
//!                 spec.json     the specification, for processes executed later
//!                 exit.json     how it ended
//!                 bundle/       OCI bundle: config.json, and the files mounted on /etc
//!                 libcontainer/ libcontainer's own state
//! ```

use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{CWD, RenameFlags};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;
use crate::process::ProcessName;
use crate::{ContainerSpec, Exit, Usage};

/// What is known of a container while it runs.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The process that keeps the container.
    pub(crate) helper: ProcessName,
    /// The container dies with the caller and leaves no record.
    pub(crate) attached: bool,
    pub(crate) started: Option<Started>,
}

/// What is known once the program has been executed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) process: ProcessName,
    pub(crate) at: Timestamp,
}

/// One container's directory.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: String,
    directory: PathBuf,
}

impl Entry {
    pub(crate) fn new(state: &Path, id: &str) -> Self {
        Self {
            id: id.to_owned(),
            directory: state.join("containers").join(id),
        }
    }

    /// All containers below a state directory.
    pub(crate) fn all(state: &Path) -> io::Result<Vec<Self>> {
        let entries = match fs_err::read_dir(state.join("containers")) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in entries {
            if let Some(id) = entry?
                .file_name()
                .into_string()
                .ok()
                .filter(|id| is_valid_id(id))
            {
                found.push(Self::new(state, &id));
            }
        }
        found.sort_by(|left, right| left.id.cmp(&right.id));
        Ok(found)
    }

    /// Claims the id: fails with [`io::ErrorKind::AlreadyExists`] when there is such a container. The directory appears
    /// with everything that others look for in it.
    pub(crate) fn create(&self, record: &Record, spec: &ContainerSpec) -> io::Result<()> {
        let containers = self.directory.parent().ok_or(io::ErrorKind::InvalidInput)?;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(containers)?;
        let unfinished = Self {
            id: self.id.clone(),
            directory: containers.join(unfinished(std::process::id())),
        };
        unfinished.remove()?;
        fs_err::create_dir(&unfinished.directory)?;
        fs_err::create_dir(unfinished.bundle())?;
        fs_err::create_dir(unfinished.rootfs())?;
        write(&unfinished.directory.join("spec.json"), spec)?;
        unfinished.write_record(record)?;
        let claimed = rustix::fs::renameat_with(
            CWD,
            &unfinished.directory,
            CWD,
            &self.directory,
            RenameFlags::NOREPLACE,
        );
        claimed.or_else(|error| {
            unfinished.remove()?;
            Err(error.into())
        })
    }

    /// Removes directories that dead helpers had not finished.
    pub(crate) fn remove_unfinished(state: &Path) -> io::Result<()> {
        let containers = state.join("containers");
        let Ok(entries) = fs_err::read_dir(&containers) else {
            return Ok(());
        };
        for entry in entries {
            let name = entry?.file_name().into_string().unwrap_or_default();
            let owner = name.strip_prefix(".new-").and_then(|pid| pid.parse().ok());
            if owner.is_some_and(|pid| ProcessName::of(pid).is_err()) {
                fs_err::remove_dir_all(containers.join(name))?;
            }
        }
        Ok(())
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn bundle(&self) -> PathBuf {
        self.directory.join("bundle")
    }

    /// Mount point of the root filesystem; mounted only in the container's own mount namespace.
    pub(crate) fn rootfs(&self) -> PathBuf {
        self.directory.join("rootfs")
    }

    /// Where libcontainer keeps its state.
    pub(crate) fn libcontainer(&self) -> PathBuf {
        self.directory.join("libcontainer")
    }

    pub(crate) fn record(&self) -> io::Result<Option<Record>> {
        read(&self.directory.join("record.json"))
    }

    pub(crate) fn write_record(&self, record: &Record) -> io::Result<()> {
        write(&self.directory.join("record.json"), record)
    }

    pub(crate) fn spec(&self) -> io::Result<Option<ContainerSpec>> {
        read(&self.directory.join("spec.json"))
    }

    /// Its control groups.
    pub(crate) fn cgroup(&self) -> io::Result<Cgroup> {
        // The specification goes when the container has ended, after the groups.
        let parent = self.spec()?.and_then(|spec| spec.cgroup_parent);
        Ok(Cgroup::new(&self.id, &self.directory, parent.as_deref()))
    }

    pub(crate) fn exit(&self) -> io::Result<Option<Exit>> {
        read(&self.directory.join("exit.json"))
    }

    /// Synchronised, unlike the rest: a state directory may be kept on a disk, and an exit code is not found out again.
    pub(crate) fn write_exit(&self, exit: &Exit) -> io::Result<()> {
        let path = self.directory.join("exit.json");
        replace(&path, &serde_json::to_vec(exit)?, fs_err::File::sync_all)
    }

    /// The record of a container whose helper was killed and could not tell how it ended.
    pub(crate) fn write_lost(&self, started: Option<Started>) -> io::Result<Exit> {
        let finished = Timestamp::now();
        let started = started.map_or(finished, |started| started.at);
        let exit = Exit {
            code: 137,
            oom_killed: false,
            started,
            finished,
            usage: Usage::default(),
        };
        self.write_exit(&exit)?;
        Ok(exit)
    }

    /// Removes what is of no use after the container's end.
    pub(crate) fn trim(&self) -> io::Result<()> {
        let keep = ["record.json", "exit.json"];
        for entry in fs_err::read_dir(&self.directory)? {
            let entry = entry?;
            if keep.iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                fs_err::remove_dir_all(entry.path())?;
            } else {
                fs_err::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        match fs_err::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn unfinished(pid: u32) -> String {
    format!(".new-{pid}")
}

/// Whether an id is fit to be a file name and a control group's name; Docker's rule for container names.
pub(crate) fn is_valid_id(id: &str) -> bool {
    let mut bytes = id.bytes();
    bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric())
        && id.len() <= 128
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs_err::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces a file so that a reader, or a successor after a kill, sees the old or the new content and nothing between. The
/// state directory does not survive a reboot, so its files need not reach a disk.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    write_bytes(path, &serde_json::to_vec(value)?)
}

pub(crate) fn write_bytes(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes, |_| Ok(()))
}

fn replace(
    path: &Path,
    bytes: &[u8],
    finish: impl FnOnce(&fs_err::File) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = path.with_extension(format!("tmp{}", std::process::id()));
    let mut file = fs_err::File::create(&temporary)?;
    file.write_all(bytes)?;
    finish(&file)?;
    drop(file);
    fs_err::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_could_leave_the_directory_are_refused() {
        for id in [
            "",
            ".",
            "..",
            "a/b",
            "-a",
            "_a",
            "a b",
            "a\0",
            &"a".repeat(129),
        ] {
            assert!(!is_valid_id(id), "{id:?}");
        }
        for id in ["a", "web-1", "0.a_b"] {
            assert!(is_valid_id(id), "{id:?}");
        }
    }

    #[test]
    fn an_id_is_claimed_once_and_its_exit_is_kept() {
        let state = tempfile::tempdir().unwrap();
        let entry = Entry::new(state.path(), "web");
        let helper = ProcessName::of(std::process::id()).unwrap();
        let record = Record {
            helper,
            attached: false,
            started: None,
        };
        let spec = ContainerSpec::default();
        entry.create(&record, &spec).unwrap();
        assert_eq!(
            entry.create(&record, &spec).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        assert!(entry.exit().unwrap().is_none());
        let exit = entry.write_lost(None).unwrap();
        assert_eq!(entry.exit().unwrap(), Some(exit));
        assert_eq!(Entry::all(state.path()).unwrap().len(), 1);
        entry.remove().unwrap();
        entry.remove().unwrap();
        assert!(Entry::all(state.path()).unwrap().is_empty());
    }
}
