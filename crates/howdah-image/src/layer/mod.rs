//! Layers as tar archives (OCI image specification, `layer.md`), both ways: unpacked into overlay lower directories, and
//! packed from them deterministically.

mod compression;
mod epoch;
mod error;
mod merge;
pub(crate) mod outgoing;
mod pack;
pub(crate) mod tar;
pub(crate) mod transfer;
mod unpack;

use std::collections::HashSet;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::{Digest, DigestReader};

pub use compression::{CompressionOptions, ParseCompressionError};
pub(crate) use compression::{decompress, sniff};
pub use error::LayerError;
pub use outgoing::{compressed_directory, compressed_layer};
pub use pack::{PackOptions, pack, pack_merged};
pub use transfer::{receive, receive_blob};

/// What a layer may hold at most; a hostile one is refused before it fills the disk.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the whole archive, unpacked, and of all files together, holes included.
    pub bytes: u64,
    /// Files, directories, links and devices.
    pub entries: u64,
}

impl Default for Limits {
    /// Far above any sane layer: 64 GiB in four million entries.
    fn default() -> Self {
        Self {
            bytes: 64 << 30,
            entries: 4_000_000,
        }
    }
}

/// Prefix of the names that say "not here any more" (`layer.md`, "Whiteouts").
const WHITEOUT_PREFIX: &[u8] = b".wh.";
/// Says of its directory: nothing of lower layers shows through.
const OPAQUE_MARKER: &[u8] = b".wh..wh..opq";

/// Unpacks a layer, compressed or not, into the empty directory `into`. Gives the digest of the tar: the layer's diff id.
///
/// Nothing outside `into` is touched, whatever the archive says: paths are resolved by openat2(2) with
/// `RESOLVE_IN_ROOT`, and `..` is refused.
pub fn unpack(reader: impl Read, into: &Path, limits: &Limits) -> Result<Digest, LayerError> {
    let (reader, _) = decompress(reader)?;
    let mut reader = DigestReader::new(reader);
    unpack::unpack_tar(&mut reader, into, limits)?;
    Ok(reader.finish().0)
}

/// The sum of the sizes of a tree's files; a file with several names counts once.
pub(crate) fn tree_size(root: &Path) -> io::Result<u64> {
    let mut seen = HashSet::new();
    let mut pending = vec![root.to_owned()];
    let mut size = 0;
    while let Some(directory) = pending.pop() {
        for entry in fs_err::read_dir(&directory)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                pending.push(entry.path());
            } else if metadata.is_file()
                && (metadata.nlink() == 1 || seen.insert((metadata.dev(), metadata.ino())))
            {
                size += metadata.len();
            }
        }
    }
    Ok(size)
}
