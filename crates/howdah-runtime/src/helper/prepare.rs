//! What must be there before a container's mounts can be made: files for /etc, its control groups, mount points, the
//! working directory.

use std::path::Path;

use rustix::mount::mount_bind;

use super::container::Remains;
use super::mounts::{Planned, Sources, bind, outermost, plan};
use super::root::Root;
use super::stubs::Kind;
use super::visible::Fresh;
use super::{bundle, files};
use crate::cgroup::{Cgroup, Version};
use crate::protocol::{Failure, Step};
use crate::records::Entry;
use crate::{ContainerSpec, Mount, Network, rootless};

/// Mount points that stay in the root filesystem: every container needs them, and runc leaves them behind too, so that images
/// built with BuildKit have them.
const KEPT: [&str; 3] = ["/dev", "/proc", "/sys"];

/// Makes the files, mount points and directories that the mounts and the program need.
pub(super) fn mounts(
    state: &Path,
    spec: &ContainerSpec,
    remains: &mut Remains,
) -> Result<Vec<Planned>, Failure> {
    let entry = &remains.entry;
    let bundle = if let Network::Container(id) = &spec.network {
        // One network, one set of names: those of the container that made it.
        Entry::new(state, id).bundle()
    } else {
        files::write(&entry.bundle(), spec).step("write the container's files of /etc")?;
        entry.bundle()
    };
    let cgroups = entry.directory().join("cgroups");
    if remains.cgroup.version == Version::One {
        expose_cgroups(&remains.cgroup, &cgroups).step("mount the container's control groups")?;
    }
    let fresh = if remains.cgroup.version == Version::Foreign {
        Fresh::here().step("look at the mounts")?
    } else {
        Fresh::ALL
    };
    let sources = Sources {
        bundle: &bundle,
        cgroups: &cgroups,
        version: remains.cgroup.version,
        fresh,
    };
    let mut planned = plan(spec, &sources)?;
    if rootless::is_single() {
        planned.extend(apt_as_root(&entry.rootfs(), &bundle).step("configure apt")?);
    }
    let (rootfs, upper) = (entry.rootfs(), spec.rootfs.upper.clone());
    for mount in outermost(&planned) {
        let target = &mount.target;
        let step = format!("make the mount point `{}`", target.display());
        if KEPT.iter().any(|kept| target == Path::new(kept)) {
            let made = Root::open(&rootfs).and_then(|root| root.make_directory(target));
            made.step(&step)?;
            continue;
        }
        remains
            .stubs
            .make(&rootfs, &upper, target, mount.point)
            .step(&step)?;
    }
    make_working_directory(spec, &planned, &rootfs)?;
    Ok(planned)
}

/// Where root is alone, apt has to be told; it reads the names of its files in order.
fn apt_as_root(rootfs: &Path, bundle: &Path) -> std::io::Result<Option<Planned>> {
    let directory = Path::new(files::APT_DIRECTORY);
    if Root::open(rootfs)?.kind(directory)? != Some(rustix::fs::FileType::Directory) {
        return Ok(None);
    }
    let source = bundle.join("apt.conf");
    fs_err::write(&source, files::APT_AS_ROOT)?;
    let target = directory.join("zz-howdah-single-id");
    Ok(Some(bind(&source, &target, true, Kind::File)))
}

/// Like `WORKDIR`: made when missing, and it stays. Below a mount it can only be made, and is, by whoever owns that.
fn make_working_directory(
    spec: &ContainerSpec,
    planned: &[Planned],
    rootfs: &Path,
) -> Result<(), Failure> {
    let directory = bundle::working_directory(spec)?;
    let binds = spec
        .mounts
        .iter()
        .rfind(|mount| directory.starts_with(mount.target()));
    let step = format!("make the working directory `{}`", directory.display());
    if let Some(Mount::Bind {
        source,
        target,
        read_only: false,
        ..
    }) = binds
    {
        let below = directory.strip_prefix(target).unwrap_or(Path::new(""));
        return match Root::open(source) {
            Ok(root) => root.make_directory(below).step(&step).map(drop),
            // The source is a file: entering the directory will tell.
            Err(_) => Ok(()),
        };
    }
    if planned
        .iter()
        .any(|mount| directory.starts_with(&mount.target))
    {
        return Ok(());
    }
    Root::open(rootfs)
        .and_then(|root| root.make_directory(&directory))
        .step(&step)
        .map(drop)
}

/// Version 1: a small tree of the container's own groups, one directory a controller, to be mounted read-only. (A control
/// group namespace could be mounted too, but libcontainer leaves those mounts writable.)
fn expose_cgroups(cgroup: &Cgroup, at: &Path) -> std::io::Result<()> {
    fs_err::create_dir(at)?;
    rustix::mount::mount(
        "cgroups",
        at,
        "tmpfs",
        rustix::mount::MountFlags::empty(),
        Some(c"mode=755,size=64k"),
    )?;
    for (controller, directory) in cgroup.directories()? {
        fs_err::create_dir_all(&directory)?;
        let point = at.join(controller);
        fs_err::create_dir(&point)?;
        mount_bind(&directory, &point)?;
    }
    Ok(())
}
