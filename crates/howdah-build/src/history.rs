//! The record of builds: what ran, what did not and why, and what it cost.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use howdah_image::{Store, StoreError};
use howdah_solver::{Hit, Key, Resolution};
use rusqlite::OptionalExtension as _;

use crate::event::CacheHit;
use crate::exec::Cost;
use crate::lower::Step;

/// How a vertex ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It need not run.
    Hit(CacheHit),
    /// It ran so long.
    Executed(Duration),
    /// It failed after so long.
    Failed(Duration),
    /// The build ended before it.
    Unreached,
}

impl Ending {
    /// `reused`: an execution found its layer made already.
    pub(crate) fn of(resolution: Resolution, reused: bool) -> Ending {
        match resolution {
            Resolution::Executed(_) if reused => Ending::Hit(CacheHit::Layer),
            Resolution::Executed(duration) => Ending::Executed(duration),
            Resolution::Hit(Hit::Definition) => Ending::Hit(CacheHit::Definition),
            Resolution::Hit(Hit::Content) => Ending::Hit(CacheHit::Content),
            Resolution::Hit(Hit::Elsewhere) => Ending::Hit(CacheHit::Elsewhere),
            Resolution::Hit(Hit::Unneeded) => Ending::Hit(CacheHit::Unneeded),
        }
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Ending::Hit(CacheHit::Definition) => ("hit", "definition"),
            Ending::Hit(CacheHit::Content) => ("hit", "content"),
            Ending::Hit(CacheHit::Elsewhere) => ("hit", "elsewhere"),
            Ending::Hit(CacheHit::Unneeded) => ("hit", "unneeded"),
            Ending::Hit(CacheHit::Layer) => ("hit", "layer"),
            Ending::Executed(_) => ("executed", "changed"),
            Ending::Failed(_) => ("failed", "failed"),
            Ending::Unreached => ("unreached", "unreached"),
        }
    }

    fn seconds(self) -> f64 {
        match self {
            Ending::Executed(duration) | Ending::Failed(duration) => duration.as_secs_f64(),
            Ending::Hit(_) | Ending::Unreached => 0.0,
        }
    }
}

/// One vertex of a build.
#[derive(Debug)]
pub(crate) struct VertexRecord<'a> {
    pub(crate) step: &'a Step,
    pub(crate) key: Key,
    pub(crate) ending: Ending,
    pub(crate) cost: Cost,
    pub(crate) ignored_cache: bool,
}

/// One build.
#[derive(Debug)]
pub(crate) struct BuildRecord<'a> {
    pub(crate) started: SystemTime,
    pub(crate) elapsed: Duration,
    pub(crate) targets: String,
    pub(crate) outcome: &'static str,
    pub(crate) vertices: Vec<VertexRecord<'a>>,
}

/// Writes a build down.
pub(crate) fn save(store: &Store, build: &BuildRecord<'_>) -> Result<(), StoreError> {
    let started = build
        .started
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    store.database().with(|connection| {
        let transaction = connection.transaction()?;
        transaction.execute(
            "INSERT INTO builds (started, seconds, targets, outcome) VALUES (?1, ?2, ?3, ?4)",
            (
                i64::try_from(started).unwrap_or(i64::MAX),
                build.elapsed.as_secs_f64(),
                &build.targets,
                build.outcome,
            ),
        )?;
        let id = transaction.last_insert_rowid();
        for (ordinal, vertex) in build.vertices.iter().enumerate() {
            save_vertex(&transaction, id, ordinal, vertex)?;
        }
        transaction.commit()
    })
}

fn save_vertex(
    transaction: &rusqlite::Transaction<'_>,
    build: i64,
    ordinal: usize,
    vertex: &VertexRecord<'_>,
) -> rusqlite::Result<()> {
    let integer = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let (outcome, reason) = vertex.ending.words();
    let step = vertex.step;
    let reason = match vertex.ending {
        Ending::Executed(_) if vertex.ignored_cache => "cache not asked",
        Ending::Executed(_) if !is_known(transaction, &step.identity)? => "first time",
        _ => reason,
    };
    transaction
        .prepare_cached(
            "INSERT INTO build_vertices (build, ordinal, step, name, file, line, key, outcome, reason, seconds,
                cpu_seconds, peak_memory, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(rusqlite::params![
            build,
            integer(ordinal as u64),
            step.identity.as_bytes(),
            step.name(),
            step.place.file,
            integer(step.place.line as u64),
            vertex.key.as_bytes(),
            outcome,
            reason,
            vertex.ending.seconds(),
            vertex.cost.cpu.as_secs_f64(),
            integer(vertex.cost.peak_memory),
            integer(vertex.cost.bytes),
        ])?;
    // What a hit's key is made of was written down when it was executed.
    if matches!(vertex.ending, Ending::Executed(_) | Ending::Failed(_)) {
        let fields = serde_json::to_string(&step.fields).unwrap_or_default();
        let sql = "INSERT OR IGNORE INTO build_inputs (key, fields) VALUES (?1, ?2)";
        transaction
            .prepare_cached(sql)?
            .execute((vertex.key.as_bytes(), fields))?;
    }
    Ok(())
}

fn is_known(transaction: &rusqlite::Transaction<'_>, step: &Key) -> rusqlite::Result<bool> {
    let mut statement =
        transaction.prepare_cached("SELECT 1 FROM build_vertices WHERE step = ?1 LIMIT 1")?;
    Ok(statement
        .query_row([step.as_bytes()], |_| Ok(()))
        .optional()?
        .is_some())
}

/// What a build counts for people: each step of its graph once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Steps that need not run.
    pub cached: usize,
    /// Steps that ran.
    pub executed: usize,
}

/// Counts endings, without the base images.
pub(crate) fn count<'a>(endings: impl Iterator<Item = &'a Ending>) -> Counts {
    endings.fold(Counts::default(), |mut counts, ending| {
        match ending {
            Ending::Hit(_) => counts.cached += 1,
            Ending::Executed(_) => counts.executed += 1,
            Ending::Failed(_) | Ending::Unreached => {}
        }
        counts
    })
}
