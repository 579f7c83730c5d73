//! What Docker's Debian images have beside the packages (debuerreotype's `minimizing-config` and `slimify`).

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

use super::mirrors::Mirrors;
use super::{BootstrapError, Suite, io_error};

/// Also given to mmdebstrap, which applies it while it unpacks.
pub(super) const SLIM_EXCLUDES: &str = "\
# The slim image: what is not needed in a container is left out, now and when packages are added.
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/groff/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/linda/*
path-exclude=/usr/share/lintian/*
path-exclude=/usr/share/locale/*
path-include=/usr/share/locale/locale.alias
path-exclude=/usr/share/man/*
";

const FILES: &[(&str, u32, &str)] = &[
    ("usr/sbin/policy-rc.d", 0o755, "#!/bin/sh\n# No service is started when its package is installed: nothing here manages services.\nexit 101\n"),
    ("etc/dpkg/dpkg.cfg.d/docker-apt-speedup", 0o644, "# An image that was not built to its end is thrown away, so nothing must be synced.\nforce-unsafe-io\n"),
    ("etc/apt/apt.conf.d/docker-clean", 0o644, "\
# Packages and caches would only make layers larger; each RUN makes a layer.
DPkg::Post-Invoke { \"rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true\"; };
APT::Update::Post-Invoke { \"rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true\"; };

Dir::Cache::pkgcache \"\";
Dir::Cache::srcpkgcache \"\";
"),
    ("etc/apt/apt.conf.d/docker-no-languages", 0o644, "Acquire::Languages \"none\";\n"),
    ("etc/apt/apt.conf.d/docker-gzip-indexes", 0o644, "Acquire::GzipIndexes \"true\";\nAcquire::CompressionTypes::Order:: \"gz\";\n"),
    ("etc/apt/apt.conf.d/docker-autoremove-suggests", 0o644, "Apt::AutoRemove::SuggestsImportant \"false\";\n"),
];

/// What mmdebstrap leaves and the image must not have: things of this machine, and of the bootstrap itself.
const REMOVED: &[&str] = &[
    "etc/hostname",
    "etc/resolv.conf",
    "etc/apt/sources.list",
    "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
];
/// Emptied: container runtimes fill `/dev`.
const EMPTIED: &[&str] = &["dev", "etc/apt/sources.list.d"];

/// Makes the tree what Docker's image is.
pub(super) fn finish(root: &Path, suite: &Suite, mirrors: &Mirrors) -> Result<(), BootstrapError> {
    for name in REMOVED {
        let path = root.join(name);
        if path.symlink_metadata().is_ok() {
            fs_err::remove_file(&path).map_err(io_error("remove", &path))?;
        }
    }
    for name in EMPTIED {
        empty(&root.join(name))?;
    }
    for (name, mode, content) in FILES {
        write(&root.join(name), *mode, content)?;
    }
    if suite.slim {
        write(
            &root.join("etc/dpkg/dpkg.cfg.d/docker"),
            0o644,
            SLIM_EXCLUDES,
        )?;
    }
    write(
        &root.join("etc/apt/sources.list.d/debian.sources"),
        0o644,
        &suite.sources(mirrors),
    )
}

fn write(path: &Path, mode: u32, content: &str) -> Result<(), BootstrapError> {
    fs_err::write(path, content).map_err(io_error("write", path))?;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(io_error("set the mode of", path))
}

fn empty(directory: &Path) -> Result<(), BootstrapError> {
    let error = |source| io_error("empty", directory)(source);
    for entry in fs_err::read_dir(directory).map_err(error)? {
        let entry = entry.map_err(error)?;
        if entry.file_type().map_err(error)?.is_dir() {
            fs_err::remove_dir_all(entry.path()).map_err(error)?;
        } else {
            fs_err::remove_file(entry.path()).map_err(error)?;
        }
    }
    Ok(())
}

/// Makes nothing in the tree younger than `epoch`, so that the same files give the same layer.
pub(super) fn clamp_times(root: &Path, epoch: i64) -> Result<(), BootstrapError> {
    let time = Timespec {
        tv_sec: epoch,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let error = |source| io_error("set the time of", &path)(source);
        let metadata = fs_err::symlink_metadata(&path).map_err(error)?;
        if metadata.is_dir() {
            for entry in fs_err::read_dir(&path).map_err(error)? {
                pending.push(entry.map_err(error)?.path());
            }
        }
        if metadata.mtime() > epoch || (metadata.mtime() == epoch && metadata.mtime_nsec() > 0) {
            let set = rustix::fs::utimensat(CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW);
            set.map_err(|errno| error(errno.into()))?;
        }
    }
    Ok(())
}
