//! A cache in a directory: an OCI image layout (image specification, `image-layout.md`), written so that whoever reads at
//! the same time, or comes after a `kill -9`, finds a whole cache: blobs appear by rename, the index last.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use howdah_image::{Descriptor, Digest, DigestReader, Index, Manifest, REF_NAME, SnapshotId};
use rustix::fs::{FlockOperation, flock};

use super::contents::Blob;
use super::document::{CONFIG_TYPE, LARGEST_DOCUMENT};
use super::error::CacheError;

/// Registries take no larger manifests, and an index lists a few.
const LARGEST_MANIFEST: u64 = 4 << 20;
/// What an exporter that is still at work has written is younger than this.
const ABANDONED: Duration = Duration::from_hours(6);
const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// Names of files in the making.
const NEW: &str = ".new-";

/// A tag of a layout.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    tag: String,
}

impl Directory {
    pub(super) fn new(path: PathBuf, tag: String) -> Directory {
        Directory { path, tag }
    }

    /// The manifest under the tag, or the one with this digest.
    pub(super) fn manifest(&self, digest: Option<Digest>) -> Result<Manifest, CacheError> {
        let index = self.index()?;
        let wanted = |entry: &&Descriptor| match &digest {
            Some(digest) => entry.digest == *digest,
            None => entry.annotation(REF_NAME) == Some(&self.tag),
        };
        let found = index.manifests.iter().find(wanted);
        let found = found.ok_or(CacheError::Missing)?.digest;
        self.read_manifest(&found)
    }

    /// A whole blob that is a document.
    pub(super) fn document(&self, digest: &Digest) -> Result<Vec<u8>, CacheError> {
        self.small(digest, LARGEST_DOCUMENT)
    }

    /// Whether a blob is there with all its bytes; one that was cut is written anew.
    pub(super) fn has(&self, blob: &Blob) -> bool {
        let metadata = fs_err::metadata(self.blob(&blob.digest));
        metadata.is_ok_and(|metadata| metadata.is_file() && metadata.len() == blob.size)
    }

    /// Removes a blob whose bytes are not what its name says, so that the next export writes it anew. Says whether it was so.
    pub(super) fn remove_damaged(&self, digest: &Digest) -> Result<bool, CacheError> {
        let path = self.blob(digest);
        let mut reader = DigestReader::new(self.open(digest)?);
        io::copy(&mut reader, &mut io::sink()).map_err(CacheError::io("read", &path))?;
        let (found, _) = reader.finish();
        let damaged = found != *digest;
        if damaged {
            // A cache that is only lent to us stays as it is.
            drop(fs_err::remove_file(&path));
        }
        Ok(damaged)
    }

    pub(super) fn open(&self, digest: &Digest) -> Result<File, CacheError> {
        let path = self.blob(digest);
        let file = fs_err::File::open(&path).map_err(CacheError::io("open", &path))?;
        Ok(file.into_file())
    }

    /// Adds a blob. Its bytes are those of the digest.
    pub(super) fn put(&self, digest: &Digest, reader: &mut dyn io::Read) -> Result<(), CacheError> {
        let target = self.blob(digest);
        let directory = target.parent().unwrap_or(&self.path);
        fs_err::create_dir_all(directory).map_err(CacheError::io("make", directory))?;
        self.write(&target, reader)
    }

