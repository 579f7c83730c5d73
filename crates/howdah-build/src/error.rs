//! Why a step or a whole build failed.

use howdah_image::StoreError;

use crate::copy::CopyError;

/// Why one step failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// Files could not be copied.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The build was stopped.
    #[error("cancelled")]
    Cancelled,
}
