//! The build context: a directory of the user, walked once and read only where it changed.

mod content;
mod directory;
mod known;
mod scan;
mod stat;
mod walk;

pub(crate) use content::{digest_file, extended_attributes};
pub(crate) use known::StatCache;
pub(crate) use scan::Scan;
