//! An image's root filesystem, computed from its layers: one line for each file.
//!
//! The rules are those of the OCI image specification, `layer.md`.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::sync::Arc;

use howdah_image::Digest;

/// Longer content is shown by its digest.
const SHOWN_CONTENT: usize = 400;

/// The files of a root filesystem by absolute path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    /// Names of one file share it.
    files: BTreeMap<String, Arc<File>>,
}

#[derive(Debug, PartialEq, Eq)]
struct File {
    kind: Kind,
    mode: u32,
    owner: (u64, u64),
    /// Names and values.
    xattrs: BTreeMap<String, Vec<u8>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Directory,
    File(Vec<u8>),
    Link(String),
    /// `fifo`, `char 1:3`
    Special(String),
}

/// One entry of a layer.
enum Entry {
    Whiteout(String),
    Opaque(String),
    Hardlink(String, String),
    File(String, File),
}

impl Tree {
    /// Puts a layer, a tar archive, over what is there.
    pub(crate) fn apply(&mut self, layer: impl Read) {
        let mut archive = tar::Archive::new(layer);
        let entries: Vec<Entry> = archive
            .entries()
            .unwrap()
            .map(|entry| read(&mut entry.unwrap()))
            .collect();
        // Whiteouts hide what is below the layer, wherever they stand in it.
        for entry in &entries {
            match entry {
                Entry::Whiteout(path) => self.remove(path),
                Entry::Opaque(path) => self.remove_below(path),
                Entry::Hardlink(..) | Entry::File(..) => {}
            }
        }
        for entry in entries {
            match entry {
                Entry::Whiteout(_) | Entry::Opaque(_) => {}
                Entry::Hardlink(path, target) => {
                    let file = self.files.get(&target).unwrap_or_else(|| {
                        panic!("{path} is a link to {target}, which is not there")
                    });
                    let file = Arc::clone(file);
                    self.remove(&path);
                    self.files.insert(path, file);
                }
                Entry::File(path, file) => {
                    if file.kind != Kind::Directory {
                        self.remove(&path);
                    }
                    self.files.insert(path, Arc::new(file));
                }
            }
        }
    }

    /// Whether there is a file of this path.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    fn remove(&mut self, path: &str) {
        self.files.remove(path);
        self.remove_below(path);
    }

    fn remove_below(&mut self, path: &str) {
        let prefix = format!("{}/", path.trim_end_matches('/'));
        self.files
            .retain(|other, _| other == "/" || !other.starts_with(&prefix));
    }

    /// What differs from `base`: a line for each file that is new or changed, and one beginning with `-` for each that
    /// is gone. Content that `known` has a name for is shown by that name.
    pub(crate) fn listing(&self, base: &Tree, known: &HashMap<Digest, &str>) -> Vec<String> {
        let mut names: HashMap<*const File, &str> = HashMap::new();
        let mut lines = Vec::new();
        for (path, file) in &self.files {
            let first = *names.entry(Arc::as_ptr(file)).or_insert(path);
            if base.files.get(path).is_some_and(|old| old == file) {
                continue;
            }
            lines.push(match first {
                first if first == path => file.line(path, known),
                first => format!("{path} = {first}"),
            });
        }
        let gone = base
            .files
            .keys()
            .filter(|path| !self.files.contains_key(*path));
        lines.extend(gone.map(|path| format!("-{path}")));
        lines
    }
}

impl File {
    fn line(&self, path: &str, known: &HashMap<Digest, &str>) -> String {
        let (uid, gid) = self.owner;
        let mut line = match &self.kind {
            // No system looks at a symbolic link's own mode.
            Kind::Link(target) => format!("{path} -> {target} {uid}:{gid}"),
            Kind::Directory if path == "/" => format!("/ {:04o} {uid}:{gid}", self.mode),
            Kind::Directory => format!("{path}/ {:04o} {uid}:{gid}", self.mode),
            Kind::Special(what) => format!("{path} {:04o} {uid}:{gid} {what}", self.mode),
            Kind::File(content) => {
                format!(
                    "{path} {:04o} {uid}:{gid} {}",
                    self.mode,
                    show(content, known)
                )
            }
        };
        for (name, value) in &self.xattrs {
            line = format!("{line} {name}={}", show(value, known));
        }
        line
    }
}

fn show(content: &[u8], known: &HashMap<Digest, &str>) -> String {
    let digest = Digest::of(content);
    match (known.get(&digest), std::str::from_utf8(content)) {
        (Some(name), _) => format!("<{name}>"),
        (None, Ok(text)) if text.len() <= SHOWN_CONTENT => format!("{text:?}"),
        _ => format!("<{} bytes, {}>", content.len(), &digest.hex()[..16]),
    }
}

fn read(entry: &mut tar::Entry<'_, impl Read>) -> Entry {
    let path = absolute(&entry.path_bytes());
    let (parent, name) = path.rsplit_once('/').unwrap();
    if name == ".wh..wh..opq" {
        return Entry::Opaque(parent.to_owned());
    }
    if let Some(name) = name.strip_prefix(".wh.") {
        return Entry::Whiteout(format!("{parent}/{name}"));
    }
    let target = entry
        .link_name_bytes()
        .map(std::borrow::Cow::into_owned)
        .unwrap_or_default();
    let header = entry.header().clone();
    let device = || {
        let number = |number: std::io::Result<Option<u32>>| number.unwrap().unwrap_or_default();
        format!(
            "{}:{}",
            number(header.device_major()),
            number(header.device_minor())
        )
    };
    let kind = match header.entry_type() {
        tar::EntryType::Link => return Entry::Hardlink(path, absolute(&target)),
        tar::EntryType::Directory => Kind::Directory,
        tar::EntryType::Symlink => Kind::Link(String::from_utf8_lossy(&target).into_owned()),
        tar::EntryType::Fifo => Kind::Special("fifo".to_owned()),
        tar::EntryType::Char => Kind::Special(format!("char {}", device())),
        tar::EntryType::Block => Kind::Special(format!("block {}", device())),
        _ => {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            Kind::File(content)
        }
    };
    let xattrs = attributes(entry);
    let mode = header.mode().unwrap() & 0o7777;
    let owner = (header.uid().unwrap(), header.gid().unwrap());
    Entry::File(
        path,
        File {
            kind,
            mode,
            owner,
            xattrs,
        },
    )
}

fn attributes(entry: &mut tar::Entry<'_, impl Read>) -> BTreeMap<String, Vec<u8>> {
    let Some(extensions) = entry.pax_extensions().unwrap() else {
        return BTreeMap::new();
    };
    let pairs = extensions.filter_map(|extension| {
        let extension = extension.unwrap();
        let name = extension.key().unwrap().strip_prefix("SCHILY.xattr.")?;
        Some((name.to_owned(), extension.value_bytes().to_vec()))
    });
    pairs.collect()
}

/// `./a/b/` as `/a/b`.
fn absolute(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    let names: Vec<&str> = path
        .split('/')
        .filter(|name| !name.is_empty() && *name != ".")
        .collect();
    format!("/{}", names.join("/"))
}
