//! The walk: parallel, pruned by `.dockerignore`, and reading only what changed.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use howdah_dockerfile::ignore::{Directory, Ignore};
use rayon::prelude::*;
use rustix::fs::FileType;

use super::content::digest_file;
use super::directory::OpenDirectory;
use super::stat::{Recorder, Stat, StatCache};
use crate::tree::{self, Entry, Inode, Kind, Tree, TreePath};
use crate::view;

/// From this many names on, a directory is worth the work of several processors.
const MANY: usize = 32;

/// A context as it was at one moment.
#[derive(Debug)]
pub(crate) struct Scan {
    root: Arc<Path>,
    /// In the order of [`tree::compare`]; every regular file has its digest. The root itself comes first.
    entries: Vec<Entry>,
    /// The topmost paths that are left out.
    excluded: Vec<TreePath>,
}

/// What the walk finds at one path. The parts of a large context are nested and not joined on the way up, so that each
/// entry is moved once.
enum Node {
    Kept {
        entry: Entry,
        stat: Stat,
        /// Of a directory.
        inside: Vec<Node>,
    },
    Excluded(TreePath),
}

/// A whole walk: `stats` has one for each of `entries`.
#[derive(Default)]
struct Found {
    entries: Vec<Entry>,
    stats: Vec<Stat>,
    excluded: Vec<TreePath>,
}

impl Found {
    fn add(&mut self, node: Node) {
        match node {
            Node::Kept {
                entry,
                stat,
                inside,
            } => {
                self.entries.push(entry);
                self.stats.push(stat);
                for node in inside {
                    self.add(node);
                }
            }
            Node::Excluded(path) => self.excluded.push(path),
        }
    }
}

impl Scan {
    /// Walks `root` and reads the files that `known` does not have. The second value is the cache to keep, if it
    /// differs from `known`.
    pub(crate) fn new(
        root: &Path,
        ignore: &Ignore,
        known: &StatCache,
    ) -> io::Result<(Scan, Option<StatCache>)> {
        let started = SystemTime::now();
        let root: Arc<Path> = root.into();
        let mut found = find(&root, ignore)?;
        let is_file = |entry: &Entry| entry.kind == Kind::File;
        let mut cursor = known.cursor();
        let mut files = 0;
        let mut changed = Vec::new();
        for (entry, stat) in found.entries.iter_mut().zip(&found.stats) {
            if is_file(entry) {
                files += 1;
                entry.digest = cursor.find(&entry.path, stat);
                if entry.digest.is_none() {
                    changed.push(entry);
                }
            }
        }
        changed.par_iter_mut().try_for_each(|entry| {
            entry.digest = Some(digest_file(&entry.real(), entry.size)?);
            Ok::<(), io::Error>(())
        })?;
        // Files that are all known, and as many as are known, are the known ones.
        let is_known = changed.is_empty() && files == known.len();
        let cache = (!is_known).then(|| cache(&found, started));
        Ok((
            Scan {
                root,
                entries: found.entries,
                excluded: found.excluded,
            },
            cache,
        ))
    }

    /// Everything in a directory of our own, without reading any file.
    pub(crate) fn list(root: &Path) -> io::Result<Vec<Entry>> {
        Ok(find(&root.into(), &Ignore::default())?.entries)
    }

    /// The directory.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The topmost paths that `.dockerignore` leaves out.
    pub(crate) fn excluded(&self) -> &[TreePath] {
        &self.excluded
    }

    /// Whether a path that is not here is one that was left out.
    pub(crate) fn ignores(&self, path: &[u8]) -> bool {
        let path = tree::clean(path);
        let holds = |top: &TreePath| {
            path.strip_prefix(top.as_slice())
                .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        };
        self.excluded.iter().any(holds)
    }

    fn position(&self, path: &[u8]) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|entry| tree::compare(&entry.path, path))
    }

    fn slice_below(&self, directory: &[u8]) -> &[Entry] {
        let Ok(start) = self.position(directory) else {
            return &[];
        };
        let rest = &self.entries[start + 1..];
        let is_below = |entry: &Entry| {
            directory.is_empty()
                || entry
                    .path
                    .strip_prefix(directory)
                    .is_some_and(|rest| rest.starts_with(b"/"))
        };
        &rest[..rest.partition_point(is_below)]
    }
}

