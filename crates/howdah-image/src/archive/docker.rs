//! The documents of a Docker archive (moby's `image/tarexport`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Reference;

/// One image in `manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ManifestEntry {
    pub(super) config: String,
    #[serde(default)]
    pub(super) repo_tags: Option<Vec<String>>,
    #[serde(default)]
    pub(super) layers: Option<Vec<String>>,
}

/// `repositories`: repository, then tag, then the topmost layer; only programs older than 2016 read it.
pub(super) type Repositories = BTreeMap<String, BTreeMap<String, String>>;

/// Adds the names of one image.
pub(super) fn add_to(repositories: &mut Repositories, references: &[Reference], top_layer: &str) {
    for reference in references {
        if let Some(tag) = reference.tag() {
            let tags = repositories.entry(reference.familiar_name()).or_default();
            tags.insert(tag.to_owned(), top_layer.to_owned());
        }
    }
}
