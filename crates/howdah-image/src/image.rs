//! Images as the local store knows them: a configuration over layers, each layer one or more snapshots.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::store::{Store, random_bytes};
use crate::{Digest, ImageConfig, ParseDigestError, Platform, Reference};

/// The name of a sealed tree in the store: 64 lower-case hex digits.
///
/// A received layer's snapshot has its diff id as name, so the same layer is never kept twice. Everything else is random or
/// chosen by the builder.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId(String);

/// A text is not a snapshot id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a snapshot id of 64 hex digits")]
pub struct ParseSnapshotIdError(String);

impl SnapshotId {
    /// A new id that no other snapshot has.
    pub fn random() -> Self {
        use fmt::Write as _;
        Self(
            random_bytes::<32>()
                .iter()
                .fold(String::with_capacity(64), |mut text, byte| {
                    // Writing to a String cannot fail.
                    let _ = write!(text, "{byte:02x}");
                    text
                }),
        )
    }

    /// The 64 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&Digest> for SnapshotId {
    fn from(digest: &Digest) -> Self {
        Self(digest.hex())
    }
}

impl FromStr for SnapshotId {
    type Err = ParseSnapshotIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        crate::digest::parse_hex(text)
            .map(|_| Self(text.to_owned()))
            .ok_or_else(|| ParseSnapshotIdError(text.to_owned()))
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl fmt::Debug for SnapshotId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for SnapshotId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SnapshotId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// One OCI layer. Several snapshots are one layer kept as base and deltas, lowest first; they are merged when packed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Layer {
    /// The snapshots, lowest first.
    pub snapshots: Vec<SnapshotId>,
}

/// The local name of an image: the digest of its configuration without `rootfs`, and of its snapshots' ids.
///
/// It differs from Docker's image id (the digest of the whole configuration), which would need every layer's tar to be
/// written and hashed before an image may be used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(Digest);

impl ImageId {
    pub(crate) fn of(config: &ImageConfig, layers: &[Layer]) -> Result<Self, serde_json::Error> {
        #[derive(Serialize)]
        struct Recipe<'a> {
            version: u32,
            config: &'a ImageConfig,
            layers: &'a [Layer],
        }
        // Not in the id: rootfs.diff_ids, which are known only once the image has left or when it came from elsewhere.
        let config = ImageConfig {
            rootfs: crate::RootFs::default(),
            ..config.clone()
        };
        let recipe = serde_json::to_vec(&Recipe {
            version: 1,
            config: &config,
            layers,
        })?;
        Ok(Self(Digest::of(recipe)))
    }

    /// The 64 hex digits without `sha256:`.
    pub fn hex(&self) -> String {
        self.0.hex()
    }

    /// The first 12 hex digits, as Docker's tables show an id.
    pub fn short(&self) -> String {
        self.0.hex()[..12].to_owned()
    }
}

impl FromStr for ImageId {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

impl fmt::Debug for ImageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

/// An image in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Its local name.
    pub id: ImageId,
    /// What to run and how; `rootfs.diff_ids` may be empty as long as the image has not left the store.
    pub config: ImageConfig,
    /// The layers, lowest first.
    pub layers: Vec<Layer>,
}

impl Image {
    /// The overlay lower directories, lowest first: all snapshots of all layers.
    ///
    /// A snapshot that occurs twice is given once, at its highest place: overlayfs refuses the same directory twice
    /// (ELOOP), and the higher one hides all of the lower one.
    pub fn lowers(&self, store: &Store) -> Vec<PathBuf> {
        let mut seen = HashSet::new();
        let mut lowers: Vec<PathBuf> = self
            .layers
            .iter()
            .flat_map(|layer| &layer.snapshots)
            .rev()
            .filter(|snapshot| seen.insert(*snapshot))
            .map(|snapshot| store.snapshot_path(snapshot))
            .collect();
        lowers.reverse();
        lowers
    }
}

/// One image as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSummary {
    /// Its local name.
    pub id: ImageId,
    /// What it runs on.
    pub platform: Platform,
    /// The names it has, sorted.
    pub references: Vec<Reference>,
    /// The names with digest under which registries have it, sorted.
    pub digests: Vec<Reference>,
    /// RFC 3339 time: when it was made here, else what the configuration of an image from elsewhere says.
    pub created: Option<String>,
    /// The sum of the sizes of all files of all layers.
    pub size: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_configuration_and_snapshots_and_no_diff_ids() {
        let layers = [Layer {
            snapshots: vec!["ab".repeat(32).parse().unwrap()],
        }];
        let config = ImageConfig {
            architecture: "amd64".into(),
            ..ImageConfig::default()
        };
        let id = ImageId::of(&config, &layers).unwrap();
        let mut exported = config.clone();
        exported.rootfs.diff_ids.push(Digest::of("tar"));
        assert_eq!(ImageId::of(&exported, &layers).unwrap(), id);
        let other = ImageConfig {
            author: Some("somebody".into()),
            ..config
        };
        assert_ne!(ImageId::of(&other, &layers).unwrap(), id);
        // A changed recipe must be seen: every image gets another id.
        assert_eq!(
            id.hex(),
            "76f2e40977d4cb981b61dc77aaebed0a64f6f81031965a1d1b22d9595b9bbd9c"
        );
    }
}
