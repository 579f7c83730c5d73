//! Sources of `RUN --mount=type=bind`: overlays whose upper takes what is written and is thrown away.

use std::io;
use std::path::{Path, PathBuf};

use howdah_image::Store;
use howdah_runtime::overlay;
use rustix::fs::{CWD, FileType, Mode};

use super::RunError;
use crate::context::Scan;
use crate::root::Root;
use crate::tree::{self, Tree};

/// A path of a context; what `.dockerignore` leaves out is hidden.
pub(super) fn context(directory: &Path, scan: &Scan, source: &str) -> Result<PathBuf, RunError> {
    let merged = make(directory)?;
    let upper = directory.join("upper");
    for path in scan.excluded() {
        let hidden = upper.join(tree::as_path(path));
        let parent = hidden.parent().unwrap_or(&upper);
        fs_err::create_dir_all(parent).map_err(RunError::io("make", parent))?;
        let whiteout =
            rustix::fs::mknodat(CWD, &hidden, FileType::CharacterDevice, Mode::empty(), 0);
        whiteout
            .map_err(io::Error::from)
            .map_err(RunError::io("hide", &hidden))?;
    }
    mount(&[scan.root().to_owned()], directory)?;
    existing(scan, source, &merged)
}

/// A path of a stage or an image.
pub(super) fn root(
    directory: &Path,
    store: &Store,
    root: &Root,
    source: &str,
) -> Result<PathBuf, RunError> {
    let merged = make(directory)?;
    mount(&root.lowers(store), directory)?;
    existing(&root.view(store), source, &merged)
}

fn make(directory: &Path) -> Result<PathBuf, RunError> {
    for name in ["upper", "work", "merged"] {
        let path = directory.join(name);
        fs_err::create_dir_all(&path).map_err(RunError::io("make", &path))?;
    }
    Ok(directory.join("merged"))
}

fn mount(lowers: &[PathBuf], directory: &Path) -> Result<(), RunError> {
    let (upper, work) = (directory.join("upper"), directory.join("work"));
    let mounted = overlay::mount(lowers, Some((&upper, &work)), &directory.join("merged"));
    mounted.map_err(|source| RunError::Overlay { source })
}

/// A path of the merged tree, links followed inside it.
fn existing(tree: &dyn Tree, source: &str, merged: &Path) -> Result<PathBuf, RunError> {
    let found = tree::resolve(tree, source.as_bytes())
        .and_then(|path| Ok(tree.entry(&path)?.map(|_| path)));
    let found = found.map_err(RunError::io("look up", Path::new(source)))?;
    let found = found.ok_or_else(|| RunError::NoBindSource {
        source_path: source.to_owned(),
    })?;
    Ok(merged.join(tree::as_path(&found)))
}
