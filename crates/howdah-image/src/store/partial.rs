//! Blobs on their way here: files below `partial/` that outlive their process, so that a transfer goes on where it stopped.

use std::fs::File;
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::temporary::lock_exclusively;
use super::{Store, StoreError};
use crate::{Digest, DigestWriter};

/// Nobody comes back for a blob after so long.
const LONGEST_ABSENCE: Duration = Duration::from_hours(7 * 24);

/// The part of a blob that has arrived. Its lock is held by one process at a time; dropped, it stays for the next one.
#[derive(Debug)]
pub(crate) struct PartialBlob {
    store: Store,
    digest: Digest,
    path: PathBuf,
    writer: DigestWriter<BufWriter<File>>,
}

impl Store {
    /// What has arrived of a blob so far, maybe nothing. Waits while another process fetches it; `None` when that one, or an
    /// earlier one, has completed it.
    pub(crate) fn partial_blob(&self, digest: &Digest) -> Result<Option<PartialBlob>, StoreError> {
        let path = self.partial_directory().join(digest.hex());
        let error = |action| StoreError::io(action, &path);
        self.forget_old_parts();
        loop {
            let file = lock_exclusively(&path).map_err(error("lock"))?;
            if self.has_blob(digest) {
                // Its own file became the blob; this one was made by asking for the lock.
                drop(fs_err::remove_file(&path));
                return Ok(None);
            }
            // While we waited for the lock, the file may have been removed, or made a blob that was lost again.
            let locked = file.metadata().map_err(error("examine"))?.ino();
            if !path.metadata().is_ok_and(|named| named.ino() == locked) {
                continue;
            }
            let seen = fs_err::File::open(&path).map_err(error("open"))?;
            let mut writer =
                DigestWriter::continuing(BufWriter::with_capacity(256 << 10, file), seen)
                    .map_err(error("read"))?;
            let length = writer.length();
            writer
                .inner_mut()
                .seek(SeekFrom::Start(length))
                .map_err(error("seek in"))?;
            return Ok(Some(PartialBlob {
                store: self.clone(),
                digest: *digest,
                path,
                writer,
            }));
        }
    }

    fn partial_directory(&self) -> PathBuf {
        self.root().join("partial")
    }

    /// Makes room of what nobody came back for. A failure is not the caller's business, who asked for another blob.
    fn forget_old_parts(&self) {
        let Ok(entries) = fs_err::read_dir(self.partial_directory()) else {
            return;
        };
        for entry in entries.flatten() {
            let age = entry.metadata().and_then(|metadata| metadata.modified());
            let is_old = age.is_ok_and(|time| {
                time.elapsed()
                    .is_ok_and(|elapsed| elapsed > LONGEST_ABSENCE)
            });
            if is_old {
                drop(fs_err::remove_file(entry.path()));
            }
        }
    }
}

impl PartialBlob {
    /// The number of bytes that have arrived.
    pub(crate) fn length(&self) -> u64 {
        self.writer.length()
    }

    /// Where it is, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Begins again with nothing.
    pub(crate) fn restart(&mut self) -> Result<(), StoreError> {
        let error = |action| StoreError::io(action, &self.path);
        let file = self.writer.inner_mut();
        file.flush().map_err(error("write"))?;
        file.get_mut().set_len(0).map_err(error("truncate"))?;
        file.rewind().map_err(error("seek in"))?;
        let file = file.get_ref().try_clone().map_err(error("open"))?;
        self.writer = DigestWriter::new(BufWriter::with_capacity(256 << 10, file));
        Ok(())
    }

    /// Makes it a blob if its bytes are what its name says; else they are forgotten.
    pub(crate) fn commit(self) -> Result<(), StoreError> {
        let (buffer, found, _) = self.writer.finish();
        let file = buffer
            .into_inner()
            .map_err(io::IntoInnerError::into_error)
            .map_err(StoreError::io("write", &self.path))?;
        if found != self.digest {
            remove(&self.path)?;
            return Err(StoreError::DigestMismatch {
                expected: self.digest,
                found,
            });
        }
        self.store.place_blob(&file, &self.path, &self.digest)
    }
}

impl Write for PartialBlob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    fs_err::remove_file(path).map_err(StoreError::io("remove", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_survives_and_is_checked_when_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let digest = Digest::of("hello");
        let mut part = store.partial_blob(&digest).unwrap().unwrap();
        part.write_all(b"hel").unwrap();
        drop(part);
        let mut part = store.partial_blob(&digest).unwrap().unwrap();
        assert_eq!(part.length(), 3);
        part.write_all(b"lo").unwrap();
        part.commit().unwrap();
        assert!(store.has_blob(&digest));
        assert!(store.partial_blob(&digest).unwrap().is_none());
        assert_eq!(
            fs_err::read_dir(directory.path().join("partial"))
                .unwrap()
                .count(),
            0
        );
    }

    #[test]
    fn who_waits_for_a_part_finds_the_blob() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let digest = Digest::of("hello");
        let mut part = store.partial_blob(&digest).unwrap().unwrap();
        let waiting = std::thread::spawn({
            let store = store.clone();
            move || store.partial_blob(&digest).unwrap().is_none()
        });
        // The other one has the file open and waits for its lock, which /proc/locks shows as `->`.
        let inode = fs_err::metadata(part.path()).unwrap().ino();
        let waits = || {
            let locks = fs_err::read_to_string("/proc/locks").unwrap();
            locks
                .lines()
                .any(|line| line.contains("->") && line.contains(&format!(":{inode} ")))
        };
        while !waits() {
            std::thread::yield_now();
        }
        part.write_all(b"hello").unwrap();
        part.commit().unwrap();
        assert!(waiting.join().unwrap());
    }

    #[test]
    fn a_wrong_part_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let digest = Digest::of("hello");
        let mut part = store.partial_blob(&digest).unwrap().unwrap();
        part.write_all(b"wrong").unwrap();
        assert!(matches!(
            part.commit(),
            Err(StoreError::DigestMismatch { .. })
        ));
        let mut part = store.partial_blob(&digest).unwrap().unwrap();
        assert_eq!(part.length(), 0);
        part.write_all(b"wrong").unwrap();
        part.restart().unwrap();
        part.write_all(b"hello").unwrap();
        part.commit().unwrap();
        assert!(store.has_blob(&digest));
    }

    #[test]
    fn a_damaged_blob_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let mut blob = store.write_blob().unwrap();
        blob.write_all(b"hello").unwrap();
        let (digest, _) = blob.commit(None).unwrap();
        assert!(!store.remove_damaged_blob(&digest).unwrap());
        fs_err::write(store.blob_path(&digest), "hellO").unwrap();
        assert!(store.remove_damaged_blob(&digest).unwrap());
        assert!(!store.has_blob(&digest));
    }
}
