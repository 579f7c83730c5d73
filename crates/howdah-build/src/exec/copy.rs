//! `COPY`, `ADD` and `WORKDIR`.

use std::borrow::Cow;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError};

use howdah_image::Digest;
use howdah_solver::{Key, Recipe};

use super::contents::selection_key;
use super::{Cost, Done, Worker};
use crate::copy::{
    Chmod, CopyError, Destination, Manifest, Pattern, Plan, Selected, Selection, Source,
    make_layer, resolve_owner, select, unpack_archives,
};
use crate::error::StepError;
use crate::op::{CopyOp, CopySource, WorkdirOp};
use crate::pattern::Excludes;
use crate::remote::FILE_MODE;
use crate::root::{Root, RootLayer};
use crate::tree::{self, Entry, Inode, Tree};
use crate::view::{self, View};

/// The files of one source, and how they are copied.
struct Taken<'a> {
    selection: Cow<'a, Selection>,
    keep_owner: bool,
    /// The time of what was downloaded, in seconds since 1970.
    modified: Option<i64>,
    unpack: bool,
}

impl Worker<'_> {
    pub(super) fn copy(
        &self,
        vertex: &Key,
        op: &CopyOp,
        inputs: &[Arc<Root>],
        stop: &AtomicBool,
    ) -> Result<Done, StepError> {
        let root = inputs[0].view(self.store);
        // With --link the layer must fit on anything.
        let image = if op.link {
            View::new(Vec::new())
        } else {
            root.clone()
        };
        let destination = destination(op, &root)?;
        let shortcut = self.shortcut(op, inputs.get(1), &destination, &image)?;
        if let Some(shortcut) = &shortcut
            && let Some(layer_key) = self.recall(shortcut)?
        {
            if let Some(done) = self.reuse(&layer_key, &op.step, &image)? {
                return Ok(done);
            }
            // A layer of a cache has no whiteouts, and nothing is at the destination that it could hide.
            if let Some(layer) = self
                .imports
                .asked()
                .and_then(|caches| caches.layer(&layer_key))
            {
                return Ok(Done::reused(layer));
            }
        }
        let taken = self.take(vertex, op, inputs, stop)?;
        // What was unpacked is only there as long as this.
        let archives: Vec<&Selected> = taken
            .iter()
            .filter(|taken| taken.unpack)
            .flat_map(|taken| &taken.selection.sources)
            .collect();
        let unpacked = unpack_archives(self.store, &archives)?;
        let mut sources: Vec<Source<'_>> = Vec::new();
        for taken in &taken {
            sources.extend(taken.selection.sources.iter().map(|selected| {
                let archive = unpacked
                    .iter()
                    .find(|unpacked| std::ptr::eq(unpacked.archive, selected));
                Source::Selected {
                    selected: archive.map_or(selected, |archive| &archive.tree),
                    keep_owner: archive.is_some() || taken.keep_owner,
                    modified: taken.modified.filter(|_| archive.is_none()),
                    unpacked: archive.is_some(),
                }
            }));
        }
        sources.extend(op.sources.iter().filter_map(|source| match source {
            CopySource::Inline { name, content } => Some(Source::Inline { name, content }),
            _ => None,
        }));
        let plan = Plan::new(&sources, &destination, &image)?;
        let done = self.lay(&plan, &op.step, &image, stop)?;
        if let Some(shortcut) = shortcut.filter(|_| done.cacheable) {
            let layer = plan.key();
            self.memory.save_content(&shortcut, &layer, &layer)?;
        }
        Ok(done)
    }

    /// The files of all sources but heredocs, in order.
    fn take<'o>(
        &self,
        vertex: &Key,
        op: &'o CopyOp,
        inputs: &[Arc<Root>],
        stop: &AtomicBool,
    ) -> Result<Vec<Taken<'o>>, StepError> {
        let mut all = Vec::new();
        for source in &op.sources {
            all.push(match source {
                CopySource::Context { selection, .. } => Taken {
                    selection: Cow::Borrowed(selection),
                    keep_owner: false,
                    modified: None,
                    unpack: op.unpack,
                },
                CopySource::Input {
                    number,
                    patterns,
                    place,
                } => {
                    let kept = self
                        .selections
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .remove(&(*vertex, *number));
                    let selection = match kept {
                        Some(selection) => selection,
                        None => self.select(op, patterns, place, &inputs[*number], stop)?,
                    };
                    Taken {
                        selection: Cow::Owned(selection),
                        keep_owner: true,
                        modified: None,
                        unpack: op.unpack,
                    }
                }
                CopySource::Url {
                    name,
                    address,
                    digest,
                    unpack,
                } => self.download(name, address, digest, *unpack)?,
                CopySource::Inline { .. } => continue,
            });
        }
        Ok(all)
    }

    /// The file of a URL, downloaded now if the store does not have it.
    fn download(
        &self,
        name: &str,
        address: &str,
        digest: &Digest,
        unpack: bool,
    ) -> Result<Taken<'static>, StepError> {
        let download = self.remote.download(address, Some(digest))?;
        let path = self.store.blob_path(digest);
        let origin: Arc<Path> = path.parent().unwrap_or(self.store.root()).into();
        let metadata = fs_err::metadata(&path).map_err(look_up(name))?;
        let blob = view::entry(digest.hex().into_bytes(), origin, &Inode::from(&metadata));
        let top = Entry {
            mode: FILE_MODE,
            digest: Some(Key::of(digest.to_string().as_bytes())),
            ..blob.map_err(look_up(name))?
        };
        let selected = Selected {
            name: name.as_bytes().to_vec(),
            ancestors: Vec::new(),
            top,
            below: Vec::new(),
            whole: false,
        };
        let sources = vec![selected];
        Ok(Taken {
            selection: Cow::Owned(Selection { sources }),
            keep_owner: false,
            modified: Some(download.modified),
            unpack,
        })
    }

    pub(super) fn workdir(
        &self,
        op: &WorkdirOp,
        root: &Root,
        stop: &AtomicBool,
    ) -> Result<Done, StepError> {
        let image = root.view(self.store);
        let target = tree::resolve(&image, op.path.as_bytes()).map_err(look_up(&op.path))?;
        let existing = image.entry(&target).map_err(look_up(&op.path))?;
        if existing.is_some_and(|entry| entry.is_directory()) {
            return Ok(Done {
                layer: RootLayer::nothing(),
                cost: Cost::default(),
                cacheable: true,
            });
        }
        // A user whom the image does not know makes it as root: `RUN` will tell, if there is one.
        let owner = match resolve_owner(&op.user, &image) {
            Err(CopyError::UnknownOwner { .. }) => None,
            owner => Some(owner?),
        };
        let destination = Destination {
            path: op.path.clone(),
            into_directory: true,
            owner,
            chmod: None,
        };
        let plan = Plan::directory(&destination, &image)?;
        self.lay(&plan, &plan.key(), &image, stop)
    }

    /// The layer of a plan: one that is there already, else written over what the step wrote the last time.
    fn lay(
        &self,
        plan: &Plan,
        step: &Key,
        image: &View,
        halt: &AtomicBool,
    ) -> Result<Done, StepError> {
        if plan.placed.is_empty() {
            return Ok(Done {
                layer: RootLayer::nothing(),
                cost: Cost::default(),
                cacheable: true,
            });
        }
        let key = plan.key();
        if let Some(done) = self.reuse(&key, step, image)? {
            return Ok(done);
        }
        let previous = self.memory.previous(step)?;
        let made = make_layer(self.store, plan, previous.as_ref(), image, halt)?;
        if !made.moved {
            self.memory
                .save_layer(&key, step, &made, &Manifest::of(plan))?;
        }
        let cost = Cost {
            bytes: made.bytes,
            ..Cost::default()
        };
        let layer = RootLayer {
            snapshots: made.layer.snapshots,
            content: key,
        };
        Ok(Done {
            layer,
            cost,
            cacheable: !made.moved,
        })
    }

    fn reuse(&self, key: &Key, step: &Key, image: &View) -> Result<Option<Done>, StepError> {
        let Some(stored) = self.memory.layer(key)? else {
            return Ok(None);
        };
        for mask in &stored.masks {
            if image
                .entry(mask)
                .map_err(look_up(&tree::display(mask)))?
                .is_some()
            {
                return Ok(None);
            }
        }
        self.memory.save_step(step, key)?;
        Ok(Some(Done::reused(RootLayer {
            snapshots: stored.layer.snapshots,
            content: *key,
        })))
    }

    /// What [`Worker::shortcut`] of a copy leads to, if that can be said without fetching anything.
    pub(super) fn shortcut_memory(
        &self,
        op: &CopyOp,
        inputs: &[Option<&Arc<Root>>],
        layer: &RootLayer,
    ) -> Result<Option<(Key, Key)>, StepError> {
        let [Some(below), Some(source)] = inputs else {
            return Ok(None);
        };
        if !below.snapshots().all(|id| self.store.has_snapshot(id)) {
            return Ok(None);
        }
        let root = below.view(self.store);
        let destination = destination(op, &root)?;
        let image = if op.link { View::new(Vec::new()) } else { root };
        let shortcut = self.shortcut(op, Some(source), &destination, &image)?;
        Ok(shortcut.map(|shortcut| (shortcut, layer.content)))
    }

    /// A key that leads to the layer without looking at any source file: all that decides the layer when the image has
    /// nothing at the destination, so that nothing there can conflict or merge. `None` if it has something.
    fn shortcut(
        &self,
        op: &CopyOp,
        source: Option<&Arc<Root>>,
        destination: &Destination,
        image: &View,
    ) -> Result<Option<Key>, StepError> {
        // One source, and that from an input.
        let [CopySource::Input { patterns, .. }] = op.sources.as_slice() else {
            return Ok(None);
        };
        let Some(source) = source.filter(|_| !op.unpack) else {
            return Ok(None);
        };
        let Some(content) = self.recall(&selection_key(source, patterns, &op.excludes))? else {
            return Ok(None);
        };
        let target =
            tree::resolve(image, op.destination.as_bytes()).map_err(look_up(&op.destination))?;
        if image
            .entry(&target)
            .map_err(look_up(&op.destination))?
            .is_some()
        {
            return Ok(None);
        }
        let mut recipe = Recipe::new("copy-shortcut", 1);
        recipe
            .key("content", &content)
            .text("target", &tree::display(&target));
        recipe.text(
            "into-directory",
            if op.into_directory { "yes" } else { "no" },
        );
        recipe.text(
            "options",
            &format!("{:?} {:?}", destination.owner, destination.chmod),
        );
        let mut path = target.as_slice();
        while let Some((parent, _)) = tree::split(path) {
            let entry = image.entry(parent).map_err(look_up(&op.destination))?;
            let attributes =
                entry.map(|entry| (entry.mode, entry.uid, entry.gid, entry.is_directory()));
            recipe.text("parent", &format!("{attributes:?}"));
            path = parent;
        }
        Ok(Some(recipe.finish().0))
    }

    pub(super) fn select(
        &self,
        op: &CopyOp,
        patterns: &[Pattern],
        place: &str,
        source: &Root,
        stop: &AtomicBool,
    ) -> Result<Selection, StepError> {
        self.imports.bring(source)?;
        // The patterns were read when the graph was made.
        let excludes = Excludes::new(&op.excludes).unwrap_or_default();
        let mut selection = select(&source.view(self.store), patterns, &excludes, place)?;
        selection.read(stop)?;
        Ok(selection)
    }
}

fn destination(op: &CopyOp, root: &View) -> Result<Destination, CopyError> {
    Ok(Destination {
        path: op.destination.clone(),
        into_directory: op.into_directory,
        owner: op
            .chown
            .as_ref()
            .map(|chown| resolve_owner(chown, root))
            .transpose()?,
        chmod: op
            .chmod
            .as_ref()
            .map(|chmod| Chmod::parse(chmod))
            .transpose()?,
    })
}

/// What is taken from an input.
pub(super) fn input_patterns(op: &CopyOp, input: usize) -> Option<(&[Pattern], &str)> {
    op.sources.iter().find_map(|source| match source {
        CopySource::Input {
            number,
            patterns,
            place,
        } if *number == input => Some((patterns.as_slice(), place.as_str())),
        _ => None,
    })
}

fn look_up(path: &str) -> impl FnOnce(std::io::Error) -> CopyError {
    CopyError::io(format!("look up `{path}` in the image"))
}