    /// Puts the manifest under the tag, and removes what nothing names any more.
    pub(super) fn publish(&self, manifest: &Descriptor) -> Result<(), CacheError> {
        let lock_path = self.path.join("index.json.lock");
        let lock = fs_err::File::create(&lock_path).map_err(CacheError::io("make", &lock_path))?;
        flock(&lock, FlockOperation::LockExclusive)
            .map_err(io::Error::from)
            .map_err(CacheError::io("lock", &lock_path))?;
        self.write(&self.path.join("oci-layout"), &mut &*LAYOUT)?;
        let mut index = match self.index() {
            Err(CacheError::Missing) => Index::default(),
            other => other?,
        };
        let is_mine = |entry: &Descriptor| entry.annotation(REF_NAME) == Some(&self.tag);
        index.manifests.retain(|entry| !is_mine(entry));
        let mut entry = manifest.clone();
        entry.annotations = Some(BTreeMap::from([(REF_NAME.to_owned(), self.tag.clone())]));
        index.manifests.push(entry);
        let bytes = serde_json::to_vec(&index).map_err(io::Error::from);
        let path = self.path.join("index.json");
        let bytes = bytes.map_err(CacheError::io("write", &path))?;
        self.write(&path, &mut bytes.as_slice())?;
        self.prune(&index)
    }

    /// Removes blobs that no manifest of the index names, unless the layout holds other things than caches.
    fn prune(&self, index: &Index) -> Result<(), CacheError> {
        let mut named = HashSet::new();
        for entry in &index.manifests {
            let Ok(manifest) = self.read_manifest(&entry.digest) else {
                return Ok(());
            };
            if manifest.config.media_type != CONFIG_TYPE {
                return Ok(());
            }
            named.extend([entry.digest.hex(), manifest.config.digest.hex()]);
            named.extend(manifest.layers.iter().map(|layer| layer.digest.hex()));
        }
        for directory in [self.path.clone(), self.path.join("blobs/sha256")] {
            let error = || CacheError::io("list", &directory);
            for entry in fs_err::read_dir(&directory).map_err(error())? {
                let entry = entry.map_err(error())?;
                let name = entry.file_name();
                let name = name.to_string_lossy();
                let is_blob = Digest::from_hex(&name).is_ok() && !named.contains(&*name);
                // Another exporter's blobs have no manifest yet.
                if (is_blob || name.starts_with(NEW)) && is_abandoned(&entry.path()) {
                    drop(fs_err::remove_file(entry.path()));
                }
            }
        }
        Ok(())
    }

    fn index(&self) -> Result<Index, CacheError> {
        let path = self.path.join("index.json");
        let file = match fs_err::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(CacheError::Missing);
            }
            Err(error) => return Err(CacheError::io("open", &path)(error)),
        };
        let mut bytes = Vec::new();
        file.take(LARGEST_MANIFEST)
            .read_to_end(&mut bytes)
            .map_err(CacheError::io("read", &path))?;
        serde_json::from_slice(&bytes).map_err(|_| CacheError::Other("its index.json is no index"))
    }

    fn read_manifest(&self, digest: &Digest) -> Result<Manifest, CacheError> {
        let bytes = self.small(digest, LARGEST_MANIFEST)?;
        serde_json::from_slice(&bytes).map_err(|_| CacheError::Other("its manifest is none"))
    }

    fn small(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, CacheError> {
        let mut bytes = Vec::new();
        self.open(digest)?
            .take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(CacheError::io("read", &self.blob(digest)))?;
        if Digest::of(&bytes) != *digest {
            return Err(CacheError::Damaged(*digest));
        }
        Ok(bytes)
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.path.join("blobs/sha256").join(digest.hex())
    }

    /// A file that appears whole.
    fn write(&self, target: &Path, reader: &mut dyn io::Read) -> Result<(), CacheError> {
        let new = self.path.join(format!("{NEW}{}", SnapshotId::random()));
        let written = fs_err::File::create_new(&new).and_then(|mut file| {
            io::copy(reader, &mut file)?;
            file.flush()?;
            file.sync_all()?;
            fs_err::rename(&new, target)
        });
        written.map_err(|error| {
            drop(fs_err::remove_file(&new));
            CacheError::io("write", target)(error)
        })
    }
}

fn is_abandoned(path: &Path) -> bool {
    let modified = fs_err::metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|time| {
        SystemTime::now()
            .duration_since(time)
            .is_ok_and(|age| age > ABANDONED)
    })
}
