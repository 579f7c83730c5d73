//! Builds and their steps as rows of the database.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use howdah_image::{Store, StoreError};
use howdah_solver::Key;
use rusqlite::{OptionalExtension as _, Row, Transaction};
use serde::Serialize;

use super::describe::Description;
use super::ending::Ending;
use super::files;
use super::report::Costs;
use crate::exec::Cost;
use crate::lower::Step;

/// `zstd` gains little beyond this and takes longer.
const COMPRESSION: i32 = 1;

/// Why a step ran that was not looked up.
pub(crate) const CACHE_NOT_ASKED: &str = "cache not asked";

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepOutcome {
    /// It need not run.
    Hit,
    /// It ran.
    Executed,
    /// It failed.
    Failed,
    /// The build ended before it.
    Unreached,
    /// It is no step, but an image that steps stand on.
    Base,
}

impl StepOutcome {
    const ALL: [StepOutcome; 5] = [
        StepOutcome::Hit,
        StepOutcome::Executed,
        StepOutcome::Failed,
        StepOutcome::Unreached,
        StepOutcome::Base,
    ];

    fn name(self) -> &'static str {
        match self {
            StepOutcome::Hit => "hit",
            StepOutcome::Executed => "executed",
            StepOutcome::Failed => "failed",
            StepOutcome::Unreached => "unreached",
            StepOutcome::Base => "base",
        }
    }
}

/// One vertex of a build.
#[derive(Clone, Debug)]
pub(crate) struct StepRow {
    /// Which step of which project it is, build after build.
    pub(crate) identity: Key,
    pub(crate) name: String,
    pub(crate) stage: String,
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) key: Key,
    /// The places of what it reads in [`BuildRow::steps`].
    pub(crate) inputs: Vec<usize>,
    pub(crate) outcome: StepOutcome,
    pub(crate) reason: String,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_memory: u64,
    pub(crate) bytes: u64,
}

impl StepRow {
    /// The row of a step before it is known how it ends.
    pub(crate) fn new(step: &Step, key: Key, inputs: Vec<usize>) -> StepRow {
        StepRow {
            identity: step.identity,
            name: step.name(),
            stage: step.stage.clone(),
            file: step.place.file.clone(),
            line: step.place.line,
            key,
            inputs,
            outcome: StepOutcome::Unreached,
            reason: String::new(),
            seconds: 0.0,
            cpu_seconds: 0.0,
            peak_memory: 0,
            bytes: 0,
        }
    }

    /// With how it ended.
    pub(crate) fn ended(mut self, ending: Ending, cost: &Cost, ignored_cache: bool) -> StepRow {
        let (outcome, reason) = ending.outcome();
        let cache_not_asked = ignored_cache && outcome == StepOutcome::Executed;
        self.outcome = outcome;
        let reason = if cache_not_asked {
            CACHE_NOT_ASKED
        } else {
            reason
        };
        reason.clone_into(&mut self.reason);
        self.seconds = ending.seconds();
        self.cpu_seconds = cost.cpu.as_secs_f64();
        self.peak_memory = cost.peak_memory;
        self.bytes = cost.bytes;
        self
    }
}

/// One build. Its steps are the vertices of its graph, inputs first.
#[derive(Clone, Debug)]
pub(crate) struct BuildRow {
    pub(crate) id: i64,
    /// Milliseconds since 1970.
    pub(crate) started: i64,
    pub(crate) seconds: f64,
    pub(crate) targets: String,
    /// The contexts' directories, one a line.
    pub(crate) directories: String,
    /// `done`, `failed` or `cancelled`.
    pub(crate) outcome: String,
    pub(crate) steps: Vec<StepRow>,
}

