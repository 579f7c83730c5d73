//! Overlay mounts through the new mount API (fsopen(2), fsconfig(2), fsmount(2)), which takes layers one by one and so has
//! no limit of a page on their names; through mount(2) on kernels before 6.5, which do not know `lowerdir+`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount,
};

use crate::process::descriptor_path;
use crate::rootless;

/// Why an overlay could not be mounted or unmounted.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// A layer or directory of the overlay cannot be used.
    #[error("cannot use `{}` in an overlay", path.display())]
    Layer {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The kernel refused the mount.
    #[error("cannot mount an overlay of {layers} layers on `{}`", target.display())]
    Mount {
        /// The mount point.
        target: PathBuf,
        /// How many read-only layers it has.
        layers: usize,
        /// The system's reason.
        source: io::Error,
    },
    /// The kernel refused the unmount.
    #[error("cannot unmount `{}`", target.display())]
    Unmount {
        /// The mount point.
        target: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// What would write other things into the upper than an OCI layer can carry stays off, whatever the kernel's defaults.
const OPTIONS: [(&str, &str); 3] = [("xino", "off"), ("index", "off"), ("metacopy", "off")];
/// Keeps overlayfs's marks in `user.overlay.*`: a user namespace has no `trusted.*` (overlayfs.rst, "User xattr").
const USER_ATTRIBUTES: &str = "userxattr";
/// fsconfig(2) takes strings of at most 255 bytes.
const MAX_VALUE_BYTES: usize = 255;

/// Mounts `lowers` (lowest first) below an optional `(upper, work)` pair on `target`; without a pair it is read-only.
///
/// Overlayfs needs at least one read-only layer, and two when there is no pair: when `lowers` is empty, an empty directory
/// `lower` beside `work` is used, and a single layer without a pair is put on `target` itself, which has to be empty.
pub fn mount(
    lowers: &[PathBuf],
    upper_work: Option<(&Path, &Path)>,
    target: &Path,
) -> Result<(), OverlayError> {
    let empty;
    let pair;
    let lowers = match (upper_work, lowers) {
        (Some((_, work)), []) => {
            empty = [work.with_file_name("lower")];
            match fs_err::create_dir(&empty[0]) {
                Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(OverlayError::Layer {
                        path: empty[0].clone(),
                        source,
                    });
                }
                _ => &empty[..],
            }
        }
        (None, [only]) => {
            pair = [target.to_owned(), only.clone()];
            &pair[..]
        }
        _ => lowers,
    };
    match mount_layer_by_layer(lowers, upper_work, target) {
        // EINVAL may also have a true cause; then the old way gives the same answer.
        Err(OverlayError::Mount { source, .. }) if is_unsupported(&source) => {
            mount_with_one_string(lowers, upper_work, target)
        }
        result => result,
    }
}

/// Unmounts `target`, now if possible, else as soon as nobody uses it any more (`MNT_DETACH`).
pub fn unmount(target: &Path) -> Result<(), OverlayError> {
    rustix::mount::unmount(target, UnmountFlags::DETACH).map_err(|error| OverlayError::Unmount {
        target: target.to_owned(),
        source: error.into(),
    })
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(nix::libc::EINVAL | nix::libc::ENOSYS)
    )
}

