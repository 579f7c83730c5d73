//! Where a build's time goes.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A part of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Opening the database and bringing its tables up to date.
    Database,
    /// Reading Dockerfiles.
    Parse,
    /// Finding base images, and pulling those that are not here.
    Bases,
    /// Walking contexts and reading what changed in them.
    Contexts,
    /// Making the graph: selecting files and computing keys.
    Graph,
    /// Asking the cache.
    Lookup,
    /// Running steps, and everything else of the solver.
    Steps,
    /// Writing images down.
    Images,
    /// Writing the history down.
    History,
    /// What is in no other phase.
    Rest,
}

impl Phase {
    /// All, in the order in which a build goes through them.
    const ALL: [Phase; 10] = [
        Phase::Database,
        Phase::Parse,
        Phase::Bases,
        Phase::Contexts,
        Phase::Graph,
        Phase::Lookup,
        Phase::Steps,
        Phase::Images,
        Phase::History,
        Phase::Rest,
    ];

    /// The phase in which this one lies.
    fn outer(self) -> Phase {
        match self {
            Phase::Parse | Phase::Bases | Phase::Contexts => Phase::Graph,
            Phase::Lookup => Phase::Steps,
            _ => Phase::Rest,
        }
    }
}

/// Phases as they are measured.
#[derive(Debug, Default)]
pub(crate) struct Timings(Mutex<[Duration; Phase::ALL.len()]>);

impl Timings {
    /// Does some work and counts its time for `phase`.
    pub(crate) fn measure<T>(&self, phase: Phase, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = work();
        let mut measured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        measured[phase as usize] += began.elapsed();
        result
    }

    /// All phases, each without those inside it.
    pub(crate) fn phases(&self, total: Duration) -> Vec<(Phase, Duration)> {
        let mut own = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let measured = own;
        own[Phase::Rest as usize] = total;
        for phase in Phase::ALL {
            let outer = phase.outer();
            if outer != phase {
                // Steps that run at once may ask the cache longer than they run.
                own[outer as usize] = own[outer as usize].saturating_sub(measured[phase as usize]);
            }
        }
        Phase::ALL.into_iter().zip(own).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_phases_are_taken_out_of_outer_ones() {
        let timings = Timings::default();
        let seconds = Duration::from_secs;
        {
            let mut measured = timings.0.lock().unwrap();
            measured[Phase::Graph as usize] = seconds(10);
            measured[Phase::Parse as usize] = seconds(1);
            measured[Phase::Contexts as usize] = seconds(4);
            measured[Phase::Steps as usize] = seconds(5);
        }
        assert_eq!(timings.measure(Phase::Images, || 7), 7);
        let phases = timings.phases(seconds(20));
        let of = |wanted: Phase| {
            phases
                .iter()
                .find(|(phase, _)| *phase == wanted)
                .map(|(_, time)| time.as_secs())
        };
        assert_eq!(of(Phase::Graph), Some(5));
        assert_eq!(of(Phase::Steps), Some(5));
        assert!(of(Phase::Rest) <= Some(5) && of(Phase::Rest) >= Some(4));
    }
}
