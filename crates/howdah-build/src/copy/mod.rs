//! `COPY` and `ADD`: sources are selected from a tree, placed by a pure plan, and written as a delta over what the same
//! step wrote before.
//!
//! The rules are those of BuildKit's file operations (moby/buildkit `solver/llbsolver/file/backend.go`, tonistiigi/fsutil
//! `copy/copy.go`); "fsutil" below means the latter.

mod digest;
mod error;
mod layer;
mod manifest;
mod mode;
mod owner;
mod parents;
mod plan;
mod select;
#[cfg(test)]
mod tests;
mod unpack;
mod write;

pub(crate) use digest::{TreeDigest, entry_attributes};
pub use error::CopyError;
pub(crate) use layer::{CopyLayer, Previous, make_layer};
pub(crate) use manifest::Manifest;
pub(crate) use mode::Chmod;
pub(crate) use owner::{Owner, resolve_owner};
pub(crate) use plan::{Content, Destination, Placed, Plan, Source};
pub(crate) use select::{Pattern, Selected, Selection, select};
pub(crate) use unpack::{is_archive, open_archive, unpack_archives};
pub(crate) use write::{Piece, write_tree};
