//! Whether a user namespace may mount a filesystem of the kernel's afresh.
//!
//! It may not see more of it than it sees already (`mount_too_revealing()`, fs/namespace.c): an own /proc needs an old one that is
//! whole, and containers have files of theirs covered. Then the old one has to do, with its covers.

use std::io;

/// Directories of /proc and /sys that have nothing in them but what is mounted there (`sysctl_perm_empty_ctl_header`,
/// `sysfs_create_mount_point`), so that a mount covers nothing.
const EMPTY: [&str; 14] = [
    "/proc/sys/fs/binfmt_misc",
    "/proc/fs/nfsd",
    "/sys/firmware/efi/efivars",
    "/sys/fs/bpf",
    "/sys/fs/cgroup",
    "/sys/fs/fuse/connections",
    "/sys/fs/pstore",
    "/sys/fs/resctrl",
    "/sys/fs/selinux",
    "/sys/fs/smackfs",
    "/sys/kernel/config",
    "/sys/kernel/debug",
    "/sys/kernel/security",
    "/sys/kernel/tracing",
];

/// What is there to be mounted afresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fresh {
    pub(super) proc: bool,
    pub(super) sysfs: bool,
}

impl Fresh {
    /// Outside of user namespaces everything is.
    pub(super) const ALL: Self = Self {
        proc: true,
        sysfs: true,
    };

    /// What the mounts of this process allow.
    pub(super) fn here() -> io::Result<Self> {
        let mounts = fs_err::read_to_string("/proc/self/mountinfo")?;
        Ok(Self {
            proc: is_whole(&mounts, "proc"),
            sysfs: is_whole(&mounts, "sysfs"),
        })
    }
}

/// One line of mountinfo (`proc_pid_mountinfo(5)`).
struct Mounted<'a> {
    id: &'a str,
    parent: &'a str,
    root: &'a str,
    point: &'a str,
    options: &'a str,
    kind: &'a str,
}

impl<'a> Mounted<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut fields = mount.split(' ');
        Some(Self {
            id: fields.next()?,
            parent: fields.next()?,
            root: fields.nth(1)?,
            point: fields.next()?,
            options: fields.next()?,
            kind: filesystem.split(' ').next()?,
        })
    }
}

/// Whether one of the mounts shows all of the filesystem: from its root, to be written to, with nothing over a part of it.
fn is_whole(mounts: &str, kind: &str) -> bool {
    let mounts: Vec<_> = mounts.lines().filter_map(Mounted::parse).collect();
    let covers = |below: &Mounted<'_>, mount: &Mounted<'_>| {
        mount.parent == below.id && !EMPTY.contains(&mount.point)
    };
    mounts.iter().any(|mount| {
        mount.kind == kind
            && mount.root == "/"
            && mount.options.split(',').all(|option| option != "ro")
            && !mounts.iter().any(|other| covers(mount, other))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "\
22 28 0:20 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
23 28 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:13 - proc proc rw
29 22 0:6 / /sys/kernel/security rw,nosuid - securityfs securityfs rw
33 22 0:28 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
40 23 0:33 / /proc/sys/fs/binfmt_misc rw,relatime shared:16 - autofs systemd-1 rw";
    const CONTAINER: &str = "\
500 400 0:50 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
501 400 0:51 / /sys ro,nosuid,nodev,noexec,relatime - sysfs sysfs ro
502 500 0:50 /bus /proc/bus ro,nosuid - proc proc rw
503 500 0:52 /null /proc/kcore rw,nosuid - tmpfs tmpfs rw";

    #[test]
    fn a_host_shows_everything_and_a_container_does_not() {
        for (mounts, whole) in [(HOST, true), (CONTAINER, false), ("", false)] {
            assert_eq!(is_whole(mounts, "proc"), whole, "{mounts}");
            assert_eq!(is_whole(mounts, "sysfs"), whole, "{mounts}");
        }
    }
}
