//! The digest of one file's content.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use howdah_solver::{Key, Recipe};

/// Read in one piece up to here; most files of a source tree are smaller.
const SMALL: u64 = 256 << 10;

/// The digest of a regular file: its bytes, and the extended attributes that a copy keeps.
pub(crate) fn digest_file(path: &Path, size: u64) -> io::Result<Key> {
    let mut file = fs_err::File::open(path)?;
    let bytes = if size <= SMALL {
        let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
        file.read_to_end(&mut content)?;
        Key::of(&content)
    } else {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&mut file)?;
        Key::from(*hasher.finalize().as_bytes())
    };
    let attributes = extended_attributes(path)?;
    if attributes.is_empty() {
        return Ok(bytes);
    }
    let mut recipe = Recipe::new("file", 1);
    recipe.key("content", &bytes);
    for (name, value) in attributes {
        recipe
            .key("name", &Key::of(name.as_bytes()))
            .key("value", &Key::of(&value));
    }
    Ok(recipe.finish().0)
}

/// The extended attributes that belong to a file wherever it is: not the overlay's own, not a label of this host.
pub(crate) fn extended_attributes(path: &Path) -> io::Result<Vec<(OsString, Vec<u8>)>> {
    let names = match xattr::list(path) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut attributes = Vec::new();
    for name in names {
        let kept =
            name.as_bytes().starts_with(b"user.") && !name.as_bytes().starts_with(b"user.overlay.");
        if kept || name == "security.capability" {
            attributes.extend(xattr::get(path, &name)?.map(|value| (name, value)));
        }
    }
    attributes.sort();
    Ok(attributes)
}
