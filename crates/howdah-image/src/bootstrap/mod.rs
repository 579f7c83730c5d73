//! Images without a registry: Debian by mmdebstrap, and Howdah itself.

use std::path::Path;

use crate::{Image, Store, StoreError};

/// An image that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The store refused.
    #[error("cannot keep the image")]
    Store {
        /// Why not.
        source: StoreError,
    },
}

/// Makes `debian:<suite>-slim` from the machine's Debian mirror.
pub fn debian(store: &Store, tag: &str, progress: &dyn Fn(&str)) -> Result<Image, BootstrapError> {
    let _ = (store, tag, progress);
    todo!()
}

/// Makes `howdah:latest`: an otherwise empty image with `executable` at `/usr/local/bin/howdah`.
pub fn binary(store: &Store, executable: &Path) -> Result<Image, BootstrapError> {
    let _ = (store, executable);
    todo!()
}
