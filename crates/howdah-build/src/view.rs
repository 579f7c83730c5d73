//! The merged view of overlay layers, computed here: `COPY` needs no mount, so the builder leaves none behind.
//!
//! The rules are the kernel's (Documentation/filesystems/overlayfs.rst): an upper file hides a lower one, directories
//! merge, a character device 0:0 is a whiteout, and the attribute `opaque` stops the merge.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use howdah_image::namespace::opaque_attribute;
use rustix::fs::FileType;

use crate::tree::{self, Entry, Inode, Kind, Tree, TreePath};

/// The merged tree of snapshots.
#[derive(Clone, Debug)]
pub(crate) struct View {
    roots: Roots,
}

/// The layers that hold a path, highest first. Redirects are off, so a path is the same in every layer.
type Roots = Vec<Arc<Path>>;

/// What one path is.
enum Node {
    /// A directory, merged from these layers.
    Directory(Roots),
    /// Anything else, in this layer.
    File(Arc<Path>, std::fs::Metadata),
}

impl View {
    /// The view of `lowers`, lowest first as overlay mounts take them.
    pub(crate) fn new(lowers: Vec<PathBuf>) -> View {
        View {
            roots: lowers.into_iter().rev().map(Arc::from).collect(),
        }
    }

    /// The content of a regular file, symbolic links followed; `None` if there is none. At most `limit` bytes.
    pub(crate) fn read(&self, path: &[u8], limit: u64) -> io::Result<Option<Vec<u8>>> {
        use std::io::Read as _;
        let path = tree::resolve(self, path)?;
        let Some(entry) = self.entry(&path)?.filter(|entry| entry.kind == Kind::File) else {
            return Ok(None);
        };
        let mut content = Vec::new();
        fs_err::File::open(entry.real())?
            .take(limit)
            .read_to_end(&mut content)?;
        Ok(Some(content))
    }

    fn node(&self, path: &[u8]) -> io::Result<Option<Node>> {
        let mut roots = self.roots.clone();
        let mut reached = TreePath::new();
        let mut names = tree::components(path).peekable();
        while let Some(name) = names.next() {
            reached = tree::join(&reached, name);
            match lookup(&roots, &reached)? {
                Some(Node::Directory(merged)) => roots = merged,
                Some(file) if names.peek().is_none() => return Ok(Some(file)),
                _ => return Ok(None),
            }
        }
        Ok(Some(Node::Directory(roots)))
    }
}

impl Tree for View {
    fn entry(&self, path: &[u8]) -> io::Result<Option<Entry>> {
        match self.node(path)? {
            Some(Node::Directory(merged)) => directory(path, &merged),
            Some(Node::File(origin, metadata)) => {
                entry(path.to_vec(), origin, &Inode::from(&metadata)).map(Some)
            }
            None => Ok(None),
        }
    }

    fn names(&self, directory: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        match self.node(directory)? {
            Some(Node::Directory(merged)) => list(&merged, directory),
            _ => Ok(Vec::new()),
        }
    }

    fn below(&self, directory: &[u8]) -> io::Result<Vec<Entry>> {
        let mut found = Vec::new();
        if let Some(Node::Directory(merged)) = self.node(directory)? {
            walk(&merged, directory, &mut found)?;
        }
        Ok(found)
    }

    fn is_context(&self) -> bool {
        false
    }
}

/// Everything below a merged directory. Sorted names with every directory's tree right behind it are in the order of
/// [`tree::compare`].
fn walk(roots: &Roots, path: &[u8], found: &mut Vec<Entry>) -> io::Result<()> {
    for name in list(roots, path)? {
        let below = tree::join(path, &name);
        match lookup(roots, &below)? {
            Some(Node::Directory(merged)) => {
                found.extend(directory(&below, &merged)?);
                walk(&merged, &below, found)?;
            }
            Some(Node::File(origin, metadata)) => {
                found.push(entry(below, origin, &Inode::from(&metadata))?);
            }
            None => {}
        }
    }
    Ok(())
}

/// One path looked up in the layers in which its parent directory merges.
fn lookup(roots: &Roots, path: &[u8]) -> io::Result<Option<Node>> {
    let mut merged = Roots::new();
    for root in roots {
        let real = root.join(tree::as_path(path));
        let metadata = match fs_err::symlink_metadata(&real) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if !metadata.is_dir() {
            if merged.is_empty() && !is_whiteout(&metadata) {
                return Ok(Some(Node::File(Arc::clone(root), metadata)));
            }
            break;
        }
        merged.push(Arc::clone(root));
        if is_opaque(&real) {
            break;
        }
    }
    Ok((!merged.is_empty()).then_some(Node::Directory(merged)))
}

