//! What is said of images that leave: where they come from, and what is in them.

mod apk;
mod dpkg;
mod npm;
mod packages;
mod php;
mod provenance;
mod spdx;

pub use packages::sbom;
pub use provenance::{Detail, ProvenanceOptions, provenance};
