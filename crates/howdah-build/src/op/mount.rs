//! The mounts of a `RUN`.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use howdah_dockerfile::Sharing;
use howdah_solver::{Key, Recipe};

use super::flag;
use crate::context::Scan;
use crate::request::DEFAULT_AGENT;

/// A `RUN --mount`.
#[derive(Debug)]
pub(crate) struct MountOp {
    /// Absolute in the container; empty for a secret that only goes to the environment.
    pub(crate) target: String,
    pub(crate) read_only: bool,
    pub(crate) kind: MountKindOp,
}

/// Mode and owner of what is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What is mounted.
#[derive(Debug)]
pub(crate) enum MountKindOp {
    Bind(TreeSource),
    /// In the key: its identity, and what it begins with. Not: what is in it.
    Cache {
        id: String,
        sharing: Sharing,
        start: CacheStart,
    },
    /// In the key: its size.
    Tmpfs {
        size_bytes: Option<u64>,
    },
    /// In the key: its name and place. Not: its value.
    Secret {
        id: String,
        env: Option<String>,
        required: bool,
        attributes: Attributes,
    },
    /// In the key: its name, its place and the socket's attributes. Not: the agent.
    Ssh {
        id: String,
        required: bool,
        attributes: Attributes,
        agent: Option<PathBuf>,
    },
}

/// A part of a tree that a mount shows.
#[derive(Debug)]
pub(crate) enum TreeSource {
    /// Of a context. In the key: its content.
    Context {
        scan: Arc<Scan>,
        source: String,
        digest: Key,
    },
    /// Of an input of the vertex, by its number. In the key: the path; the content is the input's affair.
    Input { number: usize, source: String },
}

/// How a new cache looks.
#[derive(Debug)]
pub(crate) enum CacheStart {
    Empty(Attributes),
    /// Like this directory, whose mode and owner it takes too.
    Copy(TreeSource),
}

impl MountOp {
    /// The tree that it shows or begins with.
    pub(crate) fn tree(&self) -> Option<&TreeSource> {
        match &self.kind {
            MountKindOp::Bind(tree)
            | MountKindOp::Cache {
                start: CacheStart::Copy(tree),
                ..
            } => Some(tree),
            _ => None,
        }
    }

    pub(super) fn add_to(&self, recipe: &mut Recipe) {
        recipe
            .text("mount", &self.target)
            .text("read-only", flag(self.read_only));
        match &self.kind {
            MountKindOp::Bind(tree) => tree.add_to(recipe),
            MountKindOp::Cache { id, sharing, start } => {
                recipe
                    .text("cache", id)
                    .text("sharing", sharing_name(*sharing));
                match start {
                    CacheStart::Empty(attributes) => {
                        recipe.text("attributes", &attributes.to_string())
                    }
                    CacheStart::Copy(tree) => tree.add_to(recipe),
                }
            }
            MountKindOp::Tmpfs { size_bytes } => {
                recipe.text("tmpfs", &size_bytes.unwrap_or(0).to_string())
            }
            MountKindOp::Secret {
                id,
                env,
                required,
                attributes,
            } => recipe
                .text("secret", id)
                .list("variable", env)
                .text("required", flag(*required))
                .text("attributes", &attributes.to_string()),
            MountKindOp::Ssh {
                id,
                required,
                attributes,
                ..
            } => {
                // The usual one has always been without a name.
                if id != DEFAULT_AGENT {
                    recipe.text("agent", id);
                }
                recipe
                    .text("ssh", flag(*required))
                    .text("attributes", &attributes.to_string())
            }
        };
    }
}

impl TreeSource {
    fn add_to<'r>(&self, recipe: &'r mut Recipe) -> &'r mut Recipe {
        match self {
            TreeSource::Context { source, digest, .. } => {
                recipe.text("context", source).key("content", digest)
            }
            TreeSource::Input { number, source } => recipe
                .text("input", &number.to_string())
                .text("source", source),
        }
    }
}

/// As it stands in a recipe.
impl fmt::Display for Attributes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:o} {} {}", self.mode, self.uid, self.gid)
    }
}

fn sharing_name(sharing: Sharing) -> &'static str {
    match sharing {
        Sharing::Shared => "shared",
        Sharing::Private => "private",
        Sharing::Locked => "locked",
    }
}
