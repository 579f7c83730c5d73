//! Where every file goes: pure decisions over the selected sources and the view of the image.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use howdah_solver::Key;

use super::digest::{TreeDigest, attributes};
use super::{Chmod, CopyError, Owner, Selected};
use crate::tree::{self, Entry, Kind, Tree, TreePath};
use crate::view::View;

/// The mode of a directory that is made because a destination is below it (fsutil `MkdirAll`).
const NEW_DIRECTORY: u32 = 0o755;

/// Where a copy goes and what it looks like there.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    /// Absolute in the image.
    pub(crate) path: String,
    /// Written with a slash at its end: a directory, made when missing.
    pub(crate) into_directory: bool,
    /// `--chown`, resolved.
    pub(crate) owner: Option<Owner>,
    /// `--chmod`
    pub(crate) chmod: Option<Chmod>,
}

/// Something to place.
#[derive(Debug)]
pub(crate) enum Source<'a> {
    /// Files of a tree. They keep the owner they have there (a stage, an image, an archive) or get root.
    Selected {
        selected: &'a Selected,
        keep_owner: bool,
        /// Another time than that of the file, in seconds since 1970.
        modified: Option<i64>,
        /// What an archive had in it: modes are its own, and it replaces what is in its way, as tar(1) does.
        unpacked: bool,
    },
    /// A heredoc.
    Inline { name: &'a str, content: &'a str },
}

/// Where the bytes of a placed file come from.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// It has none of its own: a directory, a link, a device.
    None,
    /// A file of the host, as it was when its digest was taken.
    File {
        path: PathBuf,
        size: u64,
        mtime: (i64, u32),
        /// Whether its extended attributes come along. Those of a build context do not: BuildKit's clients send none.
        attributes: bool,
    },
    /// These bytes.
    Inline(Arc<[u8]>),
}

/// One file of the new layer.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) owner: Owner,
    /// `None`: the time of the build.
    pub(crate) mtime: Option<(i64, u32)>,
    pub(crate) content: Content,
    /// The digest of everything above but the time.
    pub(crate) attributes: Key,
}

impl Placed {
    /// A file of a tree as it is there.
    pub(crate) fn of(entry: &Entry) -> Placed {
        let content = match entry.kind {
            Kind::File => Content::File {
                path: entry.real(),
                size: entry.size,
                mtime: entry.mtime,
                attributes: true,
            },
            _ => Content::None,
        };
        Placed {
            kind: entry.kind.clone(),
            mode: entry.mode,
            owner: Owner {
                uid: entry.uid,
                gid: entry.gid,
            },
            mtime: Some(entry.mtime),
            content,
            attributes: attributes(
                &entry.kind,
                entry.mode,
                Some((entry.uid, entry.gid)),
                entry.digest.as_ref(),
            ),
        }
    }
}

/// The new layer by absolute path; parents come before what is in them.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) placed: BTreeMap<TreePath, Placed>,
}

impl Plan {
    /// Places `sources` in order; a later one replaces files of an earlier one.
    pub(crate) fn new(
        sources: &[Source<'_>],
        destination: &Destination,
        image: &View,
    ) -> Result<Plan, CopyError> {
        let (mut planner, target) = Planner::new(destination, image)?;
        let is_directory = planner
            .in_image(&target)?
            .is_some_and(|entry| entry.is_directory());
        // Wildcards that match nothing make nothing.
        for source in sources {
            planner.begin(source);
            if destination.into_directory {
                planner.make_directory(&target)?;
            }
            match source {
                Source::Inline { name, content } => {
                    let inside = destination.into_directory || is_directory;
                    let path = if inside {
                        tree::join(&target, name.as_bytes())
                    } else {
                        target.clone()
                    };
                    planner.inline(&path, content)?;
                }
                Source::Selected { selected, .. } => {
                    planner.selected(selected, &target, is_directory)?;
                }
            }
        }
        let mut plan = planner.plan;
        for (_, nanoseconds) in plan
            .placed
            .values_mut()
            .filter_map(|placed| placed.mtime.as_mut())
        {
            // Never a whole second: that marks a time that says nothing of the file (howdah_image's PackOptions::epoch),
            // and the mark goes with it when a later step moves it or changes its owner.
            *nanoseconds = (*nanoseconds).max(1);
        }
        Ok(plan)
    }

    /// The destination as a directory, and nothing in it.
    pub(crate) fn directory(destination: &Destination, image: &View) -> Result<Plan, CopyError> {
        let (mut planner, target) = Planner::new(destination, image)?;
        planner.make_directory(&target)?;
        Ok(planner.plan)
    }

    /// The layer's own key: everything in it, and nothing of what is below it but the directories it passes through.
    pub(crate) fn key(&self) -> Key {
        let mut digest = TreeDigest::default();
        digest.text(b"copy-layer 1");
        for (path, placed) in &self.placed {
            digest.entry(path, &placed.attributes);
        }
        digest.finish()
    }
}

struct Planner<'a> {
    plan: Plan,
    destination: &'a Destination,
    image: &'a View,
    keep_owner: bool,
    modified: Option<(i64, u32)>,
    unpacked: bool,
    /// What the image has in the directories that were asked for.
    listed: BTreeMap<TreePath, BTreeSet<Vec<u8>>>,
}

