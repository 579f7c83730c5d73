//! The walk: parallel, pruned by `.dockerignore`, and opening only the directories that changed.

use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use howdah_dockerfile::ignore::{Directory, Ignore};
use rayon::prelude::*;
use rustix::fs::FileType;

use super::directory::{Listed, Top};
use super::known::{self, Child, Known, Recorder, StatCache};
use super::stat::Stat;
use crate::tree::{self, Entry, Inode, Kind, TreePath};
use crate::view;

/// From this many names on, a directory is worth the work of several processors.
const MANY: usize = 32;

/// What the walk finds at one path. The parts of a large context are nested and not joined on the way up, so that each
/// entry is moved once.
pub(super) enum Node {
    Kept {
        entry: Entry,
        stat: Stat,
        /// Of a directory.
        inside: Vec<Node>,
    },
    Excluded {
        path: TreePath,
        file_type: FileType,
        /// Of a directory that was read because something in it could have been kept.
        read: Option<(Stat, Vec<Node>)>,
    },
}

impl Node {
    fn is_kept(&self) -> bool {
        matches!(self, Node::Kept { .. })
    }

    /// Adds the files whose content is not known to `unread`.
    pub(super) fn collect_unread<'a>(&'a mut self, unread: &mut Vec<&'a mut Entry>) {
        let Node::Kept { entry, inside, .. } = self else {
            return;
        };
        if entry.kind == Kind::File && entry.digest.is_none() {
            unread.push(entry);
        }
        for node in inside {
            node.collect_unread(unread);
        }
    }

    /// How many entries it holds.
    pub(super) fn len(&self) -> usize {
        match self {
            Node::Kept { inside, .. } => 1 + inside.iter().map(Node::len).sum::<usize>(),
            Node::Excluded { .. } => 0,
        }
    }

    /// Takes everything apart, in the order of [`tree::compare`].
    pub(super) fn unfold(self, entries: &mut Vec<Entry>, excluded: &mut Vec<TreePath>) {
        match self {
            Node::Kept { entry, inside, .. } => {
                entries.push(entry);
                for node in inside {
                    node.unfold(entries, excluded);
                }
            }
            Node::Excluded { path, .. } => excluded.push(path),
        }
    }
}

