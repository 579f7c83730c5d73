//! One `SQLite` database that many processes use at once (write-ahead log, <https://sqlite.org/wal.html>).

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, TransactionBehavior};

use super::temporary::lock_exclusively;
use super::{SqliteError, StoreError};

/// Longer than any write here takes, with many processes in the queue.
const BUSY_TIMEOUT: Duration = Duration::from_mins(1);

/// Which migrations of which part have run.
const PARTS_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS parts (name TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT";

/// The connection is opened on first use and shared by all clones of the store.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    connection: Mutex<Option<Connection>>,
}

impl Database {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            connection: Mutex::new(None),
        }
    }

    /// Brings the tables of `part` up to date. `migrations` are SQL scripts; each runs once in the database's life, in this
    /// order, so a released one is never edited: append another.
    pub fn migrate(&self, part: &'static str, migrations: &[&str]) -> Result<(), StoreError> {
        let known = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
        if self.version(part)? == known {
            return Ok(());
        }
        let found = self.with(|connection| {
            let transaction = connection.transaction()?;
            transaction.execute_batch(PARTS_TABLE)?;
            // Asked again: another process may have migrated since.
            let current = part_version(&transaction, part)?;
            for script in migrations.iter().skip(current as usize) {
                transaction.execute_batch(script)?;
            }
            if current < known {
                transaction.execute(
                    "INSERT OR REPLACE INTO parts (name, version) VALUES (?1, ?2)",
                    (part, known),
                )?;
            }
            transaction.commit()?;
            Ok(current)
        })?;
        if found > known {
            return Err(StoreError::TooNew {
                path: self.path.clone(),
                part,
                found,
                known,
            });
        }
        Ok(())
    }

    /// Runs `work` with the connection, alone among this process's threads. Transactions take the write lock at once
    /// (`BEGIN IMMEDIATE`), so that waiting for another process never ends in a deadlock.
    pub fn with<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        // A panic in another thread's `work` rolled its transaction back; the connection itself is sound.
        let mut guard = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let connection = match &mut *guard {
            Some(connection) => connection,
            empty => empty.insert(self.connect()?),
        };
        work(connection).map_err(|source| self.error(source))
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        if self.path.exists() {
            return self.configure().map_err(|source| self.error(source));
        }
        // Changing the journal mode does not wait for others (sqlite.org/pragma.html#pragma_journal_mode), so the
        // processes that find no database take turns.
        let lock_path = self.path.with_extension("lock");
        let lock = lock_exclusively(&lock_path).map_err(StoreError::io("lock", &lock_path))?;
        let connection = self.configure().and_then(|connection| {
            connection.pragma_update(None, "journal_mode", "WAL")?;
            Ok(connection)
        });
        drop(lock);
        connection.map_err(|source| self.error(source))
    }

    fn configure(&self) -> rusqlite::Result<Connection> {
        let mut connection = Connection::open(&self.path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_transaction_behavior(TransactionBehavior::Immediate);
        // The last process to close would copy the log into the database and wait for the disk; commands are short.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        // NORMAL: a power cut may lose the last commits, never the database's consistency.
        connection.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 256")?;
        Ok(connection)
    }

    fn version(&self, part: &str) -> Result<u32, StoreError> {
        self.with(|connection| match part_version(connection, part) {
            // A new database has no table of versions yet.
            Err(rusqlite::Error::SqliteFailure(failure, _))
                if failure.code == ErrorCode::Unknown =>
            {
                Ok(0)
            }
            other => other,
        })
    }

    fn error(&self, error: rusqlite::Error) -> StoreError {
        let path = self.path.clone();
        let code = error.sqlite_error_code();
        let source = SqliteError::from(error);
        match code {
            Some(ErrorCode::DiskFull) => StoreError::DiskFull {
                path,
                source: std::io::Error::new(std::io::ErrorKind::StorageFull, source),
            },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StoreError::DamagedDatabase { path, source }
            }
            _ => StoreError::Database { path, source },
        }
    }
}

fn part_version(connection: &Connection, part: &str) -> rusqlite::Result<u32> {
    let version = connection
        .query_row("SELECT version FROM parts WHERE name = ?1", [part], |row| {
            row.get(0)
        })
        .optional()?;
    Ok(version.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_migration_runs_once_and_a_newer_database_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("howdah.db");
        let first = "CREATE TABLE things (name TEXT)";
        let second = "INSERT INTO things VALUES ('a')";
        Database::new(path.clone())
            .migrate("part", &[first])
            .unwrap();
        let database = Database::new(path);
        database.migrate("part", &[first, second]).unwrap();
        database.migrate("part", &[first, second]).unwrap();
        database.migrate("other", &[]).unwrap();
        let count: u32 = database
            .with(|c| c.query_row("SELECT count(*) FROM things", [], |row| row.get(0)))
            .unwrap();
        assert_eq!(count, 1);
        assert!(matches!(
            database.migrate("part", &[first]),
            Err(StoreError::TooNew {
                found: 2,
                known: 1,
                ..
            })
        ));
    }
}
