//! A cache as it travels: the configuration blob of an OCI manifest whose layers are its blobs (docs/decisions/0015).
//!
//! What is read here came from elsewhere: everything has a limit, and every number that points somewhere is checked.

use std::collections::HashMap;
use std::sync::Arc;

use howdah_image::{Digest, SnapshotId};
use howdah_solver::Key;
use serde::{Deserialize, Serialize};

use super::caches::root_layer;
use super::contents::{Blob, CachedLayer, Contents, LayerFiles, MountBlob, Record};
use super::error::DocumentError;
use crate::root::key_as_text;

/// The media type of the configuration blob.
pub(crate) const CONFIG_TYPE: &str = "application/vnd.howdah.cache.config.v1+json";
/// Larger documents are refused before they are read.
pub(crate) const LARGEST_DOCUMENT: u64 = 32 << 20;
/// Another number, another format.
const VERSION: u32 = 1;
const MOST_RECORDS: usize = 50_000;
/// Overlayfs takes 500 lower directories; a root has empty layers too.
const MOST_LAYERS_OF_A_ROOT: usize = 1000;
/// Of all roots together.
const MOST_LAYERS: usize = 2_000_000;
const MOST_MOUNTS: usize = 1000;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    version: u32,
    /// Each layer once; records have their numbers.
    layers: Vec<LayerEntry>,
    records: Vec<RecordEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mounts: Vec<MountEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayerEntry {
    content: KeyText,
    files: FilesEntry,
    /// See [`LayerFiles::Base`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    snapshots: Vec<SnapshotId>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum FilesEntry {
    Base,
    None,
    Blob(BlobEntry),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlobEntry {
    diff_id: Digest,
    digest: Digest,
    size: u64,
    media_type: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordEntry {
    keys: Vec<KeyText>,
    layers: Vec<usize>,
    #[serde(default)]
    epoch: i64,
    #[serde(default)]
    seconds: f64,
    #[serde(default)]
    used: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    memories: Vec<(KeyText, KeyText)>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MountEntry {
    id: String,
    #[serde(default)]
    used: i64,
    blob: BlobEntry,
}

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct KeyText(#[serde(with = "key_as_text")] Key);

impl From<&Blob> for BlobEntry {
    fn from(blob: &Blob) -> BlobEntry {
        BlobEntry {
            diff_id: blob.diff_id,
            digest: blob.digest,
            size: blob.size,
            media_type: blob.media_type.clone(),
        }
    }
}

impl From<BlobEntry> for Blob {
    fn from(entry: BlobEntry) -> Blob {
        Blob {
            diff_id: entry.diff_id,
            digest: entry.digest,
            size: entry.size,
            media_type: entry.media_type,
        }
    }
}

/// Writes contents as a document.
pub(crate) fn write(contents: &Contents) -> Result<Vec<u8>, DocumentError> {
    let mut numbers: HashMap<&CachedLayer, usize> = HashMap::new();
    let mut layers = Vec::new();
    let mut records = Vec::new();
    for record in &contents.records {
        let number = |layer| {
            *numbers.entry(layer).or_insert_with(|| {
                layers.push(layer_entry(layer));
                layers.len() - 1
            })
        };
        records.push(RecordEntry {
            keys: record.keys.iter().copied().map(KeyText).collect(),
            layers: record
                .layers
                .iter()
                .map(|layer| &**layer)
                .map(number)
                .collect(),
            epoch: record.epoch,
            seconds: record.seconds,
            used: record.used,
            memories: record
                .memories
                .iter()
                .map(|(key, digest)| (KeyText(*key), KeyText(*digest)))
                .collect(),
        });
    }
    let mounts = contents.mounts.iter().map(|mount| MountEntry {
        id: mount.id.clone(),
        used: mount.used,
        blob: (&mount.blob).into(),
    });
    let document = Document {
        version: VERSION,
        layers,
        records,
        mounts: mounts.collect(),
    };
    let bytes = serde_json::to_vec(&document).map_err(|source| DocumentError::Json { source })?;
    if bytes.len() as u64 > LARGEST_DOCUMENT {
        return Err(DocumentError::TooLarge);
    }
    Ok(bytes)
}

fn layer_entry(layer: &CachedLayer) -> LayerEntry {
    LayerEntry {
        content: KeyText(layer.content),
        files: match &layer.files {
            LayerFiles::Base(_) => FilesEntry::Base,
            LayerFiles::None => FilesEntry::None,
            LayerFiles::Blob(blob) => FilesEntry::Blob(blob.into()),
        },
        snapshots: match &layer.files {
            LayerFiles::Base(snapshots) => snapshots.clone(),
            LayerFiles::None | LayerFiles::Blob(_) => Vec::new(),
        },
    }
}

/// Reads a document.
pub(crate) fn read(bytes: &[u8]) -> Result<Contents, DocumentError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let json = |source| DocumentError::Json { source };
    if bytes.len() as u64 > LARGEST_DOCUMENT {
        return Err(DocumentError::TooLarge);
    }
    let Versioned { version } = serde_json::from_slice(bytes).map_err(json)?;
    if version != VERSION {
        return Err(DocumentError::Version(version));
    }
    let document: Document = serde_json::from_slice(bytes).map_err(json)?;
    let total: usize = document
        .records
        .iter()
        .map(|record| record.layers.len())
        .sum();
    if document.records.len() > MOST_RECORDS
        || document.mounts.len() > MOST_MOUNTS
        || total > MOST_LAYERS
    {
        return Err(DocumentError::TooLarge);
    }
    let layers = document.layers.into_iter().map(cached_layer);
    let layers: Vec<Arc<CachedLayer>> = layers.collect::<Result<_, _>>()?;
    let records = document.records.into_iter();
    let records = records.map(|record| read_record(record, &layers));
    let mounts = document.mounts.into_iter().map(|mount| MountBlob {
        id: mount.id,
        used: mount.used,
        blob: mount.blob.into(),
    });
    Ok(Contents {
        records: records.collect::<Result<_, _>>()?,
        mounts: mounts.collect(),
    })
}

fn cached_layer(entry: LayerEntry) -> Result<Arc<CachedLayer>, DocumentError> {
    let layer = CachedLayer {
        content: entry.content.0,
        files: match entry.files {
            FilesEntry::Base => LayerFiles::Base(entry.snapshots),
            FilesEntry::None => LayerFiles::None,
            FilesEntry::Blob(blob) => LayerFiles::Blob(blob.into()),
        },
    };
    // A cache may not say of any snapshot that it holds what some other one holds.
    match &layer.files {
        LayerFiles::Base(snapshots)
            if !snapshots.is_empty() && !root_layer(&layer).is_arrived() =>
        {
            Err(DocumentError::Record)
        }
        _ => Ok(Arc::new(layer)),
    }
}

fn read_record(record: RecordEntry, layers: &[Arc<CachedLayer>]) -> Result<Record, DocumentError> {
    if record.keys.is_empty() || record.layers.len() > MOST_LAYERS_OF_A_ROOT {
        return Err(DocumentError::Record);
    }
    let numbers = record.layers.iter();
    let root = numbers.map(|number| layers.get(*number).cloned().ok_or(DocumentError::Record));
    let memories = record.memories.into_iter();
    Ok(Record {
        layers: root.collect::<Result<_, _>>()?,
        keys: record.keys.into_iter().map(|key| key.0).collect(),
        epoch: record.epoch,
        seconds: if record.seconds.is_finite() {
            record.seconds.max(0.0)
        } else {
            0.0
        },
        used: record.used,
        memories: memories.map(|(key, digest)| (key.0, digest.0)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use howdah_image::Layer;

    use super::*;
    use crate::root::{Root, RootLayer};

    /// Mutated documents are read or refused; what is read can be written, and is read the same again.
    #[test]
    fn fuzz_documents() {
        let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/cache");
        let real = fs_err::read(corpus.join("document")).unwrap();
        assert_eq!(read(&real).unwrap().records.len(), 2);
        let words = [
            "{",
            "}",
            "[",
            "]",
            "\"",
            ",",
            ":",
            "null",
            "-1",
            "1e999",
            "NaN",
            "keys",
            "layers",
            "\"base\"",
            "sha256:",
            "{\"version\":1,",
            "\"records\":[",
            "4294967296",
        ];
        let campaign = howdah_fuzz::Campaign {
            corpus: &corpus,
            words: &words,
        };
        howdah_fuzz::run(&campaign, |input| {
            if let Ok(contents) = read(input) {
                let written = write(&contents).unwrap();
                assert_eq!(write(&read(&written).unwrap()).unwrap(), written);
            }
        });
    }

    /// A layer of an image from elsewhere.
    fn pulled() -> RootLayer {
        let layer = Layer {
            snapshots: vec!["ba5e".repeat(16).parse().unwrap()],
        };
        let root = Root::of_image(0, [(&layer, None)]);
        root.layers.into_iter().next().unwrap()
    }

    fn contents() -> Contents {
        let layer = |name: &str, files| {
            Arc::new(CachedLayer {
                content: Key::of(name.as_bytes()),
                files,
            })
        };
        let blob = Blob {
            diff_id: Digest::of("tar"),
            digest: Digest::of("gzip"),
            size: 4,
            media_type: "application/vnd.oci.image.layer.v1.tar+gzip".to_owned(),
        };
        let base = Arc::new(CachedLayer {
            content: pulled().content,
            files: LayerFiles::Base(pulled().snapshots),
        });
        let run = layer("run", LayerFiles::Blob(blob.clone()));
        let record = |name: &str, layers| Record {
            keys: vec![Key::of(name.as_bytes())],
            layers,
            epoch: 7,
            seconds: 1.5,
            used: 9,
            memories: vec![(Key::of(b"m"), Key::of(b"d"))],
        };
        Contents {
            records: vec![
                record("a", vec![base.clone(), run.clone()]),
                record("b", vec![base, run, layer("none", LayerFiles::None)]),
            ],
            mounts: vec![MountBlob {
                id: "npm".to_owned(),
                used: 9,
                blob,
            }],
        }
    }

    #[test]
    fn a_document_reads_back() {
        let contents = contents();
        let bytes = write(&contents).unwrap();
        assert_eq!(read(&bytes).unwrap(), contents);
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.matches("diffId").count(), 2, "each layer once: {text}");
    }

    #[test]
    fn hostile_documents_are_refused() {
        let text = String::from_utf8(write(&contents()).unwrap()).unwrap();
        let with = |from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            read(text.replacen(from, to, 1).as_bytes())
        };
        assert!(matches!(
            with("\"version\":1", "\"version\":2,\"new\":[]"),
            Err(DocumentError::Version(2))
        ));
        assert!(matches!(
            with("\"layers\":[0,1]", "\"layers\":[0,99]"),
            Err(DocumentError::Record)
        ));
        // A snapshot that is not what the layer's content names.
        assert!(matches!(
            with("\"ba5eba5e", "\"dead0000"),
            Err(DocumentError::Record)
        ));
        let many = format!("\"layers\":[{}0]", "0,".repeat(MOST_LAYERS_OF_A_ROOT));
        assert!(matches!(
            with("\"layers\":[0,1]", &many),
            Err(DocumentError::Record)
        ));
        assert!(matches!(
            with("sha256:", "sha256:../../"),
            Err(DocumentError::Json { .. })
        ));
        assert!(matches!(
            read(&vec![b' '; usize::try_from(LARGEST_DOCUMENT + 1).unwrap()]),
            Err(DocumentError::TooLarge)
        ));
        for cut in 0..text.len() {
            assert!(read(&text.as_bytes()[..cut]).is_err());
        }
    }
}
