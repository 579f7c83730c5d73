//! What is known of keys and files: in the database, in layers that are still in the store, and of a planned build.

use std::collections::HashMap;
use std::path::PathBuf;

use howdah_image::{SnapshotId, Store, StoreError};
use howdah_solver::Key;
use rusqlite::OptionalExtension as _;

use super::describe::{Description, KeptFields, is_text};
use super::files::{self, ShortDigest, SourceFile};
use crate::copy::Manifest;
use crate::root::Root;
use crate::tree::TreePath;
use crate::view::View;

/// Files of one name that are tried before a text counts as lost.
const MOST_CANDIDATES: usize = 20;
/// Larger texts are not compared.
const LARGEST_TEXT: u64 = 1 << 20;

/// Answers what keys were made of.
#[derive(Debug)]
pub(super) struct Archive<'a> {
    pub(super) store: &'a Store,
    /// Of a build that was not run.
    pub(super) planned: HashMap<Key, Description>,
}

impl Archive<'_> {
    /// The fields of a key; `None` if they were forgotten.
    pub(super) fn fields(&self, key: &Key) -> Result<Option<KeptFields>, StoreError> {
        if let Some(description) = self.planned.get(key) {
            return Ok(Some(description.fields.clone()));
        }
        let text: Option<String> = self.store.database().with(|connection| {
            connection
                .prepare_cached("SELECT fields FROM build_inputs WHERE key = ?1")?
                .query_row([key.as_bytes()], |row| row.get(0))
                .optional()
        })?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// The files behind a digest in the fields of a key.
    pub(super) fn files(&self, digest: &Key) -> Result<Option<Vec<SourceFile>>, StoreError> {
        let mut sources = self
            .planned
            .values()
            .flat_map(|description| &description.sources);
        if let Some(source) = sources.find(|source| source.digest == *digest) {
            return Ok(Some(source.files.clone()));
        }
        let bytes: Option<Vec<u8>> = self.store.database().with(|connection| {
            connection
                .prepare_cached("SELECT files FROM build_sources WHERE digest = ?1")?
                .query_row([digest.as_bytes()], |row| row.get(0))
                .optional()
        })?;
        Ok(bytes.and_then(|bytes| files::from_bytes(&bytes)))
    }

    /// The text of a file that the step with this key took; `None` if it is lost, not a text, or a secret.
    pub(super) fn text(&self, key: &Key, file: &SourceFile) -> Result<Option<String>, StoreError> {
        if file.private || !file.is_file() {
            return Ok(None);
        }
        let bytes = match self.kept_text(file.digest)? {
            Some(bytes) => Some(bytes),
            None => self.text_in_layer(key, file)?,
        };
        Ok(bytes
            .filter(|bytes| is_text(bytes))
            .and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    fn kept_text(&self, digest: ShortDigest) -> Result<Option<Vec<u8>>, StoreError> {
        let mut texts = self
            .planned
            .values()
            .flat_map(|description| &description.texts);
        if let Some((_, text)) = texts.find(|(known, _)| *known == digest) {
            return Ok(Some(text.clone()));
        }
        let compressed: Option<Vec<u8>> = self.store.database().with(|connection| {
            connection
                .prepare_cached("SELECT text FROM build_texts WHERE digest = ?1")?
                .query_row([digest], |row| row.get(0))
                .optional()
        })?;
        Ok(compressed.and_then(|bytes| zstd::decode_all(bytes.as_slice()).ok()))
    }

    /// The file in the layer that the step made. Where it is there is not written down: its name and its digest tell.
    fn text_in_layer(&self, key: &Key, file: &SourceFile) -> Result<Option<Vec<u8>>, StoreError> {
        let Some((snapshots, manifest)) = self.layer(key)? else {
            return Ok(None);
        };
        let view = View::new(snapshots);
        let mut candidates: Vec<&TreePath> = manifest
            .files
            .iter()
            .filter(|listed| !listed.is_directory)
            .map(|listed| &listed.path)
            .filter(|path| name(path) == name(&file.path))
            .collect();
        candidates.sort_by_key(|path| std::cmp::Reverse(common_end(path, &file.path)));
        for path in candidates.into_iter().take(MOST_CANDIDATES) {
            // An unreadable layer is no reason to fail: the line is only not shown.
            let Ok(Some(bytes)) = view.read(path, LARGEST_TEXT + 1) else {
                continue;
            };
            if files::short(&Key::of(&bytes)) == file.digest {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// The snapshots of the layer that the step with this key made, and what is in it.
    fn layer(&self, key: &Key) -> Result<Option<(Vec<PathBuf>, Manifest)>, StoreError> {
        let root: Option<String> = self.store.database().with(|connection| {
            connection
                .prepare_cached("SELECT root FROM build_records WHERE key = ?1")?
                .query_row([key.as_bytes()], |row| row.get(0))
                .optional()
        })?;
        let root = root.and_then(|text| serde_json::from_str::<Root>(&text).ok());
        let Some(layer) = root.and_then(|mut root| root.layers.pop()) else {
            return Ok(None);
        };
        let manifest: Option<Vec<u8>> = self.store.database().with(|connection| {
            connection
                .prepare_cached("SELECT manifest FROM build_layers WHERE key = ?1")?
                .query_row([layer.content.as_bytes()], |row| row.get(0))
                .optional()
        })?;
        let path = |snapshot: &SnapshotId| self.store.snapshot_path(snapshot);
        let snapshots: Vec<PathBuf> = layer.snapshots.iter().map(path).collect();
        Ok(manifest
            .and_then(|bytes| Manifest::from_bytes(&bytes))
            .map(|manifest| (snapshots, manifest)))
    }
}

fn name(path: &[u8]) -> &[u8] {
    crate::tree::split(path).map_or(path, |(_, name)| name)
}

fn common_end(left: &[u8], right: &[u8]) -> usize {
    left.iter()
        .rev()
        .zip(right.iter().rev())
        .take_while(|(left, right)| left == right)
        .count()
}
