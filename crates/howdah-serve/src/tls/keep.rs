//! Files with secrets: they appear whole, and for this user only.

use std::io::{self, Write as _};
use std::path::Path;

use fs_err::os::unix::fs::OpenOptionsExt as _;

/// Writes a file by another one that takes its place, so that a reader finds the old content or the new.
pub(super) fn keep(directory: &Path, name: &str, content: &str) -> io::Result<()> {
    let staged = directory.join(format!("{name}.{}", std::process::id()));
    let mut file = fs_err::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&staged)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    fs_err::rename(&staged, directory.join(name))
}
