//! The tables.

use howdah_image::{Store, StoreError};

const MIGRATIONS: &[&str] = &["
    -- Outputs by cache key (by definition and by content). root: JSON, see root.rs. used: seconds since 1970.
    CREATE TABLE build_records (key BLOB PRIMARY KEY, root TEXT NOT NULL, used INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    -- Layers of COPY by their own key. manifest: see copy/manifest.rs. masks: paths, each ended by a zero byte.
    CREATE TABLE build_layers (
        key BLOB PRIMARY KEY, snapshots TEXT NOT NULL, masks BLOB NOT NULL, manifest BLOB NOT NULL
    ) STRICT;
    -- The layer that a step of a project wrote the last time.
    CREATE TABLE build_steps (step BLOB PRIMARY KEY, layer BLOB NOT NULL) STRICT, WITHOUT ROWID;
    -- Digests of parts of roots that were read.
    CREATE TABLE build_contents (key BLOB PRIMARY KEY, digest BLOB NOT NULL) STRICT, WITHOUT ROWID;
    -- Stat caches by context. stats: see context/stat.rs.
    CREATE TABLE build_contexts (path BLOB PRIMARY KEY, stats BLOB NOT NULL) STRICT;
    -- One row for each build. started: milliseconds since 1970. outcome: 'done', 'failed', 'cancelled'.
    CREATE TABLE builds (
        id INTEGER PRIMARY KEY, started INTEGER NOT NULL, seconds REAL NOT NULL,
        targets TEXT NOT NULL, outcome TEXT NOT NULL
    ) STRICT;
    -- outcome: 'hit', 'executed', 'failed', 'unreached'. reason: how it was found, or why it ran.
    CREATE TABLE build_vertices (
        build INTEGER NOT NULL REFERENCES builds ON DELETE CASCADE, ordinal INTEGER NOT NULL,
        step BLOB NOT NULL, name TEXT NOT NULL, file TEXT NOT NULL, line INTEGER NOT NULL, key BLOB NOT NULL,
        outcome TEXT NOT NULL, reason TEXT NOT NULL, seconds REAL NOT NULL, cpu_seconds REAL NOT NULL,
        peak_memory INTEGER NOT NULL, bytes INTEGER NOT NULL,
        PRIMARY KEY (build, ordinal)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX build_vertices_step ON build_vertices (step);
    -- What a key was made of. fields: JSON, a list of [name, value].
    CREATE TABLE build_inputs (key BLOB PRIMARY KEY, fields TEXT NOT NULL) STRICT, WITHOUT ROWID;
", "
    -- What layers of images that were built here hold, by their snapshots' ids, joined by spaces: the same in every store.
    CREATE TABLE build_image_layers (snapshots TEXT PRIMARY KEY, content BLOB NOT NULL) STRICT, WITHOUT ROWID;
", "
    -- directories: the contexts', one a line. inputs: ordinals in the same build, separated by spaces. outcome 'base': an image.
    ALTER TABLE builds ADD COLUMN directories TEXT NOT NULL DEFAULT '';
    ALTER TABLE build_vertices ADD COLUMN stage TEXT NOT NULL DEFAULT '';
    ALTER TABLE build_vertices ADD COLUMN inputs TEXT NOT NULL DEFAULT '';
    -- The files of a context that went into a key, by the digest in its fields. files: see history/files.rs.
    CREATE TABLE build_sources (digest BLOB PRIMARY KEY, files BLOB NOT NULL) STRICT;
    -- Small text files by the first 8 bytes of their digest, compressed with zstd.
    CREATE TABLE build_texts (digest BLOB PRIMARY KEY, text BLOB NOT NULL) STRICT;
    -- Keys whose results a prune removed, and when: milliseconds since 1970.
    CREATE TABLE build_pruned (key BLOB PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
", "
    -- What steps took where a cache was written that knows their results (`--cache-from`).
    CREATE TABLE build_elsewhere (key BLOB PRIMARY KEY, seconds REAL NOT NULL) STRICT, WITHOUT ROWID;
", "
    -- subject: the content of the root or layer that the digest is of no use without. Old rows have none, and are made anew.
    ALTER TABLE build_contents ADD COLUMN subject BLOB;
"];

/// Makes the tables.
pub(crate) fn migrate(store: &Store) -> Result<(), StoreError> {
    store.database().migrate("build", MIGRATIONS)
}
