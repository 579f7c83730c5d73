//! Everything mounted in a container, in order: Docker's defaults, our three files of /etc, what the specification asks for.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::files;
use super::root::normalise;
use super::stubs::Kind;
use super::visible::Fresh;
use crate::cgroup::Version;
use crate::protocol::{Failure, Step};
use crate::{ContainerSpec, Mount, Network, rootless};

const DEFAULT_SHM_BYTES: u64 = 64 * 1024 * 1024;

/// One mount of the OCI configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) target: PathBuf,
    kind: &'static str,
    source: PathBuf,
    options: Vec<String>,
    /// What its mount point must be.
    pub(super) point: Kind,
}

/// What the plan depends on beside the specification.
#[derive(Debug)]
pub(super) struct Sources<'a> {
    /// Holds the files for /etc.
    pub(super) bundle: &'a Path,
    /// Version 1: a prepared tree of the container's own groups. Version 2 needs none.
    pub(super) cgroups: &'a Path,
    pub(super) version: Version,
    /// Filesystems of the kernel's that may be mounted; of the others the host's is bound.
    pub(super) fresh: Fresh,
}

/// All mounts, parents before what lies in them. A mount of the specification replaces a default of the same target.
pub(super) fn plan(spec: &ContainerSpec, sources: &Sources<'_>) -> Result<Vec<Planned>, Failure> {
    let own = spec.mounts.iter().map(own).collect::<Result<Vec<_>, _>>()?;
    let mut all = defaults(spec, sources);
    all.retain(|default| own.iter().all(|mount| mount.target != default.target));
    all.extend(own);
    // Stable: the order given counts among targets of the same depth.
    all.sort_by_key(|mount| mount.target.components().count());
    Ok(all)
}

fn defaults(spec: &ContainerSpec, sources: &Sources<'_>) -> Vec<Planned> {
    let privileged = spec.security.privileged;
    let access = if privileged { "rw" } else { "ro" };
    let shm = spec.limits.shm_bytes.unwrap_or(DEFAULT_SHM_BYTES);
    let in_user_namespace = sources.version == Version::Foreign;
    let mut terminals = vec![
        "nosuid",
        "noexec",
        "newinstance",
        "ptmxmode=0666",
        "mode=0620",
    ];
    // The group tty, where there is one: the filesystem refuses an id that is not mapped.
    terminals.extend((!in_user_namespace || !rootless::is_single()).then_some("gid=5"));
    let mut mounts = vec![
        if sources.fresh.proc {
            special("/proc", "proc", &["nosuid", "noexec", "nodev"])
        } else {
            bind(
                Path::new("/proc"),
                Path::new("/proc"),
                false,
                Kind::Directory,
            )
        },
        special(
            "/dev",
            "tmpfs",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        ),
        // A sysfs shows the devices of a network namespace, and only its owner may mount it (sysfs_init_fs_context).
        if in_user_namespace && (spec.network == Network::Host || !sources.fresh.sysfs) {
            bind(Path::new("/sys"), Path::new("/sys"), true, Kind::Directory)
        } else {
            special("/sys", "sysfs", &["nosuid", "noexec", "nodev", access])
        },
        special("/dev/pts", "devpts", &terminals),
        special("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        special(
            "/dev/shm",
            "tmpfs",
            &[
                "nosuid",
                "noexec",
                "nodev",
                "mode=1777",
                &format!("size={shm}"),
            ],
        ),
    ];
    mounts.push(match sources.version {
        Version::Two | Version::Foreign => special(
            "/sys/fs/cgroup",
            "cgroup",
            &["nosuid", "noexec", "nodev", access],
        ),
        Version::One => bind(
            sources.cgroups,
            Path::new("/sys/fs/cgroup"),
            !privileged,
            Kind::Directory,
        ),
    });
    let names = files::NAMES.iter();
    let names = names.filter(|name| !(spec.build_step && **name == files::HOSTNAME));
    mounts.extend(names.map(|name| {
        let target = Path::new("/etc").join(name);
        let source = sources.bundle.join(name);
        bind(&source, &target, spec.build_step, Kind::File)
    }));
    mounts
}