/// Milliseconds since 1970.
pub(crate) fn milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Writes a build down. `describe` is asked for what the key of a step is made of, if that is not known yet.
pub(crate) fn save(
    store: &Store,
    build: &BuildRow,
    describe: &dyn Fn(usize) -> Description,
) -> Result<(), StoreError> {
    // Describing reads files, so it comes before the transaction.
    let unknown: Vec<usize> = store.database().with(|connection| {
        let mut known = connection.prepare_cached("SELECT 1 FROM build_inputs WHERE key = ?1")?;
        let mut unknown = Vec::new();
        for (index, step) in build.steps.iter().enumerate() {
            let reached = step.outcome != StepOutcome::Unreached;
            if reached && !known.exists([step.key.as_bytes()])? {
                unknown.push(index);
            }
        }
        Ok(unknown)
    })?;
    let described: Vec<(Key, Description)> = unknown
        .into_iter()
        .map(|index| (build.steps[index].key, describe(index)))
        .collect();
    store.database().with(|connection| {
        let transaction = connection.transaction()?;
        transaction.execute(
            "INSERT INTO builds (started, seconds, targets, outcome, directories) VALUES (?1, ?2, ?3, ?4, ?5)",
            (build.started, build.seconds, &build.targets, &build.outcome, &build.directories),
        )?;
        let id = transaction.last_insert_rowid();
        for (ordinal, step) in build.steps.iter().enumerate() {
            save_step(&transaction, id, ordinal, step)?;
        }
        for (key, description) in &described {
            save_description(&transaction, key, description)?;
        }
        transaction.commit()
    })
}

fn save_step(
    transaction: &Transaction<'_>,
    build: i64,
    ordinal: usize,
    step: &StepRow,
) -> rusqlite::Result<()> {
    let inputs: Vec<String> = step.inputs.iter().map(ToString::to_string).collect();
    let first = step.outcome == StepOutcome::Executed
        && step.reason == "changed"
        && !is_known(transaction, step)?;
    transaction
        .prepare_cached(
            "INSERT INTO build_vertices (build, ordinal, step, name, file, line, key, outcome, reason, seconds,
                cpu_seconds, peak_memory, bytes, stage, inputs)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(rusqlite::params![
            build,
            integer(ordinal as u64),
            step.identity.as_bytes(),
            step.name,
            step.file,
            integer(step.line as u64),
            step.key.as_bytes(),
            step.outcome.name(),
            if first { "first time" } else { &step.reason },
            step.seconds,
            step.cpu_seconds,
            integer(step.peak_memory),
            integer(step.bytes),
            step.stage,
            inputs.join(" "),
        ])?;
    Ok(())
}

fn is_known(transaction: &Transaction<'_>, step: &StepRow) -> rusqlite::Result<bool> {
    transaction
        .prepare_cached("SELECT 1 FROM build_vertices WHERE step = ?1 LIMIT 1")?
        .exists([step.identity.as_bytes()])
}

fn save_description(
    transaction: &Transaction<'_>,
    key: &Key,
    description: &Description,
) -> rusqlite::Result<()> {
    let fields = serde_json::to_string(&description.fields).unwrap_or_default();
    transaction
        .prepare_cached("INSERT OR IGNORE INTO build_inputs (key, fields) VALUES (?1, ?2)")?
        .execute((key.as_bytes(), fields))?;
    for source in &description.sources {
        transaction
            .prepare_cached("INSERT OR IGNORE INTO build_sources (digest, files) VALUES (?1, ?2)")?
            .execute((source.digest.as_bytes(), files::to_bytes(&source.files)))?;
    }
    for (digest, text) in &description.texts {
        let known = transaction
            .prepare_cached("SELECT 1 FROM build_texts WHERE digest = ?1")?
            .exists([digest])?;
        // Compressing into memory does not fail; if it did, a text would be missing in `why`.
        if let (false, Ok(text)) = (known, zstd::encode_all(text.as_slice(), COMPRESSION)) {
            transaction
                .prepare_cached("INSERT OR IGNORE INTO build_texts (digest, text) VALUES (?1, ?2)")?
                .execute((digest, text))?;
        }
    }
    Ok(())
}

const BUILD_COLUMNS: &str = "id, started, seconds, targets, directories, outcome";

fn read_build(row: &Row<'_>) -> rusqlite::Result<BuildRow> {
    Ok(BuildRow {
        id: row.get(0)?,
        started: row.get(1)?,
        seconds: row.get(2)?,
        targets: row.get(3)?,
        directories: row.get(4)?,
        outcome: row.get(5)?,
        steps: Vec::new(),
    })
}

/// All builds without their steps, newest first.
pub(super) fn builds(store: &Store) -> Result<Vec<BuildRow>, StoreError> {
    store.database().with(|connection| {
        let sql = format!("SELECT {BUILD_COLUMNS} FROM builds ORDER BY id DESC");
        connection
            .prepare_cached(&sql)?
            .query_map([], read_build)?
            .collect()
    })
}

