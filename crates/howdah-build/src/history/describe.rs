//! What a key was made of, as it is kept: the fields of its recipe without secrets, the files of its contexts, and the
//! texts of small ones.

use std::path::PathBuf;

use fs_err as fs;
use howdah_image::{Reference, Store};
use howdah_solver::Key;

use super::files::{self, ShortDigest, SourceFile};
use super::mask;
use crate::copy::{Pattern, Selection, select};
use crate::lower::Step;
use crate::op::{CopySource, MountOp, Op, TreeSource};
use crate::pattern::Excludes;
use crate::request::{Options, Secret};
use crate::tree::{Entry, Kind};

/// Texts are kept of selections up to this many files: lock files and their like. What a larger `COPY` took is read from
/// its layer as long as that is in the store.
const MOST_TEXTS: usize = 64;
/// Larger files are not kept.
const LARGEST_TEXT: u64 = 1 << 20;

/// The fields of a recipe: name and value, names may occur several times.
pub(crate) type KeptFields = Vec<(String, String)>;

/// What is known of a key.
#[derive(Debug, Default)]
pub(crate) struct Description {
    pub(super) fields: KeptFields,
    pub(super) sources: Vec<Source>,
    pub(super) texts: Vec<(ShortDigest, Vec<u8>)>,
}

/// Files of a context that went into a key.
#[derive(Debug)]
pub(super) struct Source {
    /// Stands in the fields too.
    pub(super) digest: Key,
    pub(super) files: Vec<SourceFile>,
}

/// Describes the key of a step. Reads the small text files among its sources.
pub(crate) fn describe(store: &Store, step: &Step, op: &Op, options: &Options) -> Description {
    let mut fields: KeptFields = step
        .fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    fields.extend(step.args.iter().map(|arg| ("arg".to_owned(), arg.clone())));
    mask::mask(&mut fields);
    if let Some(image) = &step.image {
        fields.push(("id".to_owned(), image.to_string()));
        // Without it the image is named by its id.
        let (_, pinned) = store.names(image).unwrap_or_default();
        fields.extend(
            pinned
                .first()
                .and_then(Reference::digest)
                .map(|digest| ("digest".to_owned(), digest.to_string())),
        );
    }
    let mut description = Description {
        fields,
        ..Description::default()
    };
    let secrets: Vec<PathBuf> = options
        .secrets
        .values()
        .filter_map(|secret| match secret {
            Secret::File(path) => fs::canonicalize(path).ok(),
            Secret::Value(_) => None,
        })
        .collect();
    let is_secret = |entry: &Entry| !secrets.is_empty() && secrets.contains(&entry.real());
    each_selection(op, &mut |digest, selection| {
        let files = files::list(selection, &is_secret);
        let regular: Vec<&Entry> = files::entries(selection)
            .filter(|entry| entry.kind == Kind::File)
            .collect();
        if regular.len() <= MOST_TEXTS {
            let kept = regular.into_iter().filter(|entry| {
                files
                    .iter()
                    .any(|file| file.path == entry.path && !file.private)
            });
            description.texts.extend(kept.filter_map(text));
        }
        description.sources.push(Source {
            digest: *digest,
            files,
        });
    });
    description
}

/// Every selection of a context in an operation, with its digest.
fn each_selection(op: &Op, visit: &mut dyn FnMut(&Key, &Selection)) {
    match op {
        Op::Copy(op) => {
            for source in &op.sources {
                if let CopySource::Context {
                    selection, digest, ..
                } = source
                {
                    visit(digest, selection);
                }
            }
        }
        Op::Run(op) => {
            for tree in op.mounts.iter().filter_map(MountOp::tree) {
                let TreeSource::Context {
                    scan,
                    source,
                    digest,
                } = tree
                else {
                    continue;
                };
                let pattern = Pattern {
                    text: source.clone(),
                    parents: false,
                };
                // It was selected before, when the digest was made.
                if let Ok(selection) = select(
                    &**scan,
                    &[pattern],
                    &Excludes::default(),
                    "the build context",
                ) {
                    visit(digest, &selection);
                }
            }
        }
        Op::Image(_) | Op::Fetch(_) | Op::Workdir(_) => {}
    }
}

/// The bytes of a small text file, if it is still the one whose digest was taken.
fn text(entry: &Entry) -> Option<(ShortDigest, Vec<u8>)> {
    if entry.size > LARGEST_TEXT {
        return None;
    }
    let bytes = fs::read(entry.real()).ok()?;
    let unchanged = entry.digest == Some(Key::of(&bytes));
    (unchanged && is_text(&bytes)).then(|| (files::digest(entry), bytes))
}

/// Whether people can read it.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    bytes.len() <= usize::try_from(LARGEST_TEXT).unwrap_or(usize::MAX)
        && !bytes.contains(&0)
        && std::str::from_utf8(bytes).is_ok()
}