fn own(mount: &Mount) -> Result<Planned, Failure> {
    let given = mount.target();
    let target = normalise(given);
    if !given.is_absolute() || target == Path::new("/") {
        return Err(Failure::Invalid(format!(
            "`{}` is no mount target: it must be an absolute path below /",
            given.display()
        )));
    }
    match mount {
        Mount::Bind {
            source, read_only, ..
        } => {
            let found = fs_err::metadata(source).step(&format!("mount `{}`", source.display()))?;
            let point = if found.is_dir() {
                Kind::Directory
            } else {
                Kind::File
            };
            Ok(bind(source, &target, *read_only, point))
        }
        Mount::Tmpfs {
            size_bytes,
            mode,
            read_only,
            ..
        } => {
            // Programs may be executed in it, unlike Docker's --tmpfs: builds do, and it is no boundary.
            let mut options = vec![
                "nosuid".to_owned(),
                "nodev".to_owned(),
                format!("mode={:o}", mode.unwrap_or(0o1777)),
            ];
            options.extend(size_bytes.map(|size| format!("size={size}")));
            options.extend(read_only.then(|| "ro".to_owned()));
            Ok(Planned {
                target,
                kind: "tmpfs",
                source: "tmpfs".into(),
                options,
                point: Kind::Directory,
            })
        }
    }
}

fn special(target: &str, kind: &'static str, options: &[&str]) -> Planned {
    Planned {
        target: target.into(),
        kind,
        source: kind.into(),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        point: Kind::Directory,
    }
}

/// A bind mount takes what is mounted below its source along, so read-only must hold there too (`mount_setattr(2)`,
/// `AT_RECURSIVE`; `rro` to libcontainer).
pub(super) fn bind(source: &Path, target: &Path, read_only: bool, point: Kind) -> Planned {
    let options = if read_only {
        vec!["rbind", "ro", "rro"]
    } else {
        vec!["rbind", "rw"]
    };
    Planned {
        target: target.to_owned(),
        kind: "bind",
        source: source.to_owned(),
        options: options.into_iter().map(str::to_owned).collect(),
        point,
    }
}

impl Planned {
    pub(super) fn to_json(&self) -> Value {
        json!({ "destination": self.target, "type": self.kind, "source": self.source, "options": self.options })
    }
}

/// The mount points that the root filesystem itself must have: those that lie in no other mount.
pub(super) fn outermost(mounts: &[Planned]) -> impl Iterator<Item = &Planned> {
    mounts.iter().enumerate().filter_map(|(index, mount)| {
        let inside = mounts[..index]
            .iter()
            .any(|above| mount.target != above.target && mount.target.starts_with(&above.target));
        (!inside).then_some(mount)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_of(mounts: Vec<Mount>) -> Result<Vec<Planned>, Failure> {
        let spec = ContainerSpec {
            mounts,
            ..ContainerSpec::default()
        };
        plan(
            &spec,
            &Sources {
                bundle: Path::new("/b"),
                cgroups: Path::new("/c"),
                version: Version::One,
                fresh: Fresh::ALL,
            },
        )
    }

    fn tmpfs(target: &str) -> Mount {
        Mount::Tmpfs {
            target: target.into(),
            size_bytes: Some(1024),
            mode: None,
            read_only: false,
        }
    }

    #[test]
    fn parents_come_first_and_own_mounts_replace_defaults() {
        let mounts = plan_of(vec![tmpfs("/a/b/c"), tmpfs("/a"), tmpfs("/dev/shm")]).unwrap();
        let position = |target: &str| {
            mounts
                .iter()
                .position(|mount| mount.target == Path::new(target))
                .unwrap()
        };
        assert!(position("/a") < position("/a/b/c"));
        assert!(position("/sys") < position("/sys/fs/cgroup"));
        assert_eq!(
            mounts
                .iter()
                .filter(|mount| mount.target == Path::new("/dev/shm"))
                .count(),
            1
        );
        assert!(
            mounts[position("/dev/shm")]
                .options
                .contains(&"size=1024".to_owned())
        );
        let points: Vec<_> = outermost(&mounts)
            .map(|mount| mount.target.to_str().unwrap())
            .collect();
        assert_eq!(
            points,
            [
                "/proc",
                "/dev",
                "/sys",
                "/a",
                "/etc/hosts",
                "/etc/hostname",
                "/etc/resolv.conf"
            ]
        );
    }

    #[test]
    fn wrong_targets_and_missing_sources_are_told() {
        for target in ["", "relative", "/", "/a/.."] {
            assert!(plan_of(vec![tmpfs(target)]).is_err(), "{target}");
        }
        let missing = Mount::Bind {
            source: "/missing".into(),
            target: "/x".into(),
            read_only: false,
        };
        assert!(
            plan_of(vec![missing])
                .unwrap_err()
                .to_string()
                .contains("/missing")
        );
    }
}
