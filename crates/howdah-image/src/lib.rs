//! Digests, content store, overlay snapshots, layers and the registry client.
//!
//! Everything lives below one root directory (see [`Store`]): immutable blobs, unpacked snapshots that serve as overlay
//! lower directories, and one `SQLite` database. Nothing here prints, and nothing needs a daemon.

pub mod archive;
pub mod bootstrap;
mod config;
mod digest;
pub mod export;
mod image;
pub mod layer;
mod manifest;
pub mod namespace;
mod platform;
mod reference;
pub mod registry;
mod store;

pub use config::{ContainerConfig, Healthcheck, History, ImageConfig, RootFs, host_architecture};
pub use digest::{Digest, DigestReader, DigestWriter, ParseDigestError};
pub use image::{Image, ImageId, ImageSummary, Layer, ParseSnapshotIdError, SnapshotId};
pub use manifest::{Descriptor, Index, Manifest, OCI_INDEX, OCI_MANIFEST, REF_NAME};
pub use platform::{ParsePlatformError, Platform};
pub use reference::{ParseReferenceError, Reference};
pub use registry::{Notice, Registry, RegistryError, RegistryOptions, Transfer, TransferState};
pub use store::{
    BlobWriter, Compression, Database, LayerBlob, Pin, Room, SqliteError, Staging, Store,
    StoreError, Swept,
};
