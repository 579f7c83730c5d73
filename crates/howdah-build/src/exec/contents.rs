//! What vertices read of their inputs: digests of parts of roots, remembered so that nothing is read twice, here or where
//! a cache brings them.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError};

use howdah_solver::{Key, Recipe, Vertex};

use super::Worker;
use super::copy::input_patterns;
use crate::copy::{Pattern, select};
use crate::error::StepError;
use crate::op::{CopyOp, MountOp, Op, RunOp, TreeSource};
use crate::pattern::Excludes;
use crate::root::Root;

/// What is remembered of the inputs of a vertex.
pub(crate) struct KnownContents {
    /// The vertex's key by their content, if all of it is known.
    pub(crate) key: Option<Key>,
    /// Digests of the parts that the vertex reads, by the keys under which they are remembered.
    pub(crate) memories: Vec<(Key, Key)>,
}

impl Worker<'_> {
    /// The digest of what a vertex reads of one of its inputs.
    pub(super) fn content_of(
        &self,
        vertex: &Vertex<Op>,
        input: usize,
        output: &Arc<Root>,
    ) -> Result<Option<Key>, StepError> {
        match &vertex.op {
            _ if input == 0 => Ok(Some(output.content())),
            Op::Copy(op) => self
                .source_content((*vertex.key(), input), op, output)
                .map(Some),
            Op::Run(op) => {
                let sources = mounted(op, input);
                let contents = sources.map(|source| self.subtree_content(source, output));
                let contents = contents.collect::<Result<Vec<Key>, _>>()?;
                Ok(Some(joined(&contents)))
            }
            Op::Image(_) | Op::Fetch(_) | Op::Workdir(_) => Ok(None),
        }
    }

    /// What is known of a vertex's inputs without reading anything.
    pub(crate) fn known_contents(
        &self,
        vertex: &Vertex<Op>,
        inputs: &[Option<&Arc<Root>>],
        output: &Root,
    ) -> Result<KnownContents, StepError> {
        let mut contents = Vec::new();
        let mut memories = Vec::new();
        for (number, input) in inputs.iter().enumerate() {
            let Some(input) = input else { continue };
            let parts: Vec<Key> = match &vertex.op {
                _ if number == 0 => {
                    contents.push(input.content());
                    continue;
                }
                Op::Copy(op) => part(op, number, input).into_iter().collect(),
                Op::Run(op) => mounted(op, number)
                    .map(|source| subtree_part(source, input))
                    .collect(),
                Op::Image(_) | Op::Fetch(_) | Op::Workdir(_) => Vec::new(),
            };
            let digests = parts.iter().map(|part| self.recall(part));
            let digests: Option<Vec<Key>> = digests.collect::<Result<_, StepError>>()?;
            let Some(digests) = digests else { continue };
            contents.push(match (&vertex.op, digests.as_slice()) {
                (Op::Copy(_), [only]) => *only,
                (_, digests) => joined(digests),
            });
            memories.extend(parts.into_iter().zip(digests));
        }
        if let (Op::Copy(op), Some(layer)) = (&vertex.op, output.layers.last()) {
            memories.extend(self.shortcut_memory(op, inputs, layer)?);
        }
        let complete = !contents.is_empty() && contents.len() == vertex.inputs.len();
        Ok(KnownContents {
            key: complete.then(|| vertex.content_key(&contents)),
            memories,
        })
    }

    /// A digest that this store or a cache remembers.
    pub(super) fn recall(&self, key: &Key) -> Result<Option<Key>, StepError> {
        if let Some(known) = self.memory.content(key)? {
            return Ok(Some(known));
        }
        Ok(self.imports.asked().and_then(|caches| caches.memory(key)))
    }

    /// The digest of what a `COPY` takes from one of its inputs. What is read for it is kept for [`Worker::copy`].
    fn source_content(
        &self,
        (vertex, number): (Key, usize),
        op: &CopyOp,
        source: &Root,
    ) -> Result<Key, StepError> {
        let Some((patterns, place)) = input_patterns(op, number) else {
            return Ok(Key::of(b""));
        };
        let memo = selection_key(source, patterns, &op.excludes);
        if let Some(known) = self.recall(&memo)? {
            return Ok(known);
        }
        let selection = self.select(op, patterns, place, source, &AtomicBool::new(false))?;
        let digest = selection.digest(true);
        self.memory
            .save_content(&memo, &digest, &source.content())?;
        self.selections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((vertex, number), selection);
        Ok(digest)
    }

    /// The digest of a file or directory of a root.
    fn subtree_content(&self, path: &str, root: &Root) -> Result<Key, StepError> {
        let memo = subtree_part(path, root);
        if let Some(known) = self.recall(&memo)? {
            return Ok(known);
        }
        self.imports.bring(root)?;
        let mut selection = select(
            &root.view(self.store),
            &whole(path),
            &Excludes::default(),
            "the mounted stage",
        )?;
        selection.read(&AtomicBool::new(false))?;
        let digest = selection.digest(true);
        self.memory.save_content(&memo, &digest, &root.content())?;
        Ok(digest)
    }
}

/// The paths of an input that a `RUN` mounts.
fn mounted(op: &RunOp, input: usize) -> impl Iterator<Item = &String> {
    let trees = op.mounts.iter().filter_map(MountOp::tree);
    trees.filter_map(move |tree| match tree {
        TreeSource::Input { number, source } if *number == input => Some(source),
        TreeSource::Input { .. } | TreeSource::Context { .. } => None,
    })
}

fn joined(digests: &[Key]) -> Key {
    let bytes = digests.iter().flat_map(|digest| *digest.as_bytes());
    Key::of(&bytes.collect::<Vec<u8>>())
}

/// The part of one of its inputs that a copy reads.
fn part(op: &CopyOp, input: usize, source: &Root) -> Option<Key> {
    input_patterns(op, input).map(|(patterns, _)| selection_key(source, patterns, &op.excludes))
}

/// A file or directory of a root.
fn subtree_part(path: &str, root: &Root) -> Key {
    selection_key(root, &whole(path), &[])
}

fn whole(path: &str) -> [Pattern; 1] {
    [Pattern {
        text: path.to_owned(),
        parents: false,
    }]
}

/// Names a selection of a root by what the root holds.
pub(super) fn selection_key(root: &Root, patterns: &[Pattern], excludes: &[String]) -> Key {
    let mut recipe = Recipe::new("selection", 2);
    recipe.key("root", &root.content());
    for pattern in patterns {
        recipe
            .text("source", &pattern.text)
            .text("parents", if pattern.parents { "yes" } else { "no" });
    }
    recipe.list("exclude", excludes);
    recipe.finish().0
}
