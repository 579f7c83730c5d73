//! An image's merged root filesystem as an ordinary directory.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use howdah_image::{Image, Store, namespace};

use crate::copy::{CopyError, Owner, Piece, Placed, write_tree};
use crate::tree::{self, Entry, Kind, Tree, TreePath};
use crate::view::View;

/// A file that several of these images have: in one directory, it could be only one's.
pub fn common_file(store: &Store, images: &[&Image]) -> Result<Option<String>, CopyError> {
    let mut known = HashSet::new();
    for image in images {
        let view = View::new(image.lowers(store));
        let entries = view.below(b"");
        for entry in entries.map_err(CopyError::io("read the image's files"))? {
            if entry.kind != Kind::Directory && !known.insert(entry.path.clone()) {
                return Ok(Some(tree::display(&entry.path)));
            }
        }
    }
    Ok(None)
}

/// Writes the root filesystem of `image` into the directory `into`. Directories that are there are kept, files are
/// replaced. An ordinary user gets all of them, since it could neither read nor remove those of other owners.
pub fn export_tree(store: &Store, image: &Image, into: &Path) -> Result<(), CopyError> {
    let view = View::new(image.lowers(store));
    let entries = view
        .below(b"")
        .map_err(CopyError::io("read the image's files"))?;
    for entry in entries.iter().filter(|entry| !entry.is_directory()) {
        let target = into.join(tree::as_path(&entry.path));
        match fs_err::remove_file(&target) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(CopyError::io(format!("replace `{}`", target.display()))(
                    error,
                ));
            }
        }
    }
    let entries = entries.iter().map(|entry| (&entry.path, entry));
    write_entries(entries, !namespace::is_of_user(), into)
}

/// Writes entries under new paths into the directory `into`. If owners are not kept, everything is root's.
pub(crate) fn write_entries<'a>(
    entries: impl Iterator<Item = (&'a TreePath, &'a Entry)>,
    keep_owners: bool,
    into: &Path,
) -> Result<(), CopyError> {
    let placed: Vec<(&TreePath, Placed)> = entries
        .map(|(path, entry)| {
            let mut placed = Placed::of(entry);
            if !keep_owners {
                placed.owner = Owner { uid: 0, gid: 0 };
            }
            (path, placed)
        })
        .collect();
    let pieces: Vec<Piece<'_>> = placed
        .iter()
        .map(|(path, placed)| Piece {
            path,
            placed,
            link: None,
        })
        .collect();
    write_tree(into, &pieces, &AtomicBool::new(false)).map(drop)
}