/// A walk below one directory.
pub(super) struct Walk<'a> {
    root: Arc<Path>,
    top: Top,
    ignore: &'a Ignore,
    began: SystemTime,
    /// The filesystem on which a directory's times tell whether its names are the same, if they do so at all.
    device: Option<u64>,
    /// The names of some directory are not as they were known.
    news: AtomicBool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(root: &Path, ignore: &'a Ignore, began: SystemTime) -> io::Result<Walk<'a>> {
        let top = Top::open(root)?;
        let device = top.keeps_times().then(|| top.inode()).transpose()?;
        Ok(Walk {
            root: root.into(),
            top,
            ignore,
            began,
            device: device.map(|inode| inode.device),
            news: AtomicBool::new(false),
        })
    }

    /// The root and everything below it.
    pub(super) fn everything(&self, known: Option<known::Directory<'_>>) -> io::Result<Node> {
        let inode = self.top.inode()?;
        let inside = self.directory(&[], &inode, known, &self.ignore.root())?;
        self.kept(TreePath::new(), &inode, inside.unwrap_or_default())
    }

    /// Whether the names of some directory are not as they were known.
    pub(super) fn has_news(&self) -> bool {
        self.news.load(Ordering::Relaxed)
    }

    /// What is in one directory, in order; subdirectories in parallel. None if it is gone.
    fn directory(
        &self,
        path: &[u8],
        inode: &Inode,
        known: Option<known::Directory<'_>>,
        judged: &Directory,
    ) -> io::Result<Option<Vec<Node>>> {
        let Some(names) = self.names(path, inode, known)? else {
            return Ok(None);
        };
        let node = |name: Child<'_>| {
            let child = tree::join(path, &name.name);
            self.child(child, &name, judged).transpose()
        };
        if names.len() < MANY {
            let mut nodes = Vec::with_capacity(names.len());
            for name in names {
                nodes.extend(node(name).transpose()?);
            }
            return Ok(Some(nodes));
        }
        let names = names.into_par_iter().with_min_len(MANY / 2);
        let nodes: io::Result<Vec<Node>> = names.filter_map(node).collect();
        nodes.map(Some)
    }

    /// The names in one directory, in order: those that are known, if it has not changed since. None if it is gone.
    fn names<'k>(
        &self,
        path: &[u8],
        inode: &Inode,
        known: Option<known::Directory<'k>>,
    ) -> io::Result<Option<Vec<Child<'k>>>> {
        let stat = self.telling(Stat::new(inode));
        let known_names = known.and_then(|known| known.names());
        match (&known_names, known.and_then(|known| known.stat)) {
            (Some(_), Some(known)) if stat == Some(known) => return Ok(known_names),
            _ => {}
        }
        let Some(mut found) = self.top.names(path)? else {
            return Ok(None);
        };
        found.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        let is_settled = stat.is_some_and(|stat| !stat.is_racy(self.began));
        let known_names = known_names.unwrap_or_default();
        let same = |(found, known): (&Listed, &Child<'_>)| {
            found.0 == *known.name && found.1 == known.file_type
        };
        let is_same = found.len() == known_names.len() && found.iter().zip(&known_names).all(same);
        if is_settled || !is_same {
            self.news.store(true, Ordering::Relaxed);
        }
        Ok(Some(with_known(found, known_names)))
    }

    /// The stat of a directory if it tells of changes in it.
    fn telling(&self, stat: Stat) -> Option<Stat> {
        (self.device == Some(stat.device)).then_some(stat)
    }

    /// One path and, of a directory, everything below it; nothing of what cannot be copied.
    fn child(
        &self,
        path: TreePath,
        name: &Child<'_>,
        judged: &Directory,
    ) -> io::Result<Option<Node>> {
        let file_type = name.file_type;
        // A socket is the other end of a program that runs now.
        if file_type == FileType::Socket {
            return Ok(None);
        }
        if file_type != FileType::Directory {
            if self.ignore.file(&String::from_utf8_lossy(&path), judged) {
                return Ok(Some(Node::Excluded {
                    path,
                    file_type,
                    read: None,
                }));
            }
            let Some(inode) = self.top.inode_of(&path)? else {
                return Ok(None);
            };
            let mut node = self.kept(path, &inode, Vec::new())?;
            if let (
                Node::Kept { entry, stat, .. },
                Known::File {
                    stat: known,
                    digest,
                },
            ) = (&mut node, &name.known)
                && stat == known
            {
                entry.digest = Some(*digest);
            }
            return Ok(Some(node));
        }
        let verdict = self
            .ignore
            .directory(&String::from_utf8_lossy(&path), judged);
        if verdict.prune {
            return Ok(Some(Node::Excluded {
                path,
                file_type,
                read: None,
            }));
        }
        let known = match name.known {
            Known::Directory(known) => Some(known),
            _ => None,
        };
        let Some(inode) = self.top.inode_of(&path)? else {
            return Ok(None);
        };
        let Some(inside) = self.directory(&path, &inode, known, &verdict.directory)? else {
            return Ok(None);
        };
        // A directory is there as long as something in it is.
        if verdict.ignored && !inside.iter().any(Node::is_kept) {
            return Ok(Some(Node::Excluded {
                path,
                file_type,
                read: Some((Stat::new(&inode), inside)),
            }));
        }
        self.kept(path, &inode, inside).map(Some)
    }

    fn kept(&self, path: TreePath, inode: &Inode, inside: Vec<Node>) -> io::Result<Node> {
        Ok(Node::Kept {
            entry: view::entry(path, Arc::clone(&self.root), inode)?,
            stat: Stat::new(inode),
            inside,
        })
    }

    /// The cache of what was found.
    pub(super) fn record(&self, top: &Node) -> StatCache {
        let mut recorder = Recorder::new(self.began);
        if let Node::Kept { stat, inside, .. } = top {
            self.record_directory(*stat, inside, &mut recorder);
        }
        recorder.finish()
    }

    fn record_directory(&self, stat: Stat, inside: &[Node], recorder: &mut Recorder) {
        recorder.directory(self.telling(stat));
        for node in inside {
            let (path, file_type, read) = match node {
                Node::Kept {
                    entry,
                    stat,
                    inside,
                } if entry.is_directory() => {
                    (&entry.path, FileType::Directory, Some((*stat, inside)))
                }
                Node::Kept { entry, stat, .. } => {
                    let file_type = FileType::from_raw_mode(stat.mode);
                    let read = entry.digest.map(|digest| (*stat, digest));
                    recorder.name(last_name(&entry.path), file_type, read);
                    continue;
                }
                Node::Excluded {
                    path,
                    file_type,
                    read,
                } => {
                    let read = read.as_ref();
                    (path, *file_type, read.map(|(stat, inside)| (*stat, inside)))
                }
            };
            let name = last_name(path);
            match read {
                Some((stat, inside)) => recorder.subdirectory(name, |recorder| {
                    self.record_directory(stat, inside, recorder);
                }),
                None if file_type == FileType::Directory => {
                    recorder.subdirectory(name, |recorder| recorder.directory(None));
                }
                None => recorder.name(name, file_type, None),
            }
        }
    }
}

fn last_name(path: &[u8]) -> &[u8] {
    tree::split(path).map_or(path, |(_, name)| name)
}

/// The names that were found, with what is known of them. Both are in order.
fn with_known(found: Vec<Listed>, known: Vec<Child<'_>>) -> Vec<Child<'_>> {
    let mut known = known.into_iter().peekable();
    let found = found.into_iter().map(|(name, file_type)| {
        while known.next_if(|known| *known.name < *name).is_some() {}
        let same = known.next_if(|known| *known.name == *name && known.file_type == file_type);
        Child {
            name: Cow::Owned(name),
            file_type,
            known: same.map_or(Known::Nothing, |known| known.known),
        }
    });
    found.collect()
}