fn mount_layer_by_layer(
    lowers: &[PathBuf],
    upper_work: Option<(&Path, &Path)>,
    target: &Path,
) -> Result<(), OverlayError> {
    let refused = |error: rustix::io::Errno| OverlayError::Mount {
        target: target.to_owned(),
        layers: lowers.len(),
        source: error.into(),
    };
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(refused)?;
    let mut held = Vec::new();
    // Overlayfs counts from the top: the first layer named is the uppermost.
    for lower in lowers.iter().rev() {
        fsconfig_set_string(context.as_fd(), "lowerdir+", value(lower, &mut held)?)
            .map_err(refused)?;
    }
    if let Some((upper, work)) = upper_work {
        fsconfig_set_string(context.as_fd(), "upperdir", value(upper, &mut held)?)
            .map_err(refused)?;
        fsconfig_set_string(context.as_fd(), "workdir", value(work, &mut held)?)
            .map_err(refused)?;
    }
    for (name, setting) in OPTIONS.into_iter().chain([redirects()]) {
        fsconfig_set_string(context.as_fd(), name, setting).map_err(refused)?;
    }
    if rootless::is_inside() {
        fsconfig_set_flag(context.as_fd(), USER_ATTRIBUTES).map_err(refused)?;
    }
    fsconfig_set_string(context.as_fd(), "source", "overlay").map_err(refused)?;
    fsconfig_create(context.as_fd()).map_err(refused)?;
    let mounted = fsmount(
        context.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )
    .map_err(refused)?;
    move_mount(
        mounted.as_fd(),
        "",
        CWD,
        target,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .map_err(refused)
}

/// Neither made nor, where anybody could have written their marks, followed.
fn redirects() -> (&'static str, &'static str) {
    let setting = if rootless::is_inside() {
        "nofollow"
    } else {
        "off"
    };
    ("redirect_dir", setting)
}

/// The option's value: the path itself, so that mountinfo tells it, or a short name of it when it is too long.
fn value(path: &Path, held: &mut Vec<OwnedFd>) -> Result<PathBuf, OverlayError> {
    if path.as_os_str().len() <= MAX_VALUE_BYTES {
        return Ok(path.to_owned());
    }
    let descriptor = open_directory(path)?;
    let name = descriptor_path(descriptor.as_fd());
    held.push(descriptor);
    Ok(name)
}

fn mount_with_one_string(
    lowers: &[PathBuf],
    upper_work: Option<(&Path, &Path)>,
    target: &Path,
) -> Result<(), OverlayError> {
    // By descriptor: no path needs its commas and colons escaped, and some 200 layers fit into mount(2)'s one page.
    let open = |path: &Path| {
        open_directory(path).map(|descriptor| (descriptor_path(descriptor.as_fd()), descriptor))
    };
    let lowers = lowers
        .iter()
        .rev()
        .map(|lower| open(lower))
        .collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = lowers
        .iter()
        .map(|(name, _)| name.display().to_string())
        .collect();
    let upper_work = upper_work
        .map(|(upper, work)| Ok((open(upper)?, open(work)?)))
        .transpose()?;
    let mut options = vec![format!("lowerdir={}", names.join(":"))];
    options.extend(upper_work.iter().map(|((upper, _), (work, _))| {
        format!("upperdir={},workdir={}", upper.display(), work.display())
    }));
    options.extend(
        OPTIONS
            .into_iter()
            .chain([redirects()])
            .map(|(name, setting)| format!("{name}={setting}")),
    );
    options.extend((rootless::is_inside()).then(|| USER_ATTRIBUTES.to_owned()));
    let data = std::ffi::CString::new(options.join(",")).unwrap_or_default();
    rustix::mount::mount(
        "overlay",
        target,
        "overlay",
        MountFlags::empty(),
        data.as_c_str(),
    )
    .map_err(|error| OverlayError::Mount {
        target: target.to_owned(),
        layers: lowers.len(),
        source: error.into(),
    })
}

fn open_directory(path: &Path) -> Result<OwnedFd, OverlayError> {
    rustix::fs::open(
        path,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|error| OverlayError::Layer {
        path: path.to_owned(),
        source: error.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory for one overlay; unmounts what a failed test left.
    struct Scratch(tempfile::TempDir);

    impl Scratch {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            for name in ["one", "two", "upper", "work", "target"] {
                fs_err::create_dir(directory.path().join(name)).unwrap();
            }
            fs_err::write(directory.path().join("one/file"), "one").unwrap();
            fs_err::write(directory.path().join("two/file"), "two").unwrap();
            Self(directory)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn lowers(&self) -> [PathBuf; 2] {
            [self.path("one"), self.path("two")]
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            unmount(&self.path("target")).ok();
        }
    }

    #[test]
    fn the_last_layer_is_the_uppermost_both_ways() {
        for mount in [mount_layer_by_layer, mount_with_one_string] {
            let scratch = Scratch::new();
            let (upper, work) = (scratch.path("upper"), scratch.path("work"));
            mount(
                &scratch.lowers(),
                Some((&upper, &work)),
                &scratch.path("target"),
            )
            .unwrap();
            assert_eq!(
                fs_err::read_to_string(scratch.path("target/file")).unwrap(),
                "two"
            );
            fs_err::write(scratch.path("target/new"), "").unwrap();
            assert!(scratch.path("upper/new").exists());
        }
    }

    #[test]
    fn long_names_and_many_layers_are_taken() {
        let scratch = Scratch::new();
        let long = scratch.path(&"x".repeat(200)).join("y".repeat(200));
        fs_err::create_dir_all(&long).unwrap();
        fs_err::write(long.join("deep"), "").unwrap();
        let mut lowers = vec![long];
        for number in 0..150 {
            let layer = scratch.path(&format!("layer-with-a-long-name-to-fill-a-page-{number}"));
            fs_err::create_dir(&layer).unwrap();
            fs_err::write(layer.join(number.to_string()), "").unwrap();
            lowers.push(layer);
        }
        mount(&lowers, None, &scratch.path("target")).unwrap();
        assert!(scratch.path("target/deep").exists());
        assert!(scratch.path("target/149").exists());
        assert!(fs_err::write(scratch.path("target/new"), "").is_err());
    }

    #[test]
    fn an_image_from_scratch_needs_no_layer() {
        let scratch = Scratch::new();
        let (upper, work) = (scratch.path("upper"), scratch.path("work"));
        mount(&[], Some((&upper, &work)), &scratch.path("target")).unwrap();
        fs_err::write(scratch.path("target/new"), "").unwrap();
    }

    #[test]
    fn an_image_of_one_layer_can_be_looked_into() {
        let scratch = Scratch::new();
        mount(&[scratch.path("one")], None, &scratch.path("target")).unwrap();
        assert_eq!(
            fs_err::read_to_string(scratch.path("target/file")).unwrap(),
            "one"
        );
        assert!(fs_err::write(scratch.path("target/new"), "").is_err());
    }

    #[test]
    fn a_missing_layer_is_named() {
        let scratch = Scratch::new();
        let error = mount(&[scratch.path("missing")], None, &scratch.path("target")).unwrap_err();
        assert!(std::error::Error::source(&error).is_some(), "{error}");
    }
}
