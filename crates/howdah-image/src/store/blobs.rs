//! Blobs: immutable files named by the SHA-256 of their bytes.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::{Store, StoreError, Temporary};
use crate::{Digest, DigestWriter};

impl Store {
    /// Where the blob is, or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root().join("blobs/sha256").join(digest.hex())
    }

    /// Whether a blob is here.
    pub fn has_blob(&self, digest: &Digest) -> bool {
        self.blob_path(digest).is_file()
    }

    /// Opens a blob to read it.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, StoreError> {
        let path = self.blob_path(digest);
        fs_err::File::open(&path)
            .map(fs_err::File::into_file)
            .map_err(StoreError::io("open the blob", &path))
    }

    /// Removes a blob whose bytes are not what its name says. Says whether it was so.
    pub(crate) fn remove_damaged_blob(&self, digest: &Digest) -> Result<bool, StoreError> {
        let path = self.blob_path(digest);
        let mut reader = DigestWriter::new(io::sink());
        io::copy(&mut self.open_blob(digest)?, &mut reader)
            .map_err(StoreError::io("read", &path))?;
        let damaged = reader.finish().1 != *digest;
        if damaged {
            fs_err::remove_file(&path).map_err(StoreError::io("remove the blob", &path))?;
        }
        Ok(damaged)
    }

    /// Makes a complete file the blob `digest`, such that a power cut leaves all of it or nothing.
    pub(super) fn place_blob(
        &self,
        file: &File,
        path: &Path,
        digest: &Digest,
    ) -> Result<(), StoreError> {
        file.sync_all().map_err(StoreError::io("sync", path))?;
        let target = self.blob_path(digest);
        fs_err::rename(path, &target).map_err(StoreError::io("write the blob", &target))?;
        let directory = self.root().join("blobs/sha256");
        fs_err::File::open(&directory)
            .and_then(|directory| directory.sync_all())
            .map_err(StoreError::io("sync", &directory))
    }

    /// Starts a new blob, whose name is known when it is complete.
    pub fn write_blob(&self) -> Result<BlobWriter, StoreError> {
        let directory = Temporary::new(&self.temporary_directory())?;
        let path = directory.path().join("blob");
        let file = fs_err::File::create_new(&path)
            .map_err(StoreError::io("create", &path))?
            .into_file();
        let writer = DigestWriter::new(BufWriter::with_capacity(256 << 10, file));
        Ok(BlobWriter {
            store: self.clone(),
            path,
            writer,
            _directory: directory,
        })
    }
}

/// A blob in the making; dropped without a commit it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter {
    store: Store,
    path: PathBuf,
    writer: DigestWriter<BufWriter<File>>,
    // Holds and at last removes the file's directory.
    _directory: Temporary,
}

impl BlobWriter {
    /// Puts the blob in its place if it has the digest that was announced, or any if none was.
    pub fn commit(self, expected: Option<&Digest>) -> Result<(Digest, u64), StoreError> {
        let error = |action| StoreError::io(action, &self.path);
        let (buffer, found, size) = self.writer.finish();
        let file = buffer
            .into_inner()
            .map_err(io::IntoInnerError::into_error)
            .map_err(error("write"))?;
        if let Some(expected) = expected.filter(|expected| **expected != found) {
            return Err(StoreError::DigestMismatch {
                expected: *expected,
                found,
            });
        }
        self.store.place_blob(&file, &self.path, &found)?;
        Ok((found, size))
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
