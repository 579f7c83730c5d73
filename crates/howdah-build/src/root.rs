//! A root filesystem: what every vertex of a build gives.

use std::sync::Arc;

use howdah_image::{Layer, SnapshotId, Store};
use howdah_solver::{Key, Recipe};
use serde::{Deserialize, Serialize};

use crate::copy::CopyLayer;
use crate::tree::TreePath;
use crate::view::View;

/// Layers over layers: those of the base image, then one for each step, which is empty when the step changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Root {
    pub(crate) layers: Vec<RootLayer>,
    /// See [`howdah_image::Image::epoch`]: of the image that it stands on. New layers are packed with it.
    #[serde(default)]
    pub(crate) epoch: i64,
}

/// What one step added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RootLayer {
    /// Lowest first; none if nothing changed.
    pub(crate) snapshots: Vec<SnapshotId>,
    /// The digest of its content; of its identity where the content was too much to read.
    #[serde(with = "key_as_text")]
    pub(crate) content: Key,
}

impl RootLayer {
    /// Of a step that changed nothing.
    pub(crate) fn nothing() -> RootLayer {
        RootLayer {
            snapshots: Vec::new(),
            content: Key::of(b""),
        }
    }

    /// Whether it is known by its snapshots' names alone: a layer of an image that was not built here.
    pub(crate) fn is_arrived(&self) -> bool {
        !self.snapshots.is_empty() && self.content == named_by(&self.snapshots)
    }
}

/// The content of a layer that arrived.
fn named_by(snapshots: &[SnapshotId]) -> Key {
    let mut recipe = Recipe::new("image-layer", 1);
    recipe.list("snapshot", snapshots.iter().map(SnapshotId::as_str));
    recipe.finish().0
}

impl Root {
    /// The layers of an image, with the content that a build put into those that were made here. A layer that arrived
    /// has its content's digest as its snapshot's name.
    pub(crate) fn of_image<'l>(
        epoch: i64,
        layers: impl IntoIterator<Item = (&'l Layer, Option<Key>)>,
    ) -> Root {
        let layers = layers.into_iter().map(|(layer, content)| RootLayer {
            snapshots: layer.snapshots.clone(),
            content: content.unwrap_or_else(|| named_by(&layer.snapshots)),
        });
        Root {
            layers: layers.collect(),
            epoch,
        }
    }

    /// This root with one more layer.
    pub(crate) fn with(&self, layer: RootLayer) -> Arc<Root> {
        let mut layers = self.layers.clone();
        layers.push(layer);
        Arc::new(Root {
            layers,
            epoch: self.epoch,
        })
    }

    /// The digest of everything in it. Empty layers do not count: a step that changes nothing changes no content.
    pub(crate) fn content(&self) -> Key {
        let mut recipe = Recipe::new("root", 1);
        for content in self.contents() {
            recipe.key("layer", &content);
        }
        recipe.finish().0
    }

    /// What each of [`image_layers`](Self::image_layers) holds.
    pub(crate) fn contents(&self) -> impl Iterator<Item = Key> {
        let layers = self.layers.iter();
        layers
            .filter(|layer| !layer.snapshots.is_empty())
            .map(|layer| layer.content)
    }

    /// Its layers as an image has them.
    pub(crate) fn image_layers(&self) -> Vec<Layer> {
        let layers = self
            .layers
            .iter()
            .filter(|layer| !layer.snapshots.is_empty());
        layers
            .map(|layer| Layer {
                snapshots: layer.snapshots.clone(),
            })
            .collect()
    }

    /// All its snapshots, lowest first.
    pub(crate) fn snapshots(&self) -> impl Iterator<Item = &SnapshotId> {
        self.layers.iter().flat_map(|layer| &layer.snapshots)
    }

    /// The overlay lower directories, lowest first. A snapshot that occurs twice is given once, at its highest place:
    /// overlayfs refuses the same directory twice (ELOOP), and the higher one hides the lower one.
    pub(crate) fn lowers(&self, store: &Store) -> Vec<std::path::PathBuf> {
        let mut seen = std::collections::HashSet::new();
        let mut lowers: Vec<_> = self
            .layers
            .iter()
            .rev()
            .flat_map(|layer| layer.snapshots.iter().rev())
            .filter(|snapshot| seen.insert(*snapshot))
            .map(|snapshot| store.snapshot_path(snapshot))
            .collect();
        lowers.reverse();
        lowers
    }

    /// Its merged tree.
    pub(crate) fn view(&self, store: &Store) -> View {
        View::new(self.lowers(store))
    }
}

/// A layer of a `COPY` that may be put on other roots too.
#[derive(Clone, Debug)]
pub(crate) struct StoredLayer {
    pub(crate) layer: Layer,
    /// See [`CopyLayer::masks`].
    pub(crate) masks: Vec<TreePath>,
}

impl From<&CopyLayer> for StoredLayer {
    fn from(made: &CopyLayer) -> StoredLayer {
        StoredLayer {
            layer: made.layer.clone(),
            masks: made.masks.clone(),
        }
    }
}

pub(crate) mod key_as_text {
    use std::borrow::Cow;

    use howdah_solver::Key;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(key: &Key, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(key)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        Cow::<str>::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(content: &str, snapshots: usize) -> RootLayer {
        let snapshots = (0..snapshots).map(|_| SnapshotId::random()).collect();
        RootLayer {
            snapshots,
            content: Key::of(content.as_bytes()),
        }
    }

    #[test]
    fn content_counts_and_identity_does_not() {
        let root = |layers: Vec<RootLayer>| Root { layers, epoch: 0 }.content();
        assert_eq!(
            root(vec![layer("a", 1), layer("b", 2)]),
            root(vec![layer("a", 2), layer("x", 0), layer("b", 1)])
        );
        assert_ne!(
            root(vec![layer("a", 1), layer("b", 1)]),
            root(vec![layer("b", 1), layer("a", 1)])
        );
    }

    #[test]
    fn a_record_reads_back() {
        let root = Root {
            layers: vec![layer("a", 1), layer("b", 0)],
            epoch: 7,
        };
        let text = serde_json::to_string(&root).unwrap();
        assert_eq!(serde_json::from_str::<Root>(&text).unwrap(), root);
    }
}
