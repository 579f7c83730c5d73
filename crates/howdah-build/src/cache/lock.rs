//! One execution of a key at a time, among all threads and processes that share a store.
//!
//! The locks are bytes of one file (fcntl(2), "open file description locks"), which the kernel gives back when their
//! holder dies.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use howdah_solver::{Cancel, Key};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// `F_WRLCK`, `F_RDLCK` and `SEEK_SET` in the width that `struct flock` has them.
#[expect(clippy::cast_possible_truncation, reason = "all are 0 or 1")]
const WRITE_LOCK: libc::c_short = libc::F_WRLCK as libc::c_short;
#[expect(clippy::cast_possible_truncation, reason = "all are 0 or 1")]
const READ_LOCK: libc::c_short = libc::F_RDLCK as libc::c_short;
#[expect(clippy::cast_possible_truncation, reason = "all are 0 or 1")]
const FROM_START: libc::c_short = libc::SEEK_SET as libc::c_short;

/// Hands out locks by key.
#[derive(Clone, Debug)]
pub(crate) struct KeyLocks {
    path: PathBuf,
}

/// A held lock; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct KeyLock {
    _file: File,
}

impl KeyLocks {
    pub(crate) fn new(root: &Path) -> KeyLocks {
        KeyLocks {
            path: root.join("build.lock"),
        }
    }

    /// Takes the lock if nobody has it.
    pub(crate) fn try_lock(&self, key: &Key) -> io::Result<Option<KeyLock>> {
        self.attempt(key, WRITE_LOCK)
    }

    /// Waits for the lock. `None` if `cancel` fired first.
    pub(crate) fn lock(&self, key: &Key, cancel: &Cancel) -> io::Result<Option<KeyLock>> {
        self.wait(key, WRITE_LOCK, cancel)
    }

    /// Waits for a share of the lock, which others may have at the same time. `None` if `cancel` fired first.
    pub(crate) fn share(&self, key: &Key, cancel: &Cancel) -> io::Result<Option<KeyLock>> {
        self.wait(key, READ_LOCK, cancel)
    }

    fn attempt(&self, key: &Key, kind: libc::c_short) -> io::Result<Option<KeyLock>> {
        let file = self.open()?;
        match set_lock(&file, key, kind, false) {
            Ok(()) => Ok(Some(KeyLock { _file: file })),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn wait(&self, key: &Key, kind: libc::c_short, cancel: &Cancel) -> io::Result<Option<KeyLock>> {
        if let Some(lock) = self.attempt(key, kind)? {
            return Ok(Some(lock));
        }
        // The waiting system call cannot be called off, so it waits in a thread of its own; if we leave first, that
        // thread drops the lock as soon as it has it.
        let (sender, receiver) = mpsc::channel();
        let hook = cancel.on_cancel({
            let sender = sender.clone();
            move || drop(sender.send(None))
        });
        let (file, key) = (self.open()?, *key);
        std::thread::spawn(move || {
            let result = loop {
                match set_lock(&file, &key, kind, true) {
                    Err(Errno::EINTR) => {}
                    other => break other,
                }
            };
            drop(sender.send(Some(result.map(|()| KeyLock { _file: file }))));
        });
        let answer = receiver.recv().ok().flatten();
        drop(hook);
        answer.transpose().map_err(io::Error::from)
    }

    fn open(&self) -> io::Result<File> {
        let file = fs_err::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.path)?;
        Ok(file.into_file())
    }
}

fn set_lock(file: &File, key: &Key, kind: libc::c_short, wait: bool) -> Result<(), Errno> {
    // 48 bits of the key: two keys that share a byte of the file only wait for each other without need.
    let mut place = [0; 8];
    place[..6].copy_from_slice(&key.as_bytes()[..6]);
    let lock = libc::flock {
        l_type: kind,
        l_whence: FROM_START,
        l_start: i64::from_le_bytes(place),
        l_len: 1,
        l_pid: 0,
    };
    let command = if wait {
        FcntlArg::F_OFD_SETLKW(&lock)
    } else {
        FcntlArg::F_OFD_SETLK(&lock)
    };
    fcntl(file.as_fd(), command).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_held_once_and_other_keys_are_free() {
        let directory = tempfile::tempdir().unwrap();
        let locks = KeyLocks::new(directory.path());
        let (one, other) = (Key::of(b"one"), Key::of(b"other"));
        let held = locks.lock(&one, &Cancel::default()).unwrap();
        assert!(locks.try_lock(&one).unwrap().is_none());
        assert!(locks.try_lock(&other).unwrap().is_some());
        drop(held);
        assert!(locks.try_lock(&one).unwrap().is_some());
    }

    #[test]
    fn a_lock_is_shared_by_many_or_held_by_one() {
        let directory = tempfile::tempdir().unwrap();
        let locks = KeyLocks::new(directory.path());
        let key = Key::of(b"one");
        let share = || locks.share(&key, &Cancel::default()).unwrap();
        let shares = (share(), share());
        assert!(locks.try_lock(&key).unwrap().is_none());
        drop(shares);
        assert!(locks.try_lock(&key).unwrap().is_some());
    }

    #[test]
    fn waiting_ends_with_the_lock_or_with_the_cancel() {
        let directory = tempfile::tempdir().unwrap();
        let locks = KeyLocks::new(directory.path());
        let key = Key::of(b"one");
        let cancel = Cancel::default();
        let held = locks.lock(&key, &cancel).unwrap().unwrap();
        std::thread::scope(|scope| {
            let cancelled = scope.spawn(|| locks.lock(&key, &cancel).unwrap().is_none());
            cancel.cancel();
            assert!(cancelled.join().unwrap());
            let waiting = scope.spawn(|| locks.lock(&key, &Cancel::default()).unwrap().is_some());
            drop(held);
            assert!(waiting.join().unwrap());
        });
    }
}
