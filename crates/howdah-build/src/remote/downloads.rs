//! What earlier downloads gave, so that an unchanged URL is not downloaded again.

use howdah_image::{Digest, Store, StoreError};
use howdah_solver::Key;
use rusqlite::OptionalExtension as _;

const MIGRATIONS: &[&str] = &["
    -- url: BLAKE3 of the address, which may hold credentials. etag, modified: headers as they came.
    CREATE TABLE downloads (
        url BLOB PRIMARY KEY, etag TEXT, modified TEXT, digest TEXT NOT NULL, used INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
"];

/// What a URL gave the last time; its bytes are a blob of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) etag: Option<String>,
    /// `Last-Modified`
    pub(super) modified: Option<String>,
    pub(super) digest: Digest,
}

/// What `address` gave the last time, if the store still has it.
pub(super) fn find(store: &Store, address: &str) -> Result<Option<Known>, StoreError> {
    store.database().migrate("downloads", MIGRATIONS)?;
    let row: Option<(Option<String>, Option<String>, String)> =
        store.database().with(|connection| {
            connection
                .query_row(
                    "SELECT etag, modified, digest FROM downloads WHERE url = ?1",
                    [Key::of(address.as_bytes()).as_bytes()],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
                )
                .optional()
        })?;
    let known = row.and_then(|(etag, modified, digest)| {
        let digest = digest.parse().ok()?;
        Some(Known {
            etag,
            modified,
            digest,
        })
    });
    Ok(known.filter(|known| store.has_blob(&known.digest)))
}

/// Remembers what `address` gave.
pub(super) fn save(store: &Store, address: &str, known: &Known) -> Result<(), StoreError> {
    store.database().with(|connection| {
        connection.execute(
            "INSERT OR REPLACE INTO downloads (url, etag, modified, digest, used)
             VALUES (?1, ?2, ?3, ?4, unixepoch())",
            (
                Key::of(address.as_bytes()).as_bytes(),
                &known.etag,
                &known.modified,
                known.digest.to_string(),
            ),
        )
    })?;
    Ok(())
}
