//! What is mounted into a container: volumes, binds, tmpfs, secrets and configs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One entry of `volumes:` or `tmpfs:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceMount {
    /// The absolute path in the container.
    pub target: String,
    /// `read_only:`.
    pub read_only: bool,
    /// What is mounted there.
    pub source: MountSource,
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountSource {
    /// A path of the host.
    Bind {
        /// The absolute path.
        path: PathBuf,
        /// Make a directory there when nothing is (the short syntax always does).
        create: bool,
    },
    /// A named volume.
    Volume {
        /// Its key under the top-level `volumes:`.
        key: String,
        /// `nocopy:`: do not fill it from the image.
        no_copy: bool,
        /// `subpath:` inside the volume.
        subpath: Option<String>,
    },
    /// A volume without a name, as old as its container.
    Anonymous {
        /// `nocopy:`: do not fill it from the image.
        no_copy: bool,
    },
    /// Memory.
    Tmpfs {
        /// `size:`, bytes.
        size: Option<u64>,
        /// `mode:`.
        mode: Option<u32>,
    },
}

/// A secret or config as a service uses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMount {
    /// The key under the top-level `secrets:` or `configs:`.
    pub source: String,
    /// The absolute path in the container.
    pub target: String,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Permissions.
    pub mode: Option<u32>,
}
