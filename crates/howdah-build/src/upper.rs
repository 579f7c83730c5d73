//! What a container wrote: the upper directory of its overlay, looked at once.

use std::io;
use std::path::Path;

use howdah_solver::Key;
use rayon::prelude::*;

use crate::context::{Scan, digest_file};
use crate::copy::{TreeDigest, entry_attributes};
use crate::tree::{self, Kind};
use crate::view::is_opaque;

/// More content than this is not read just to find out whether it is what it was before.
const CONTENT_LIMIT: u64 = 256 << 20;

/// What was found in an upper directory.
#[derive(Debug)]
pub(crate) struct Upper {
    /// Files and directories, whiteouts included.
    pub(crate) entries: usize,
    /// Sum of the files' sizes.
    pub(crate) bytes: u64,
    /// The digest of everything; `None` if it is too much.
    pub(crate) content: Option<Key>,
}

/// Walks an upper directory and takes its digest: path, type, mode, owner, link, content, and whether a directory is
/// opaque.
pub(crate) fn look(root: &Path) -> io::Result<Upper> {
    let mut entries = Scan::list(root)?;
    // The root itself is no change.
    entries.retain(|entry| !entry.path.is_empty());
    let files = entries.iter().filter(|entry| entry.kind == Kind::File);
    let bytes = files.map(|entry| entry.size).sum();
    if bytes > CONTENT_LIMIT {
        return Ok(Upper {
            entries: entries.len(),
            bytes,
            content: None,
        });
    }
    entries
        .par_iter_mut()
        .filter(|entry| entry.kind == Kind::File)
        .try_for_each(|entry| {
            entry.digest = Some(digest_file(&entry.real(), entry.size)?);
            Ok::<(), io::Error>(())
        })?;
    let mut digest = TreeDigest::default();
    for entry in &entries {
        digest.entry(&entry.path, &entry_attributes(entry, true));
        if entry.is_directory() && is_opaque(&root.join(tree::as_path(&entry.path))) {
            digest.text(b"opaque");
        }
    }
    Ok(Upper {
        entries: entries.len(),
        bytes,
        content: Some(digest.finish()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_do_not_count_and_the_rest_does() {
        let make = |content: &str| {
            let directory = tempfile::tempdir().unwrap();
            fs_err::create_dir(directory.path().join("etc")).unwrap();
            fs_err::write(directory.path().join("etc/x"), content).unwrap();
            directory
        };
        let (first, second, third) = (make("1"), make("1"), make("2"));
        let file = fs_err::File::options()
            .write(true)
            .open(first.path().join("etc/x"))
            .unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
        let content = |directory: &tempfile::TempDir| look(directory.path()).unwrap().content;
        assert_eq!(content(&first), content(&second));
        assert_ne!(content(&first), content(&third));
        xattr::set(first.path().join("etc"), "trusted.overlay.opaque", b"y").unwrap();
        assert_ne!(content(&first), content(&second));
        let found = look(third.path()).unwrap();
        assert_eq!((found.entries, found.bytes), (2, 1));
    }
}
