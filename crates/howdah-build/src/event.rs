//! What a build tells while it runs.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Place;
use crate::transport::CacheError;

/// A step of the build as progress knows it.
#[derive(Clone, Debug)]
pub struct StepInfo {
    /// `[web composer-build 2/6] RUN composer install`
    pub name: String,
    /// Its line.
    pub place: Place,
}

/// Standard output or standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Why a step did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheHit {
    /// The same step with the same inputs ran before.
    Definition,
    /// Its inputs were made anew and came out the same.
    Content,
    /// Another build made it meanwhile.
    Elsewhere,
    /// What needs it did not run.
    Unneeded,
    /// The same files were copied before, onto another root filesystem.
    Layer,
    /// The same step with the same inputs ran elsewhere, and a cache knows its result (`--cache-from`).
    Imported,
}

/// One thing that happened. Steps are known by their number from 0; their infos come first, all at once.
#[derive(Clone, Debug)]
pub enum Event {
    /// The build knows its steps.
    Planned {
        /// All steps, inputs before what needs them.
        steps: Vec<StepInfo>,
    },
    /// A step is looked up, or runs.
    Started {
        /// Which one.
        step: usize,
    },
    /// A step's program wrote something.
    Output {
        /// Which one.
        step: usize,
        /// Where it wrote.
        stream: Stream,
        /// One line, without its end.
        line: String,
    },
    /// A step need not run.
    Cached {
        /// Which one.
        step: usize,
        /// Why not.
        hit: CacheHit,
    },
    /// A step ran.
    Finished {
        /// Which one.
        step: usize,
        /// How long.
        duration: Duration,
    },
    /// A step failed or was stopped.
    Failed {
        /// Which one.
        step: usize,
        /// After how long.
        duration: Duration,
    },
    /// A cache elsewhere cannot be used, or not all of it. The build goes on without.
    CacheFault {
        /// Which one.
        cache: String,
        /// Why not.
        error: Arc<CacheError>,
    },
}
