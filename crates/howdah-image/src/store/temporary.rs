//! Entries of `tmp/`: each is held by an flock(2) of its owner, which the kernel drops when the owner dies.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};

use super::StoreError;

/// Guards the moment between an entry's creation and its lock. Held shared by creators, exclusively by the reaper.
const GATE: &str = ".gate";

/// A directory of our own below `tmp/`; removed on drop.
#[derive(Debug)]
pub(crate) struct Temporary {
    path: PathBuf,
    // Closing the descriptor unlocks, so it must outlive the directory's removal.
    _lock: File,
}

impl Temporary {
    /// Makes `tmp/<random>/` and locks it.
    pub(crate) fn new(parent: &Path) -> Result<Self, StoreError> {
        let path = parent.join(random_name());
        let error = |action| StoreError::io(action, &path);
        let gate = open_gate(parent).and_then(|gate| {
            flock(&gate, FlockOperation::LockShared)
                .map(|()| gate)
                .map_err(Into::into)
        });
        let gate = gate.map_err(StoreError::io("lock", &parent.join(GATE)))?;
        rustix::fs::mkdir(&path, Mode::RWXU)
            .map_err(io::Error::from)
            .map_err(error("make the directory"))?;
        let lock = open_directory(&path).map_err(error("open"))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(io::Error::from)
            .map_err(error("lock"))?;
        drop(gate);
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed now is reaped by the next open.
        drop(fs_err::remove_dir_all(&self.path));
    }
}

/// Removes the entries whose owner is dead. Costs one readdir when there are none.
pub(super) fn reap(parent: &Path) -> Result<(), StoreError> {
    let error = |action| StoreError::io(action, parent);
    let mut entries = fs_err::read_dir(parent)
        .map_err(error("list"))?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name() != GATE)
        .peekable();
    if entries.peek().is_none() {
        return Ok(());
    }
    let gate = open_gate(parent).map_err(error("lock"))?;
    if flock(&gate, FlockOperation::NonBlockingLockExclusive).is_err() {
        // Somebody is creating an entry or reaping; the next open will do.
        return Ok(());
    }
    let lock = |path: PathBuf| {
        let directory = open_directory(&path).ok()?;
        flock(&directory, FlockOperation::NonBlockingLockExclusive).ok()?;
        Some((path, directory))
    };
    let dead: Vec<(PathBuf, File)> = entries.filter_map(|entry| lock(entry.path())).collect();
    // Their own locks keep other reapers away, so nobody has to wait at the gate for the removal.
    drop(gate);
    for (path, _lock) in &dead {
        // Errors are not the caller's business: it did not make this entry, and works without its removal.
        drop(fs_err::remove_dir_all(path));
    }
    Ok(())
}

/// Does some work while no sweep decides. The work is short.
pub(super) fn through_gate<T>(
    parent: &Path,
    work: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    let gate = open_gate(parent)?;
    flock(&gate, FlockOperation::LockShared)?;
    work()
}

/// Keeps everybody else from going through the gate until the file is dropped.
pub(super) fn close_gate(parent: &Path) -> Result<File, StoreError> {
    let closed = open_gate(parent).and_then(|gate| {
        flock(&gate, FlockOperation::LockExclusive)?;
        Ok(gate)
    });
    closed.map_err(StoreError::io("lock", &parent.join(GATE)))
}

/// The entries whose owner is alive.
pub(super) fn living(parent: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = fs_err::read_dir(parent).map_err(StoreError::io("list", parent))?;
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let is_alive = |path: &PathBuf| {
        let free = open_directory(path).is_ok_and(|directory| {
            flock(&directory, FlockOperation::NonBlockingLockExclusive).is_ok()
        });
        !free
    };
    Ok(paths
        .filter(|path| path.is_dir())
        .filter(is_alive)
        .collect())
}

/// Creates `path` when absent and waits for an exclusive lock on it.
pub(super) fn lock_exclusively(path: &Path) -> io::Result<File> {
    let file = open_lock(path)?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

fn open_gate(parent: &Path) -> io::Result<File> {
    open_lock(&parent.join(GATE))
}

fn open_lock(path: &Path) -> io::Result<File> {
    Ok(rustix::fs::open(
        path,
        OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC,
        Mode::RUSR | Mode::WUSR,
    )?
    .into())
}

fn open_directory(path: &Path) -> io::Result<File> {
    Ok(rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?
    .into())
}

fn random_name() -> String {
    format!("{:032x}", u128::from_ne_bytes(random_bytes()))
}

/// Random bytes from the kernel; getrandom(2) with up to 256 bytes neither fails nor returns short once seeded.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    const { assert!(N <= 256) };
    let mut bytes = [0; N];
    while rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) != Ok(N) {}
    bytes
}
