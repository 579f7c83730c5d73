//! How many workers a machine, or a container, has room for.

use std::path::Path;

use super::config::Size;

/// What a worker of an ordinary application needs until it has been measured, in bytes.
const WORKER_MEMORY: u64 = 64 << 20;
/// Workers wait for databases more than they compute, so there may be this many for each processor.
const PER_PROCESSOR: usize = 8;

/// Two workers for each processor, more when requests wait and memory allows it.
pub(super) fn automatic() -> Size {
    // Knows of CPU quotas of control groups and of affinity.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let meminfo = fs_err::read_to_string("/proc/meminfo").unwrap_or_default();
    let groups = fs_err::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = memory_limits(Path::new("/sys/fs/cgroup"), &groups);
    let memory = limits.into_iter().chain(available(&meminfo)).min();
    between(processors, memory.unwrap_or(u64::MAX))
}

fn between(processors: usize, memory: u64) -> Size {
    // A fifth stays for the front, the page cache and others.
    let room = memory / 5 * 4 / WORKER_MEMORY;
    let room = usize::try_from(room).unwrap_or(usize::MAX).max(1);
    Size::Between {
        least: (2 * processors).min(room),
        most: (PER_PROCESSOR * processors).min(room),
    }
}

/// `MemAvailable` of proc(5), in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// The limits of the control group of a process and of those around it (cgroups(7)), in bytes.
fn memory_limits(root: &Path, groups: &str) -> Vec<u64> {
    let version2 = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    let version1 = groups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers
            .split(',')
            .any(|name| name == "memory")
            .then(|| path.trim_start_matches('/'))
    });
    let mut limits = Vec::new();
    for (directory, path, file) in [
        (root.to_owned(), version2, "memory.max"),
        (root.join("memory"), version1, "memory.limit_in_bytes"),
    ] {
        let Some(path) = path else { continue };
        for group in directory.join(path).ancestors() {
            if !group.starts_with(&directory) {
                break;
            }
            let text = fs_err::read_to_string(group.join(file)).unwrap_or_default();
            limits.extend(text.trim().parse::<u64>());
        }
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_there_is_memory_for() {
        assert_eq!(between(4, u64::MAX), Size::Between { least: 8, most: 32 });
        assert_eq!(between(4, 512 << 20), Size::Between { least: 6, most: 6 });
        assert_eq!(between(1, 10 << 20), Size::Between { least: 1, most: 1 });
    }

    #[test]
    fn limits_of_all_groups_around() {
        let root = tempfile::tempdir().unwrap();
        let group = root.path().join("a/b");
        fs_err::create_dir_all(&group).unwrap();
        fs_err::write(group.join("memory.max"), "max\n").unwrap();
        fs_err::write(root.path().join("a/memory.max"), "1000\n").unwrap();
        assert_eq!(memory_limits(root.path(), "0::/a/b\n"), [1000]);
        assert_eq!(memory_limits(root.path(), "5:cpu:/\n"), [0_u64; 0]);
    }

    #[test]
    fn memory_that_is_available() {
        let text = "MemTotal: 9 kB\nMemAvailable:      2 kB\n";
        assert_eq!(available(text), Some(2048));
        assert_eq!(available(""), None);
    }
}
