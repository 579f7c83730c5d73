//! Layers as tar archives (OCI image specification, `layer.md`), both ways: unpacked into overlay lower directories, and
//! packed from them deterministically.

use std::io::{self, Read, Write};
use std::path::Path;

use crate::{Layer, Store, StoreError};

/// What a layer may hold at most; a hostile one is refused before it fills the disk.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of all files together, unpacked.
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

/// A layer that cannot be unpacked or packed.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The store refused.
    #[error("cannot reach the layer's snapshots")]
    Store {
        /// Why not.
        source: StoreError,
    },
}

/// How layers are packed.
#[derive(Debug, Clone, Copy, Default)]
pub struct PackOptions {
    /// `SOURCE_DATE_EPOCH`: no file is younger than this, in seconds since 1970
    /// (<https://reproducible-builds.org/specs/source-date-epoch/>).
    pub source_date_epoch: Option<i64>,
}

/// Unpacks a layer, compressed or not, into the empty directory `into`.
pub fn unpack(reader: impl Read, into: &Path, limits: &Limits) -> Result<(), LayerError> {
    let _ = (reader, into, limits);
    todo!()
}

/// Writes the layer's tar, merged from its snapshots.
pub fn pack(
    store: &Store,
    layer: &Layer,
    writer: impl Write,
    options: &PackOptions,
) -> Result<(), LayerError> {
    let _ = (store, layer, writer, options);
    todo!()
}

pub(crate) fn tree_size(root: &Path) -> io::Result<u64> {
    let _ = root;
    todo!()
}
