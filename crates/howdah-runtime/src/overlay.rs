//! Overlay mounts through the new mount API (fsopen(2), fsconfig(2), fsmount(2)).

use std::io;
use std::path::{Path, PathBuf};

/// Why an overlay could not be mounted or unmounted.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// The kernel refused.
    #[error("cannot mount an overlay on `{}`: {step}", target.display())]
    Mount {
        /// The mount point.
        target: PathBuf,
        /// The part refused.
        step: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The kernel refused.
    #[error("cannot unmount `{}`", target.display())]
    Unmount {
        /// The mount point.
        target: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Mounts `lowers` (lowest first) below an optional `(upper, work)` pair on `target`; without a pair it is read-only.
///
/// Features that would write other things into the upper than OCI layers can carry are off: index, metacopy, redirects, xino.
pub fn mount(
    lowers: &[PathBuf],
    upper_work: Option<(&Path, &Path)>,
    target: &Path,
) -> Result<(), OverlayError> {
    todo!("{lowers:?}{upper_work:?}{target:?}")
}

/// Unmounts `target`, now if possible, else as soon as nobody uses it (`MNT_DETACH`).
pub fn unmount(target: &Path) -> Result<(), OverlayError> {
    todo!("{target:?}")
}