/// The steps of a build in order.
pub(super) fn steps(store: &Store, build: i64) -> Result<Vec<StepRow>, StoreError> {
    store.database().with(|connection| {
        let mut statement = connection.prepare_cached(
            "SELECT step, name, file, line, key, outcome, reason, seconds, cpu_seconds, peak_memory, bytes, stage, inputs
             FROM build_vertices WHERE build = ?1 ORDER BY ordinal",
        )?;
        statement.query_map([build], read_step)?.collect()
    })
}

fn read_step(row: &Row<'_>) -> rusqlite::Result<StepRow> {
    let outcome: String = row.get(5)?;
    let inputs: String = row.get(12)?;
    Ok(StepRow {
        identity: row.get::<_, [u8; 32]>(0)?.into(),
        name: row.get(1)?,
        file: row.get(2)?,
        line: usize::try_from(row.get::<_, i64>(3)?).unwrap_or(0),
        key: row.get::<_, [u8; 32]>(4)?.into(),
        outcome: StepOutcome::ALL
            .into_iter()
            .find(|known| known.name() == outcome)
            .unwrap_or(StepOutcome::Unreached),
        reason: row.get(6)?,
        seconds: row.get(7)?,
        cpu_seconds: row.get(8)?,
        peak_memory: row.get::<_, i64>(9)?.unsigned_abs(),
        bytes: row.get::<_, i64>(10)?.unsigned_abs(),
        stage: row.get(11)?,
        inputs: inputs
            .split(' ')
            .filter_map(|number| number.parse().ok())
            .collect(),
    })
}

/// The newest build before `before` in which a step ended in one of these outcomes, separated by spaces.
pub(super) fn last_with(
    store: &Store,
    identity: &Key,
    before: i64,
    outcomes: &str,
) -> Result<Option<i64>, StoreError> {
    store.database().with(|connection| {
        let mut statement = connection.prepare_cached(
            "SELECT max(build) FROM build_vertices WHERE step = ?1 AND build < ?2 AND instr(?3, outcome)",
        )?;
        statement.query_row((identity.as_bytes(), before, outcomes), |row| row.get(0))
    })
}

/// How long a step took when it ran last.
pub(super) fn last_seconds(store: &Store, identity: &Key) -> Result<Option<f64>, StoreError> {
    store.database().with(|connection| {
        let mut statement = connection.prepare_cached(
            "SELECT seconds FROM build_vertices WHERE step = ?1 AND outcome = 'executed' ORDER BY build DESC LIMIT 1",
        )?;
        statement.query_row([identity.as_bytes()], |row| row.get(0)).optional()
    })
}

/// What executions cost, here before elsewhere; of several the newest counts.
pub(super) fn costs(store: &Store) -> Result<Costs, StoreError> {
    store.database().with(|connection| {
        let mut statement = connection.prepare(
            "SELECT key, step, seconds, bytes FROM build_vertices WHERE outcome = 'executed' ORDER BY build",
        )?;
        let mut costs = Costs::default();
        let mut elsewhere = connection.prepare("SELECT key, seconds FROM build_elsewhere")?;
        let mut rows = elsewhere.query([])?;
        while let Some(row) = rows.next()? {
            let cost = (row.get(1)?, 0);
            costs.by_key.insert(row.get::<_, [u8; 32]>(0)?.into(), cost);
        }
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let cost = (row.get(2)?, row.get::<_, i64>(3)?.unsigned_abs());
            costs.by_key.insert(row.get::<_, [u8; 32]>(0)?.into(), cost);
            costs.by_step.insert(row.get::<_, [u8; 32]>(1)?.into(), cost);
        }
        Ok(costs)
    })
}

/// When `cache prune` removed the result of a key, in milliseconds since 1970.
pub(super) fn removed_at(store: &Store, key: &Key) -> Result<Option<i64>, StoreError> {
    store.database().with(|connection| {
        connection
            .prepare_cached("SELECT at FROM build_pruned WHERE key = ?1")?
            .query_row([key.as_bytes()], |row| row.get(0))
            .optional()
    })
}
