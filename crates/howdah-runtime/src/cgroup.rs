//! The container's control groups: `/howdah/<name>`, or below another group, in the unified hierarchy, or in every version 1 hierarchy.
//!
//! libcontainer sets the limits and puts the process in; this module reads what was used and takes the groups away, also
//! those of containers whose helper was killed.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::mount::MountFlags;
use rustix::process::{Pid, Signal, kill_process};

use crate::{Usage, rootless};

const MOUNT: &str = "/sys/fs/cgroup";
/// The group that ours are in unless another is asked for.
const PARENT: &str = "howdah";
/// How often, and how long apart, a group is tried to be removed while its last processes are being torn down.
const REMOVE_TRIES: u32 = 200;
const REMOVE_PAUSE: Duration = Duration::from_millis(5);

/// Which of its two interfaces the kernel offers (cgroups(7)). Hybrid systems have the controllers in version 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
    /// There are groups, but they are not ours to make: we are in a user namespace.
    Foreign,
}

/// The control groups of one container.
#[derive(Debug, Clone)]
pub(crate) struct Cgroup {
    /// Below each hierarchy's root.
    path: PathBuf,
    pub(crate) version: Version,
}

impl Cgroup {
    /// The groups of the container whose state is in `directory`: ids are unique only below one state directory, so the
    /// directory goes into the name. They are below `parent`, if one was asked for.
    pub(crate) fn new(id: &str, directory: &Path, parent: Option<&str>) -> Self {
        let mut hasher = DefaultHasher::new();
        directory.hash(&mut hasher);
        let unified = Path::new(MOUNT).join("cgroup.controllers");
        let version = if rootless::is_inside() {
            Version::Foreign
        } else if unified.exists() {
            Version::Two
        } else {
            Version::One
        };
        Self {
            path: Path::new(parent.unwrap_or(PARENT).trim_matches('/'))
                .join(format!("{id}-{:08x}", hasher.finish() & 0xffff_ffff)),
            version,
        }
    }

    /// Path below each hierarchy's root, as the OCI specification's `cgroupsPath` has it.
    pub(crate) fn path(&self) -> String {
        format!("/{}", self.path.display())
    }

    /// The container's directory in every hierarchy, by the hierarchy's name (empty for the unified one).
    pub(crate) fn directories(&self) -> io::Result<Vec<(String, PathBuf)>> {
        match self.version {
            Version::Foreign => return Ok(Vec::new()),
            Version::Two => return Ok(vec![(String::new(), Path::new(MOUNT).join(&self.path))]),
            Version::One => {}
        }
        let mut directories = Vec::new();
        for entry in fs_err::read_dir(MOUNT)? {
            let entry = entry?;
            // `unified` has no controllers here; `systemd` belongs to systemd; links are other names of the same.
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_dir() && name != "unified" && name != "systemd" {
                directories.push((name, entry.path().join(&self.path)));
            }
        }
        directories.sort();
        Ok(directories)
    }

    /// What the container used, and whether the kernel killed a process of it for lack of memory.
    pub(crate) fn usage(&self) -> (Usage, bool) {
        let Ok(directories) = self.directories() else {
            return (Usage::default(), false);
        };
        let find = |controller: &str| {
            directories
                .iter()
                .find(|(name, _)| name.split(',').any(|part| part == controller) || name.is_empty())
                .map(|(_, directory)| directory.as_path())
        };
        let (cpu, peak, kills) = match self.version {
            Version::One => (
                find("cpuacct")
                    .and_then(|at| number(at, "cpuacct.usage"))
                    .map(Duration::from_nanos),
                find("memory").and_then(|at| number(at, "memory.max_usage_in_bytes")),
                find("memory").and_then(|at| field(at, "memory.oom_control", "oom_kill")),
            ),
            Version::Foreign => (None, None, None),
            Version::Two => (
                find("cpu")
                    .and_then(|at| field(at, "cpu.stat", "usage_usec"))
                    .map(Duration::from_micros),
                find("memory").and_then(|at| number(at, "memory.peak")),
                find("memory").and_then(|at| field(at, "memory.events", "oom_kill")),
            ),
        };
        let usage = Usage {
            cpu: cpu.unwrap_or_default(),
            peak_memory_bytes: peak.unwrap_or_default(),
        };
        (usage, kills.unwrap_or_default() > 0)
    }