impl Tree for Scan {
    fn entry(&self, path: &[u8]) -> io::Result<Option<Entry>> {
        Ok(self
            .position(path)
            .ok()
            .map(|index| self.entries[index].clone()))
    }

    fn names(&self, directory: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let names = self.slice_below(directory).iter().filter_map(|entry| {
            let (parent, name) = tree::split(&entry.path)?;
            (parent == directory).then(|| name.to_vec())
        });
        Ok(names.collect())
    }

    fn below(&self, directory: &[u8]) -> io::Result<Vec<Entry>> {
        Ok(self.slice_below(directory).to_vec())
    }

    fn is_context(&self) -> bool {
        true
    }
}

fn cache(found: &Found, read: SystemTime) -> StatCache {
    let mut cache = Recorder::default();
    for (entry, stat) in found.entries.iter().zip(&found.stats) {
        if let Some(digest) = entry.digest {
            cache.remember(&entry.path, *stat, digest, read);
        }
    }
    cache.finish()
}

/// The root and everything below it.
fn find(root: &Arc<Path>, ignore: &Ignore) -> io::Result<Found> {
    let directory = OpenDirectory::root(root)?;
    let inode = directory.inode()?;
    let top = Node::Kept {
        entry: view::entry(TreePath::new(), Arc::clone(root), &inode)?,
        stat: Stat::new(&inode),
        inside: Walk { root, ignore }.directory(&[], &directory, &ignore.root())?,
    };
    let mut found = Found::default();
    found.add(top);
    Ok(found)
}

struct Walk<'a> {
    root: &'a Arc<Path>,
    ignore: &'a Ignore,
}

impl Walk<'_> {
    /// What is in one directory, in order; subdirectories in parallel.
    fn directory(
        &self,
        path: &[u8],
        opened: &OpenDirectory,
        judged: &Directory,
    ) -> io::Result<Vec<Node>> {
        let mut names = opened.names()?;
        names.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        let node = |(name, file_type): (Vec<u8>, FileType)| {
            let child = Child {
                path: tree::join(path, &name),
                name: &name,
                file_type,
                parent: opened,
            };
            self.child(child, judged).transpose()
        };
        if names.len() < MANY {
            return names.into_iter().filter_map(node).collect();
        }
        let names = names.into_par_iter().with_min_len(MANY / 2);
        names.filter_map(node).collect()
    }

    /// One path and, of a directory, everything below it; nothing of what cannot be copied.
    fn child(&self, child: Child<'_>, judged: &Directory) -> io::Result<Option<Node>> {
        let Child { path, name, .. } = child;
        // A socket is the other end of a program that runs now.
        if child.file_type == FileType::Socket {
            return Ok(None);
        }
        if child.file_type != FileType::Directory {
            if self.ignore.file(&String::from_utf8_lossy(&path), judged) {
                return Ok(Some(Node::Excluded(path)));
            }
            let Some(inode) = child.parent.inode_of(name)? else {
                return Ok(None);
            };
            return self.kept(path, &inode, Vec::new()).map(Some);
        }
        let verdict = self
            .ignore
            .directory(&String::from_utf8_lossy(&path), judged);
        if verdict.prune {
            return Ok(Some(Node::Excluded(path)));
        }
        let Some(directory) = child.parent.open(name)? else {
            return Ok(None);
        };
        let inside = self.directory(&path, &directory, &verdict.directory)?;
        // A directory is there as long as something in it is.
        let is_kept = |node: &Node| matches!(node, Node::Kept { .. });
        if verdict.ignored && !inside.iter().any(is_kept) {
            return Ok(Some(Node::Excluded(path)));
        }
        self.kept(path, &directory.inode()?, inside).map(Some)
    }

    fn kept(&self, path: TreePath, inode: &Inode, inside: Vec<Node>) -> io::Result<Node> {
        Ok(Node::Kept {
            entry: view::entry(path, Arc::clone(self.root), inode)?,
            stat: Stat::new(inode),
            inside,
        })
    }
}

