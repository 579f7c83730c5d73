//! The build context: a directory of the user, walked once and read only where it changed.

mod content;
mod directory;
mod scan;
mod stat;

pub(crate) use content::{digest_file, extended_attributes};
pub(crate) use scan::Scan;
pub(crate) use stat::StatCache;