    /// Kills what is left in the groups and removes them. Nothing happens when there are none.
    pub(crate) fn remove(&self) -> io::Result<()> {
        for (_, directory) in self.directories()? {
            remove_group(&directory)?;
        }
        Ok(())
    }

    /// Whether any of the groups exists.
    pub(crate) fn exists(&self) -> bool {
        self.directories()
            .is_ok_and(|directories| directories.iter().any(|(_, directory)| directory.exists()))
    }
}

/// Shows the process and its children a hierarchy in which nothing can be changed, so that libcontainer, which has no way of
/// being told to leave control groups alone, finds none that it could make and goes on without (it takes EROFS for an answer
/// outside of the first user namespace). For the helper's private mount namespace.
pub(crate) fn hide() -> io::Result<()> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWCGROUP)?;
    rustix::mount::mount("cgroup2", MOUNT, "cgroup2", MountFlags::RDONLY, None)?;
    Ok(())
}

fn remove_group(directory: &Path) -> io::Result<()> {
    for attempt in 1.. {
        match fs_err::remove_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // A process of it still runs, or has ended and is not yet gone from the group.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && attempt < REMOVE_TRIES => {
                kill_members(directory);
                remove_children(directory);
                pause();
            }
            result => return result,
        }
    }
    Ok(())
}

/// Groups made from inside, as a privileged container may.
fn remove_children(directory: &Path) {
    let Ok(entries) = fs_err::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            kill_members(&entry.path());
            remove_children(&entry.path());
            // What cannot go yet is met again at the next attempt.
            fs_err::remove_dir(entry.path()).ok();
        }
    }
}

fn kill_members(directory: &Path) {
    let Ok(members) = fs_err::read_to_string(directory.join("cgroup.procs")) else {
        return;
    };
    for pid in members
        .lines()
        .filter_map(|line| line.parse().ok())
        .filter_map(Pid::from_raw)
    {
        // A member that has ended meanwhile is what was wanted.
        kill_process(pid, Signal::KILL).ok();
    }
}

/// The kernel gives no event for "the last process has left a version 1 group", so this polls.
fn pause() {
    let pause = rustix::time::Timespec::try_from(REMOVE_PAUSE).unwrap_or_default();
    rustix::event::poll(&mut [], Some(&pause)).ok();
}

fn number(directory: &Path, file: &str) -> Option<u64> {
    fs_err::read_to_string(directory.join(file))
        .ok()?
        .trim()
        .parse()
        .ok()
}

fn field(directory: &Path, file: &str, name: &str) -> Option<u64> {
    let text = fs_err::read_to_string(directory.join(file)).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_id_below_two_state_directories_has_two_groups() {
        let one = Cgroup::new("web", Path::new("/run/a"), None);
        let two = Cgroup::new("web", Path::new("/run/b"), None);
        assert_ne!(one.path(), two.path());
        assert!(one.path().starts_with("/howdah/web-"));
    }

    #[test]
    fn groups_can_be_in_another_group() {
        let group = Cgroup::new("web", Path::new("/run/a"), Some("/ci/builds/"));
        assert!(group.path().starts_with("/ci/builds/web-"));
    }

    #[test]
    fn a_flat_keyed_file_is_read_by_its_whole_key() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(
            directory.path().join("memory.events"),
            "oom 3\noom_kill 2\noom_group_kill 1\n",
        )
        .unwrap();
        assert_eq!(
            field(directory.path(), "memory.events", "oom_kill"),
            Some(2)
        );
        assert_eq!(field(directory.path(), "memory.events", "oom"), Some(3));
        assert_eq!(field(directory.path(), "memory.events", "max"), None);
    }
}
