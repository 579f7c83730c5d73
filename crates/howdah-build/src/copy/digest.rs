//! The digest of a tree: path, type, mode, owner, link, extended attributes and content. Never times.

use howdah_solver::Key;

use crate::tree::{Entry, Kind};

/// A digest in the making; entries come in a fixed order.
#[derive(Debug, Default)]
pub(crate) struct TreeDigest(blake3::Hasher);

impl TreeDigest {
    /// Adds a text that is no entry.
    pub(crate) fn text(&mut self, text: &[u8]) {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text);
    }

    /// Adds an entry under `path`.
    pub(crate) fn entry(&mut self, path: &[u8], attributes: &Key) {
        self.text(path);
        self.0.update(attributes.as_bytes());
    }

    /// The digest.
    pub(crate) fn finish(&self) -> Key {
        Key::from(*self.0.finalize().as_bytes())
    }
}

/// The digest of one entry without its path. `owner` is left out where a copy does not keep it.
pub(crate) fn attributes(
    kind: &Kind,
    mode: u32,
    owner: Option<(u32, u32)>,
    content: Option<&Key>,
) -> Key {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&mode.to_le_bytes());
    let (uid, gid) = owner.unwrap_or((u32::MAX, u32::MAX));
    hasher.update(&uid.to_le_bytes());
    hasher.update(&gid.to_le_bytes());
    match kind {
        Kind::Directory => hasher.update(b"d"),
        Kind::File => hasher
            .update(b"f")
            .update(content.map_or(&[0; 32], |key| key.as_bytes())),
        Kind::Symlink(target) => hasher.update(b"l").update(target),
        Kind::Special { file_type, device } => hasher
            .update(b"s")
            .update(&file_type.to_le_bytes())
            .update(&device.to_le_bytes()),
    };
    Key::from(*hasher.finalize().as_bytes())
}

/// [`attributes`] of an entry as it is in its tree.
pub(crate) fn entry_attributes(entry: &Entry, with_owner: bool) -> Key {
    let owner = with_owner.then_some((entry.uid, entry.gid));
    attributes(&entry.kind, entry.mode, owner, entry.digest.as_ref())
}
