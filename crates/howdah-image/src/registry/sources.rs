//! Which repositories of a registry have a blob: what was seen in one need not be sent to another (distribution
//! specification, "Mounting a blob from another repository").

use rusqlite::params;

use super::RegistryError;
use crate::{Digest, Reference, Store, StoreError};

const MIGRATIONS: &[&str] = &["
    CREATE TABLE blob_sources (
        registry TEXT NOT NULL, digest TEXT NOT NULL, repository TEXT NOT NULL, seen INTEGER NOT NULL,
        PRIMARY KEY (registry, digest, repository)
    ) STRICT, WITHOUT ROWID;
"];

/// Repositories that are tried for one blob.
const MOST: u32 = 2;

/// Remembers that the repository has these blobs.
pub(super) fn note(
    store: &Store,
    reference: &Reference,
    digests: &[Digest],
) -> Result<(), RegistryError> {
    let write = || -> Result<(), StoreError> {
        store.database().migrate("registry", MIGRATIONS)?;
        store.database().with(|connection| {
            let transaction = connection.transaction()?;
            for digest in digests {
                transaction.execute(
                    "INSERT OR REPLACE INTO blob_sources (registry, digest, repository, seen) VALUES (?1, ?2, ?3, unixepoch())",
                    params![reference.registry(), digest.to_string(), reference.repository()],
                )?;
            }
            transaction.commit()
        })
    };
    write().map_err(|source| RegistryError::Store { source })
}

/// Other repositories of the same registry that had the blob, the last seen first.
pub(super) fn find(
    store: &Store,
    reference: &Reference,
    digest: &Digest,
) -> Result<Vec<String>, RegistryError> {
    let read = || -> Result<Vec<String>, StoreError> {
        store.database().migrate("registry", MIGRATIONS)?;
        store.database().with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT repository FROM blob_sources WHERE registry = ?1 AND digest = ?2 AND repository <> ?3
                 ORDER BY seen DESC LIMIT ?4",
            )?;
            let values = params![reference.registry(), digest.to_string(), reference.repository(), MOST];
            statement.query_map(values, |row| row.get(0))?.collect()
        })
    };
    read().map_err(|source| RegistryError::Store { source })
}