impl<'a> Planner<'a> {
    /// An empty plan, and where the destination really is.
    fn new(
        destination: &'a Destination,
        image: &'a View,
    ) -> Result<(Planner<'a>, TreePath), CopyError> {
        let io = CopyError::io(format!("look up `{}` in the image", destination.path));
        let target = tree::resolve(image, destination.path.as_bytes()).map_err(io)?;
        let planner = Planner {
            plan: Plan::default(),
            destination,
            image,
            keep_owner: false,
            modified: None,
            unpacked: false,
            listed: BTreeMap::new(),
        };
        Ok((planner, target))
    }

    /// Takes over how the files of a source are placed.
    fn begin(&mut self, source: &Source<'_>) {
        let (keep_owner, modified, unpacked) = match source {
            Source::Inline { .. } => (false, None, false),
            Source::Selected {
                keep_owner,
                modified,
                unpacked,
                ..
            } => (*keep_owner, *modified, *unpacked),
        };
        self.keep_owner = keep_owner;
        self.modified = modified.map(|seconds| (seconds, 0));
        self.unpacked = unpacked;
    }

    /// `--chmod`, where it counts.
    fn chmod(&self) -> Option<&'a Chmod> {
        let chmod = self.destination.chmod.as_ref();
        chmod.filter(|_| !self.unpacked)
    }

    fn selected(
        &mut self,
        selected: &Selected,
        target: &[u8],
        target_is_directory: bool,
    ) -> Result<(), CopyError> {
        if selected.top.is_directory() && !selected.whole {
            self.make_directory(target)?;
            return self.below(selected, target);
        }
        let inside = self.destination.into_directory || target_is_directory || selected.whole;
        if selected.whole {
            self.make_directory(target)?;
        }
        for ancestor in &selected.ancestors {
            self.entry(tree::join(target, &ancestor.path), ancestor)?;
        }
        let path = if inside {
            tree::join(target, &selected.name)
        } else {
            target.to_vec()
        };
        if let Some((parent, _)) = tree::split(&path) {
            self.make_directory(parent)?;
        }
        self.entry(path.clone(), &selected.top)?;
        self.below(selected, &path)
    }

    fn below(&mut self, selected: &Selected, target: &[u8]) -> Result<(), CopyError> {
        for (path, entry) in selected.below() {
            self.entry(tree::join(target, path), entry)?;
        }
        Ok(())
    }

    fn inline(&mut self, path: &[u8], content: &str) -> Result<(), CopyError> {
        if let Some((parent, _)) = tree::split(path) {
            self.make_directory(parent)?;
        }
        let mode = self
            .destination
            .chmod
            .as_ref()
            .map_or(0o644, |chmod| chmod.apply(0o644, false));
        let owner = self.destination.owner.unwrap_or_default();
        let digest = Key::of(content.as_bytes());
        let placed = Placed {
            attributes: attributes(
                &Kind::File,
                mode,
                Some((owner.uid, owner.gid)),
                Some(&digest),
            ),
            kind: Kind::File,
            mode,
            owner,
            mtime: None,
            content: Content::Inline(content.as_bytes().into()),
        };
        self.place(path.to_vec(), placed)
    }

    fn entry(&mut self, path: TreePath, entry: &Entry) -> Result<(), CopyError> {
        let kept = Owner {
            uid: entry.uid,
            gid: entry.gid,
        };
        let default = if self.keep_owner {
            kept
        } else {
            Owner::default()
        };
        let owner = self.destination.owner.unwrap_or(default);
        let mode = match (self.chmod(), &entry.kind) {
            (Some(chmod), Kind::Directory | Kind::File | Kind::Special { .. }) => {
                chmod.apply(entry.mode, entry.is_directory())
            }
            _ => entry.mode,
        };
        let attributes = attributes(
            &entry.kind,
            mode,
            Some((owner.uid, owner.gid)),
            entry.digest.as_ref(),
        );
        let mut placed = Placed {
            mode,
            owner,
            mtime: self.modified.or(Some(entry.mtime)),
            attributes,
            ..Placed::of(entry)
        };
        if let Content::File { attributes, .. } = &mut placed.content {
            *attributes = self.keep_owner;
        }
        self.place(path, placed)
    }

    /// A directory that is there, or is made because something goes below it. An existing one keeps its attributes.
    fn make_directory(&mut self, path: &[u8]) -> Result<(), CopyError> {
        let not_a_directory = || CopyError::NotADirectory {
            path: tree::display(path),
        };
        if let Some(placed) = self.plan.placed.get(path) {
            return if placed.kind == Kind::Directory {
                Ok(())
            } else {
                Err(not_a_directory())
            };
        }
        if let Some((parent, _)) = tree::split(path) {
            self.make_directory(parent)?;
        }
        let placed = match self.in_image(path)? {
            Some(entry) if entry.is_directory() => {
                let owner = Owner {
                    uid: entry.uid,
                    gid: entry.gid,
                };
                directory(entry.mode, owner, Some(entry.mtime))
            }
            Some(_) => return Err(not_a_directory()),
            // The root of an image from scratch is root's; elsewhere `--chown` counts.
            None if path.is_empty() => directory(NEW_DIRECTORY, Owner::default(), None),
            None => {
                let mode = self.chmod().and_then(Chmod::of_new_directory);
                let owner = self.destination.owner.unwrap_or_default();
                directory(mode.unwrap_or(NEW_DIRECTORY), owner, None)
            }
        };
        self.plan.placed.insert(path.to_vec(), placed);
        Ok(())
    }

    fn place(&mut self, path: TreePath, placed: Placed) -> Result<(), CopyError> {
        let existing = match self.plan.placed.get(&path) {
            Some(placed) => Some(placed.kind == Kind::Directory),
            None => self.in_image(&path)?.map(|entry| entry.is_directory()),
        };
        match (existing, placed.kind == Kind::Directory) {
            _ if self.unpacked => {}
            (Some(true), false) => {
                return Err(CopyError::IsADirectory {
                    path: tree::display(&path),
                });
            }
            (Some(false), true) => {
                return Err(CopyError::NotADirectory {
                    path: tree::display(&path),
                });
            }
            _ => {}
        }
        self.plan.placed.insert(path, placed);
        Ok(())
    }

    /// What the image has at a path. Each directory is listed once, so that thousands of files in a new directory cost
    /// nothing.
    fn in_image(&mut self, path: &[u8]) -> Result<Option<Entry>, CopyError> {
        let io = || CopyError::io(format!("look up `{}` in the image", tree::display(path)));
        if let Some((parent, name)) = tree::split(path) {
            if !self.listed.contains_key(parent) {
                let there = parent.is_empty()
                    || self
                        .in_image(parent)?
                        .is_some_and(|entry| entry.is_directory());
                let names = if there {
                    self.image.names(parent).map_err(io())?
                } else {
                    Vec::new()
                };
                self.listed
                    .insert(parent.to_vec(), names.into_iter().collect());
            }
            if self
                .listed
                .get(parent)
                .is_some_and(|names| !names.contains(name))
            {
                return Ok(None);
            }
        }
        self.image.entry(path).map_err(io())
    }
}

fn directory(mode: u32, owner: Owner, mtime: Option<(i64, u32)>) -> Placed {
    Placed {
        attributes: attributes(&Kind::Directory, mode, Some((owner.uid, owner.gid)), None),
        kind: Kind::Directory,
        mode,
        owner,
        mtime,
        content: Content::None,
    }
}
