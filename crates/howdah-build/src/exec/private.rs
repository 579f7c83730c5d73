//! Files that only one step may see: secrets and scripts, on a tmpfs of the step's own mount namespace.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

use howdah_image::namespace;

use super::RunError;
use crate::op::Attributes;

/// Makes `directory` a tmpfs and writes a file into it. The content never reaches a disk (but swap).
pub(super) fn file(
    directory: &Path,
    name: &str,
    content: &[u8],
    attributes: Attributes,
) -> Result<PathBuf, RunError> {
    fs_err::create_dir(directory).map_err(RunError::io("make", directory))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(
        Some("tmpfs"),
        directory,
        Some("tmpfs"),
        flags,
        Some("mode=0700"),
    )
    .map_err(|errno| RunError::io("mount", directory)(errno.into()))?;
    // Only its last component: a name cannot lead elsewhere.
    let path = directory.join(Path::new(name).file_name().unwrap_or_default());
    let write = || {
        fs_err::write(&path, content)?;
        let (uid, gid) = namespace::owner(attributes.uid, attributes.gid);
        rustix::fs::chown(&path, Some(uid), Some(gid))?;
        fs_err::set_permissions(&path, Permissions::from_mode(attributes.mode))
    };
    write().map_err(RunError::io("write", &path))?;
    Ok(path)
}
