//! The record of builds: what ran, what did not and why, what it cost, and what each key was made of.
//!
//! A build writes rows ([`rows`]) and, for keys that were not seen before, what they are made of ([`mod@describe`]). Everything
//! else here only reads: [`past`] finds the last run of a step ([`same`]) and compares the two ([`compare`]) for [`mod@why`].

mod archive;
mod cause;
mod compare;
mod describe;
mod ending;
mod files;
mod forecast;
mod lines;
mod mask;
mod past;
mod report;
mod rows;
mod same;
mod why;

use howdah_image::StoreError;
use howdah_solver::Key;

pub use cause::Cause;
pub(crate) use describe::{Description, describe};
pub use ending::Counts;
pub(crate) use ending::{Ending, count};
pub use files::{FileChange, FileDifference};
pub use forecast::Forecast;
pub(crate) use forecast::forecast;
pub use lines::LineChange;
pub use report::{CountedBuild, Day, Part, Report, Selection, Tally, report};
pub use rows::StepOutcome;
pub(crate) use rows::{BuildRow, CACHE_NOT_ASKED, StepRow, milliseconds, save};
pub use why::{Answer, BuildSummary, Question, StepCost, Why, why};

/// The digests of contexts in the fields of a key as they are stored.
pub(crate) fn content_digests(fields: &str) -> Vec<[u8; 32]> {
    let fields: describe::KeptFields = serde_json::from_str(fields).unwrap_or_default();
    let digests = cause::contents(&fields)
        .into_iter()
        .filter_map(|digest| digest.parse::<Key>().ok());
    digests.map(|digest| *digest.as_bytes()).collect()
}

/// The digests of the files in a list as it is stored.
pub(crate) fn text_digests(files: &[u8]) -> Vec<[u8; 8]> {
    files::from_bytes(files)
        .unwrap_or_default()
        .into_iter()
        .map(|file| file.digest)
        .collect()
}

/// Why history could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The store has no build yet.
    #[error("no build has been recorded in this store")]
    NoBuild,
    /// There is no build of that number.
    #[error("no build has the number {0}")]
    UnknownBuild(i64),
    /// No step of the build is meant.
    #[error("build {build} has no step `{step}`")]
    UnknownStep {
        /// The build's number.
        build: i64,
        /// As asked for.
        step: String,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}
