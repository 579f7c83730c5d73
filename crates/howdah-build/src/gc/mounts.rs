//! Cache mounts as items: `mounts/<key>/{id,data}`; see `exec/cache_mount.rs`.

use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use howdah_image::Store;

use super::PruneError;
use super::items::{Item, ItemKind};
use crate::exec::cache_mount;

/// All cache mounts.
pub(super) fn items(store: &Store) -> Result<Vec<Item>, PruneError> {
    let directory = store.root().join("mounts");
    let entries = match fs_err::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("list", &directory)(error)),
    };
    let mut items = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed("list", &directory))?;
        let (path, name) = (
            entry.path(),
            entry.file_name().to_string_lossy().into_owned(),
        );
        // Others are still being made.
        if name.len() != 64 {
            continue;
        }
        let id = fs_err::read_to_string(path.join("id")).unwrap_or_default();
        let used = fs_err::metadata(path.join("id")).and_then(|metadata| metadata.modified());
        let used = used
            .unwrap_or(UNIX_EPOCH)
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        items.push(Item {
            id: name[..12].to_owned(),
            kind: ItemKind::Mount,
            description: format!("cache mount {id}"),
            bytes: directory_size(&path).map_err(failed("measure", &path))?,
            last_used: i64::try_from(used.as_millis()).unwrap_or(i64::MAX),
            uses: 0,
            in_use: cache_mount::lock_for_removal(store, &name)
                .map_err(failed("lock", &path))?
                .is_none(),
            shared: false,
            keys: Vec::new(),
            snapshots: Vec::new(),
            mount: Some(name),
        });
    }
    Ok(items)
}

/// Removes a mount, unless a build uses it. Returns its size.
pub(super) fn remove(store: &Store, item: &Item) -> Result<Option<u64>, PruneError> {
    let Some(name) = &item.mount else {
        return Ok(None);
    };
    let path = store.root().join("mounts").join(name);
    let lock = cache_mount::lock_for_removal(store, name).map_err(failed("lock", &path))?;
    if lock.is_none() {
        return Ok(None);
    }
    let trash = store.stage()?;
    match fs_err::rename(&path, trash.directory().join(name)) {
        Ok(()) => {}
        // Another prune was faster.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("remove", &path)(error)),
    }
    drop(lock);
    drop(trash);
    Ok(Some(item.bytes))
}

/// The sizes of all files below a directory. What vanishes meanwhile has none: a build may be at work.
pub fn directory_size(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    let mut open: Vec<PathBuf> = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        let entries = match fs_err::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries.filter_map(Result::ok) {
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if metadata.is_dir() {
                open.push(entry.path());
            } else {
                bytes += metadata.len();
            }
        }
    }
    Ok(bytes)
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PruneError + use<> {
    let path = path.to_owned();
    move |source| PruneError::Mount {
        action,
        path,
        source,
    }
}