/// The names in a merged directory, sorted; whiteouts taken away.
fn list(roots: &Roots, directory: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    let mut names: BTreeMap<Vec<u8>, bool> = BTreeMap::new();
    for root in roots {
        for entry in fs_err::read_dir(root.join(tree::as_path(directory)))? {
            let entry = entry?;
            let hidden = entry.file_type()?.is_char_device() && is_whiteout(&entry.metadata()?);
            names.entry(entry.file_name().into_vec()).or_insert(hidden);
        }
    }
    Ok(names
        .into_iter()
        .filter_map(|(name, hidden)| (!hidden).then_some(name))
        .collect())
}

/// Whether this file says that a lower one of its name is gone.
pub(crate) fn is_whiteout(metadata: &std::fs::Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

/// Whether this directory hides the lower ones of its name.
pub(crate) fn is_opaque(directory: &Path) -> bool {
    xattr::get(directory, opaque_attribute()).is_ok_and(|value| value.as_deref() == Some(b"y"))
}

fn directory(path: &[u8], merged: &Roots) -> io::Result<Option<Entry>> {
    // The highest directory's attributes are the merged one's; a view of no layers has an empty root.
    let Some(origin) = merged.first() else {
        return Ok(None);
    };
    let metadata = fs_err::symlink_metadata(origin.join(tree::as_path(path)))?;
    entry(
        TreePath::from(path),
        Arc::clone(origin),
        &Inode::from(&metadata),
    )
    .map(Some)
}

/// The entry of a file whose inode is at hand.
pub(crate) fn entry(path: TreePath, origin: Arc<Path>, inode: &Inode) -> io::Result<Entry> {
    let kind = match FileType::from_raw_mode(inode.mode) {
        FileType::Directory => Kind::Directory,
        FileType::RegularFile => Kind::File,
        FileType::Symlink => Kind::Symlink(
            fs_err::read_link(origin.join(tree::as_path(&path)))?
                .into_os_string()
                .into_vec(),
        ),
        _ => Kind::Special {
            file_type: inode.mode & 0o170_000,
            device: inode.special,
        },
    };
    let (seconds, nanoseconds) = inode.mtime;
    Ok(Entry {
        path,
        kind,
        mode: inode.mode & 0o7777,
        uid: inode.uid,
        gid: inode.gid,
        size: inode.size,
        mtime: (seconds, u32::try_from(nanoseconds).unwrap_or(0)),
        origin,
        digest: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Layers(tempfile::TempDir);

    impl Layers {
        fn new() -> Layers {
            let layers = Layers(tempfile::tempdir().unwrap());
            for name in [
                "low/d/sub",
                "low/gone",
                "low/opaque",
                "high/d",
                "high/opaque",
            ] {
                fs_err::create_dir_all(layers.0.path().join(name)).unwrap();
            }
            for (name, content) in [
                ("low/d/a", "low a"),
                ("low/d/b", "low b"),
                ("low/gone/x", "x"),
                ("low/opaque/old", "old"),
                ("high/d/b", "high b"),
                ("high/opaque/new", "new"),
            ] {
                fs_err::write(layers.0.path().join(name), content).unwrap();
            }
            let high = layers.0.path().join("high");
            rustix::fs::mknodat(
                rustix::fs::CWD,
                high.join("gone"),
                rustix::fs::FileType::CharacterDevice,
                0o600.into(),
                0,
            )
            .unwrap();
            xattr::set(high.join("opaque"), "trusted.overlay.opaque", b"y").unwrap();
            std::os::unix::fs::symlink("/d/sub/../b", high.join("link")).unwrap();
            std::os::unix::fs::symlink("loop", high.join("loop")).unwrap();
            layers
        }

        fn view(&self) -> View {
            View::new(vec![self.0.path().join("low"), self.0.path().join("high")])
        }
    }

    #[test]
    fn merges_as_overlayfs_does() {
        let layers = Layers::new();
        let paths: Vec<String> = layers
            .view()
            .below(b"")
            .unwrap()
            .iter()
            .map(|entry| String::from_utf8_lossy(&entry.path).into_owned())
            .collect();
        assert_eq!(
            paths,
            [
                "d",
                "d/a",
                "d/b",
                "d/sub",
                "link",
                "loop",
                "opaque",
                "opaque/new"
            ]
        );
    }

    #[test]
    fn follows_links_inside_the_root_and_gives_up_on_loops() {
        let layers = Layers::new();
        let view = layers.view();
        assert_eq!(tree::resolve(&view, b"/link").unwrap(), b"d/b");
        assert_eq!(
            view.read(b"link", 100).unwrap().as_deref(),
            Some(&b"high b"[..])
        );
        assert_eq!(
            tree::resolve(&view, b"../../d/none/x").unwrap(),
            b"d/none/x"
        );
        assert!(tree::resolve(&view, b"loop").is_err());
        assert_eq!(view.read(b"gone/x", 100).unwrap(), None);
        assert_eq!(view.read(b"d", 100).unwrap(), None);
    }

    #[test]
    fn nothing_below_nothing() {
        let view = View::new(Vec::new());
        assert!(view.below(b"").unwrap().is_empty());
        assert!(view.entry(b"etc/passwd").unwrap().is_none());
    }
}
