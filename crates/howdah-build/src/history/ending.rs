//! How vertices end, and what a build counts.

use std::time::Duration;

use howdah_solver::{Hit, Resolution};

use super::rows::StepOutcome;
use crate::event::CacheHit;

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

    /// As it stands in the database: the outcome, and how it was found or why it ran.
    pub(super) fn outcome(self) -> (StepOutcome, &'static str) {
        match self {
            Ending::Hit(CacheHit::Definition) => (StepOutcome::Hit, "definition"),
            Ending::Hit(CacheHit::Content) => (StepOutcome::Hit, "content"),
            Ending::Hit(CacheHit::Elsewhere) => (StepOutcome::Hit, "elsewhere"),
            Ending::Hit(CacheHit::Unneeded) => (StepOutcome::Hit, "unneeded"),
            Ending::Hit(CacheHit::Layer) => (StepOutcome::Hit, "layer"),
            Ending::Hit(CacheHit::Imported) => (StepOutcome::Hit, "imported"),
            Ending::Executed(_) => (StepOutcome::Executed, "changed"),
            Ending::Failed(_) => (StepOutcome::Failed, "failed"),
            Ending::Unreached => (StepOutcome::Unreached, "unreached"),
        }
    }

    /// How long it ran, in seconds.
    pub(super) fn seconds(self) -> f64 {
        self.duration().unwrap_or_default().as_secs_f64()
    }

    /// How long it ran, if it did.
    pub(crate) fn duration(self) -> Option<Duration> {
        match self {
            Ending::Executed(duration) | Ending::Failed(duration) => Some(duration),
            Ending::Hit(_) | Ending::Unreached => None,
        }
    }
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
