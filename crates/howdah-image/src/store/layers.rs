//! What is known of layers outside the store: their diff ids, and the blobs that hold them.

use rusqlite::{OptionalExtension as _, params};

use super::{Store, StoreError};
use crate::{Digest, Layer, SnapshotId};

/// How a layer's tar is compressed in a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// The OCI media type of such a layer (image specification, `layer.md`).
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::None => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// A blob that holds a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerBlob {
    /// Of the layer's tar.
    pub diff_id: Digest,
    /// Of the tar in the blob.
    pub compression: Compression,
    /// Of the blob.
    pub digest: Digest,
    /// Bytes of the blob.
    pub size: u64,
}

impl Store {
    /// The diff id that the last layer of `stack` had when it was received, or last packed with the same time.
    pub fn layer_diff_id(
        &self,
        stack: &[Layer],
        epoch: Option<i64>,
    ) -> Result<Option<Digest>, StoreError> {
        let Some(layer) = stack.last() else {
            return Ok(None);
        };
        if let Some(diff_id) = self.received_diff_id(layer)? {
            return Ok(Some(diff_id));
        }
        match self.recorded_diff_id(&key(std::slice::from_ref(layer), epoch))? {
            Some(diff_id) => Ok(Some(diff_id)),
            None => self.recorded_diff_id(&key(stack, epoch)),
        }
    }

    /// The diff id of a layer that came from elsewhere. Its snapshot is named after it, and it leaves as it came.
    pub(crate) fn received_diff_id(&self, layer: &Layer) -> Result<Option<Digest>, StoreError> {
        let [snapshot] = layer.snapshots.as_slice() else {
            return Ok(None);
        };
        let diff_id = self.recorded_diff_id(&key(std::slice::from_ref(layer), None))?;
        Ok(diff_id.filter(|diff_id| SnapshotId::from(diff_id) == *snapshot))
    }

    fn recorded_diff_id(&self, key: &str) -> Result<Option<Digest>, StoreError> {
        let text: Option<String> = self.database().with(|connection| {
            connection
                .prepare_cached("SELECT diff_id FROM layers WHERE key = ?1")?
                .query_row([key], |row| row.get(0))
                .optional()
        })?;
        Ok(text.and_then(|text| text.parse().ok()))
    }

    /// A blob of the layer in one of these compressions, in this order of preference, that is still in the store.
    pub(crate) fn layer_blob(
        &self,
        diff_id: Digest,
        wanted: &[Compression],
    ) -> Result<Option<LayerBlob>, StoreError> {
        for &compression in wanted {
            let row: Option<(String, i64)> = self.database().with(|connection| {
                connection
                    .prepare_cached("SELECT digest, size FROM layer_blobs WHERE diff_id = ?1 AND compression = ?2")?
                    .query_row((diff_id.to_string(), compression.name()), |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()
            })?;
            let Some((digest, size)) = row else { continue };
            let Ok(digest) = digest.parse() else { continue };
            if self.has_blob(&digest) {
                return Ok(Some(LayerBlob {
                    diff_id,
                    compression,
                    digest,
                    size: size.unsigned_abs(),
                }));
            }
        }
        Ok(None)
    }

    /// Remembers what the last layer of `stack` was packed to. `stack` is all that its bytes depend on: often the layer alone.
    pub(crate) fn record_diff_id(
        &self,
        stack: &[Layer],
        epoch: Option<i64>,
        diff_id: Digest,
    ) -> Result<(), StoreError> {
        self.database().with(|connection| {
            connection.execute(
                "INSERT OR REPLACE INTO layers (key, diff_id) VALUES (?1, ?2)",
                params![key(stack, epoch), diff_id.to_string()],
            )
        })?;
        Ok(())
    }

    pub(crate) fn record_layer_blob(&self, blob: &LayerBlob) -> Result<(), StoreError> {
        let size = i64::try_from(blob.size).unwrap_or(i64::MAX);
        self.database().with(|connection| {
            connection.execute(
                "INSERT OR REPLACE INTO layer_blobs (diff_id, compression, digest, size) VALUES (?1, ?2, ?3, ?4)",
                params![blob.diff_id.to_string(), blob.compression.name(), blob.digest.to_string(), size],
            )
        })?;
        Ok(())
    }
}

/// The name in the database of the last layer of `stack`. Recipe 1: everything that decides the bytes of its tar, which are
/// the snapshots of `stack` and the time that files get (see `layer::pack`). Not in the key: the compression.
fn key(stack: &[Layer], epoch: Option<i64>) -> String {
    let join = |layer: &Layer| {
        layer
            .snapshots
            .iter()
            .map(SnapshotId::as_str)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let snapshots: Vec<String> = stack.iter().map(join).collect();
    let epoch = epoch.map_or_else(|| "-".to_owned(), |epoch| format!("epoch {epoch}"));
    Digest::of(format!("1\n{epoch}\n{}", snapshots.join("\n"))).hex()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(digits: &[char]) -> Layer {
        let id = |digit: &char| digit.to_string().repeat(64).parse().unwrap();
        Layer {
            snapshots: digits.iter().map(id).collect(),
        }
    }

    #[test]
    fn the_key_has_what_decides_the_bytes() {
        let (base, other, single, chain) = (
            layer(&['a']),
            layer(&['b']),
            layer(&['c']),
            layer(&['c', 'd']),
        );
        let over = |below: &Layer| key(&[below.clone(), single.clone()], None);
        assert_ne!(over(&base), over(&other));
        assert_ne!(
            key(std::slice::from_ref(&single), None),
            key(&[chain], None)
        );
        let single = [single];
        assert_ne!(key(&single, None), key(&single, Some(0)));
        // A changed recipe must be seen: it makes every layer be packed again.
        assert_eq!(
            key(&single, None),
            "863e0fadecfda5567dac3f3c85b2cfd83dd531bc4720966f303d5050fe677d6e"
        );
    }
}