/// One name of a directory that is being walked.
struct Child<'a> {
    path: TreePath,
    name: &'a [u8],
    file_type: FileType,
    parent: &'a OpenDirectory,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignore(text: &str) -> Ignore {
        Ignore::parse(text).unwrap()
    }

    fn context() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in [
            ("app/a.php", "a"),
            ("app/sub/b.php", "b"),
            ("app.php", "c"),
            ("node_modules/x/y", "d"),
        ] {
            let path = directory.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, content).unwrap();
        }
        std::os::unix::fs::symlink("app.php", directory.path().join("link")).unwrap();
        directory
    }

    fn paths(scan: &Scan) -> Vec<String> {
        scan.entries
            .iter()
            .map(|entry| String::from_utf8_lossy(&entry.path).into_owned())
            .collect()
    }

    /// Puts the times of all files an hour back, so that nothing is racy.
    fn age(directory: &Path) {
        let (scan, _) = Scan::new(directory, &ignore(""), &StatCache::default()).unwrap();
        let hour_ago = SystemTime::now() - std::time::Duration::from_hours(1);
        for entry in scan.entries.iter().filter(|entry| entry.kind == Kind::File) {
            let file = fs_err::File::options()
                .write(true)
                .open(entry.real())
                .unwrap();
            file.set_modified(hour_ago).unwrap();
        }
    }

    #[test]
    fn walks_in_order_and_prunes() {
        let directory = context();
        let (scan, _) = Scan::new(
            directory.path(),
            &ignore("node_modules"),
            &StatCache::default(),
        )
        .unwrap();
        assert_eq!(
            paths(&scan),
            [
                "",
                "app",
                "app/a.php",
                "app/sub",
                "app/sub/b.php",
                "app.php",
                "link"
            ]
        );
        assert_eq!(scan.excluded(), [b"node_modules"]);
        assert_eq!(scan.names(b"app").unwrap(), [&b"a.php"[..], b"sub"]);
        assert_eq!(scan.below(b"app").unwrap().len(), 3);
        assert_eq!(
            scan.entry(b"link").unwrap().unwrap().kind,
            Kind::Symlink(b"app.php".to_vec())
        );
        assert!(scan.entry(b"none").unwrap().is_none());
    }

    #[test]
    fn a_dropped_directory_stays_for_what_is_kept_in_it() {
        let directory = context();
        let (scan, _) = Scan::new(
            directory.path(),
            &ignore("*\n!app/sub/b.php"),
            &StatCache::default(),
        )
        .unwrap();
        assert_eq!(paths(&scan), ["", "app", "app/sub", "app/sub/b.php"]);
    }

    #[test]
    fn reads_only_what_changed() {
        let directory = context();
        age(directory.path());
        // The change time cannot be put back, so the first cache may be empty; wait for the clock, not for luck.
        let scan = |known: &StatCache| Scan::new(directory.path(), &ignore(""), known).unwrap();
        let (mut known, started) = (StatCache::default(), SystemTime::now());
        while known.len() < 4 {
            assert!(started.elapsed().unwrap().as_secs() < 30);
            known = scan(&StatCache::default()).1.unwrap();
        }
        let (again, unchanged) = scan(&known);
        // A scan that reads a file has a new cache.
        assert_eq!(unchanged, None);
        fs_err::write(directory.path().join("app/a.php"), "changed").unwrap();
        let (third, cache) = scan(&known);
        assert_ne!(
            third.entry(b"app/a.php").unwrap().unwrap().digest,
            again.entry(b"app/a.php").unwrap().unwrap().digest
        );
        // Just written, so not trusted yet.
        assert_eq!(cache.unwrap().len(), 3);
        fs_err::remove_file(directory.path().join("app.php")).unwrap();
        assert!(scan(&known).1.is_some());
    }
}
