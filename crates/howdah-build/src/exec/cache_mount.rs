//! Directories of `RUN --mount=type=cache`: `mounts/<key>/{id,data}` in the store.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use howdah_dockerfile::Sharing;
use howdah_image::{SnapshotId, Store, namespace};
use howdah_solver::{Cancel, Key};

use super::RunError;
use crate::cache::{KeyLock, KeyLocks};
use crate::export::write_entries;
use crate::op::Attributes;
use crate::tree::{self, Entry, Tree, TreePath};

/// More copies of a private cache than builds that run at once.
const PRIVATE_COPIES: usize = 64;

/// The directory of a cache, the lock that its sharing asks for, and the one that keeps it from being removed. A new cache
/// is what `fill` makes.
pub(super) fn directory(
    store: &Store,
    (id, sharing): (&str, Sharing),
    cancel: &Cancel,
    fill: &dyn Fn(&Path) -> Result<(), RunError>,
) -> Result<(PathBuf, Vec<KeyLock>), RunError> {
    let locks = KeyLocks::new(store.root());
    let key = |copy: usize| key(id, copy);
    let failed = |source| RunError::CacheMount {
        id: id.to_owned(),
        source,
    };
    let (copy, lock) = match sharing {
        Sharing::Shared => (0, None),
        Sharing::Locked => (
            0,
            Some(
                locks
                    .lock(&key(0), cancel)
                    .map_err(failed)?
                    .ok_or(RunError::Cancelled)?,
            ),
        ),
        Sharing::Private => {
            let free = (0..PRIVATE_COPIES).find_map(|copy| match locks.try_lock(&key(copy)) {
                Ok(lock) => lock.map(|lock| Ok((copy, Some(lock)))),
                Err(error) => Some(Err(error)),
            });
            free.unwrap_or_else(|| Err(io::ErrorKind::ResourceBusy.into()))
                .map_err(failed)?
        }
    };
    let path = path(store, &key(copy));
    let in_use = locks
        .share(&in_use(&key(copy).to_string()), cancel)
        .map_err(failed)?;
    let in_use = in_use.ok_or(RunError::Cancelled)?;
    if !path.is_dir() {
        let new = path.with_extension(SnapshotId::random().as_str());
        begin(&new, id).map_err(failed)?;
        fill(&new.join("data"))?;
        publish(&new, &path).map_err(failed)?;
    }
    // Says when the cache was used last.
    let touched = fs_err::File::options().write(true).open(path.join("id"));
    touched
        .and_then(|file| file.set_modified(SystemTime::now()))
        .map_err(failed)?;
    Ok((
        path.join("data"),
        lock.into_iter().chain([in_use]).collect(),
    ))
}

/// The lock that users of a cache share.
fn in_use(name: &str) -> Key {
    Key::of(format!("cache mount in use\0{name}").as_bytes())
}

/// Keeps builds from beginning to use the cache `mounts/<name>`; `None` if one uses it.
pub(crate) fn lock_for_removal(store: &Store, name: &str) -> io::Result<Option<KeyLock>> {
    KeyLocks::new(store.root()).try_lock(&in_use(name))
}

/// The directory of a cache that is there and that no step has for itself now, which nobody gets while the lock is held.
pub(crate) fn at_rest(store: &Store, id: &str) -> io::Result<Option<(PathBuf, [KeyLock; 2])>> {
    let key = key(id, 0);
    let data = path(store, &key).join("data");
    let Some(lock) = KeyLocks::new(store.root()).try_lock(&key)? else {
        return Ok(None);
    };
    // Neither is it removed meanwhile.
    let in_use = lock_for_removal(store, &key.to_string())?;
    Ok(in_use
        .filter(|_| data.is_dir())
        .map(|in_use| (data, [lock, in_use])))
}

fn key(id: &str, copy: usize) -> Key {
    Key::of(format!("cache mount\0{id}\0{copy}").as_bytes())
}

fn path(store: &Store, key: &Key) -> PathBuf {
    store.root().join("mounts").join(key.to_string())
}

/// The directory of a cache that is being made, without its data.
fn begin(new: &Path, id: &str) -> io::Result<()> {
    let parent = new.parent().unwrap_or(new);
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(parent)?;
    fs_err::create_dir(new)?;
    fs_err::write(new.join("id"), id)
}

/// It appears by rename.
fn publish(new: &Path, path: &Path) -> io::Result<()> {
    match fs_err::rename(new, path) {
        // Another build was faster.
        Err(_) if path.is_dir() => fs_err::remove_dir_all(new),
        other => other,
    }
}

/// Gives the directory of a new cache its mode and owner.
pub(super) fn set_attributes(data: &Path, attributes: Attributes) -> io::Result<()> {
    let (uid, gid) = namespace::owner(attributes.uid, attributes.gid);
    rustix::fs::chown(data, Some(uid), Some(gid))?;
    fs_err::set_permissions(data, Permissions::from_mode(attributes.mode))
}

/// Makes the directory of a new cache like the directory `source` of a tree. Owners on the host of a build context do not count.
pub(super) fn copy(
    tree: &dyn Tree,
    source: &str,
    data: &Path,
    keep_owners: bool,
) -> Result<(), RunError> {
    let failed = RunError::io(
        "copy the first content of a cache mount from",
        Path::new(source),
    );
    let entries = match directory_of(tree, source) {
        Ok(entries) => entries,
        Err(error) => return Err(failed(error)),
    };
    let entries = entries.iter().map(|(path, entry)| (path, entry));
    write_entries(entries, keep_owners, data).map_err(|error| failed(io::Error::other(error)))
}

/// A directory and everything in it, by the paths from there.
fn directory_of(tree: &dyn Tree, source: &str) -> io::Result<Vec<(TreePath, Entry)>> {
    let path = tree::resolve(tree, source.as_bytes())?;
    let top = tree.entry(&path)?.filter(Entry::is_directory);
    let top = top.ok_or(io::ErrorKind::NotADirectory)?;
    let below = tree.below(&path)?;
    let below = below.into_iter().filter(|entry| entry.path != path);
    let inside = |entry: Entry| {
        let inside = entry.path.get(path.len()..).unwrap_or_default();
        let inside = inside.strip_prefix(b"/").unwrap_or(inside);
        (inside.to_vec(), entry)
    };
    Ok(std::iter::once(top).chain(below).map(inside).collect())
}
