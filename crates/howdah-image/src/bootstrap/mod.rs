//! Images without a registry: Debian by mmdebstrap, and Howdah itself.

mod binary;
mod debian;
mod files;
mod mirrors;
mod release;

use std::io;
use std::path::{Path, PathBuf};

use crate::layer::LayerError;
use crate::layer::transfer::seal_tree;
use crate::{
    ContainerConfig, History, Image, ImageConfig, Reference, RootFs, Staging, Store, StoreError,
};

pub use binary::binary;
pub use debian::{Suite, debian};

/// What Docker's official images set.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// Not a name of a Debian image.
    #[error(
        "`{0}` is no image that can be bootstrapped: debian:<suite>, debian:<suite>-slim and howdah are"
    )]
    UnknownImage(String),
    /// A program or file of another package is needed.
    #[error("`{file}` is not installed; it is in the package {package}")]
    MissingPackage {
        /// What was looked for.
        file: PathBuf,
        /// Where it comes from.
        package: &'static str,
    },
    /// mmdebstrap did not finish.
    #[error("mmdebstrap failed with {status}; it said last:\n{tail}")]
    Mmdebstrap {
        /// How it ended.
        status: std::process::ExitStatus,
        /// Its last lines.
        tail: String,
    },
    /// The suite's `Release` files cannot be had.
    #[error("apt-get update failed with {status}; it said:\n{told}")]
    Apt {
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said on stderr.
        told: String,
    },
    /// An archive that does not say when it was made.
    #[error("the archive's Release files have no date")]
    NoDate,
    /// The kernel refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The tree cannot be unpacked.
    #[error("cannot unpack the root filesystem")]
    Unpack {
        /// Why not.
        source: LayerError,
    },
    /// The store refused.
    #[error("cannot keep the image")]
    Store {
        /// Why not.
        source: StoreError,
    },
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BootstrapError + use<> {
    let path = path.to_owned();
    move |source| BootstrapError::Io {
        action,
        path,
        source,
    }
}

fn store_error(source: StoreError) -> BootstrapError {
    BootstrapError::Store { source }
}

/// Makes an image of one layer, the staged tree, and names it. The same tree gives the same image.
fn keep(
    store: &Store,
    staging: Staging,
    made: Made,
    reference: &Reference,
) -> Result<Image, BootstrapError> {
    let (layer, diff_id) =
        seal_tree(store, staging).map_err(|source| BootstrapError::Unpack { source })?;
    let created = jiff::Timestamp::from_second(made.epoch)
        .map(|time| time.to_string())
        .ok();
    let history = History {
        created: created.clone(),
        created_by: Some(made.by),
        ..History::default()
    };
    let rootfs = RootFs {
        diff_ids: vec![diff_id],
        ..RootFs::default()
    };
    let config = ImageConfig {
        created,
        config: made.config,
        rootfs,
        history: vec![history],
        ..ImageConfig::default()
    };
    let image = store.save_image(config, vec![layer]).map_err(store_error)?;
    store.settle().map_err(store_error)?;
    store.tag(&image.id, reference).map_err(store_error)?;
    Ok(image)
}

/// What is said of an image that was made.
struct Made {
    config: ContainerConfig,
    by: String,
    /// Seconds since 1970.
    epoch: i64,
}
