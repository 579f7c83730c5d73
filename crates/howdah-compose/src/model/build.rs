//! The `build:` section: what `howdah build` needs to make a service's image.

use std::collections::BTreeMap;
use std::path::PathBuf;

use howdah_image::Platform;
use serde::{Deserialize, Serialize};

/// The resolved `build:` of a service.
///
/// See <https://github.com/compose-spec/compose-spec/blob/main/build.md>.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BuildSection {
    /// The context: an absolute directory, or a remote address as written.
    pub context: BuildContext,
    /// `dockerfile:`; a relative path is resolved against the context. None = `Dockerfile`.
    pub dockerfile: Option<PathBuf>,
    /// `dockerfile_inline:`.
    pub dockerfile_inline: Option<String>,
    /// `target:` stage.
    pub target: Option<String>,
    /// `args:`; a name without a value takes it from the environment, already looked up here.
    pub args: BTreeMap<String, Option<String>>,
    /// `labels:` put on the image.
    pub labels: BTreeMap<String, String>,
    /// `secrets:` handed to RUN, by the id the Dockerfile uses.
    pub secrets: BTreeMap<String, BuildSecret>,
    /// `ssh:` agents or keys.
    pub ssh: Vec<String>,
    /// `cache_from:`.
    pub cache_from: Vec<String>,
    /// `cache_to:`.
    pub cache_to: Vec<String>,
    /// `no_cache:`.
    pub no_cache: bool,
    /// `no_cache_filter:` stages.
    #[serde(default)]
    pub no_cache_filter: Vec<String>,
    /// `pull:`.
    pub pull: bool,
    /// `network:` of RUN.
    pub network: Option<String>,
    /// `additional_contexts:` by name.
    pub additional_contexts: BTreeMap<String, String>,
    /// `extra_hosts:` of RUN.
    pub extra_hosts: BTreeMap<String, String>,
    /// `shm_size:` of RUN, bytes.
    pub shm_size: Option<u64>,
    /// `ulimits:` of RUN, by name: soft and hard; -1 is no limit.
    #[serde(default)]
    pub ulimits: BTreeMap<String, (i64, i64)>,
    /// `entitlements:` that steps may have; `privileged: true` is `security.insecure`.
    #[serde(default)]
    pub entitlements: Vec<String>,
    /// `platforms:`.
    pub platforms: Vec<Platform>,
    /// `tags:` beside the service's image name.
    pub tags: Vec<String>,
}

/// Where a build's files come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildContext {
    /// An absolute directory of this machine.
    Directory(PathBuf),
    /// A Git or HTTP address, as written.
    Remote(String),
}

impl Default for BuildContext {
    fn default() -> Self {
        Self::Directory(PathBuf::new())
    }
}

/// Where a build secret's value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildSecret {
    /// A file of the host.
    File(PathBuf),
    /// An environment variable, by name; its value when it is set.
    Environment {
        /// The variable's name.
        variable: String,
        /// Its value; none when it is not set.
        value: Option<String>,
    },
}
