//! The cards of all workers of a pool.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::metrics::Reason;
use super::worker::{Card, Phase};

/// By process id. Cheap to clone; the supervisor changes it, everybody reads it.
#[derive(Debug, Clone, Default)]
pub(super) struct Cards(Arc<Mutex<BTreeMap<i32, Arc<Card>>>>);

impl Cards {
    fn all(&self) -> MutexGuard<'_, BTreeMap<i32, Arc<Card>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, card: Arc<Card>) {
        self.all().insert(card.pid, card);
    }

    pub(super) fn remove(&self, pid: i32) -> Option<Arc<Card>> {
        self.all().remove(&pid)
    }

    pub(super) fn list(&self) -> Vec<Arc<Card>> {
        self.all().values().map(Arc::clone).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// Workers of a generation that count: those that end do not.
    pub(super) fn count(&self, generation: u64) -> usize {
        let is_alive = |card: &&Arc<Card>| card.generation == generation && !card.is_retired();
        self.all().values().filter(is_alive).count()
    }

    /// Processes of a generation.
    pub(super) fn count_all(&self, generation: u64) -> usize {
        let is_of = |card: &&Arc<Card>| card.generation == generation;
        self.all().values().filter(is_of).count()
    }

    /// Is a worker idle for so long?
    pub(super) fn idle_since(&self, generation: u64, idle: Duration) -> bool {
        self.all().values().any(|card| {
            card.generation == generation
                && matches!(*card.phase(), Phase::Idle { since } if since.elapsed() >= idle)
        })
    }

    /// Those that are busy end when they have finished.
    pub(super) fn retire_before(&self, generation: u64) {
        self.retire_if(Reason::Reload, |card| card.generation < generation);
    }

    pub(super) fn retire(&self, generation: u64) {
        self.retire_if(Reason::Reload, |card| card.generation == generation);
    }

    pub(super) fn retire_all(&self) {
        self.retire_if(Reason::Stop, |_| true);
    }

    fn retire_if(&self, reason: Reason, is_meant: impl Fn(&Card) -> bool) {
        for card in self.all().values().filter(|card| is_meant(card)) {
            card.retire(reason);
        }
    }

    /// Gives those that are killed for the first time.
    pub(super) fn kill_all(&self) -> Vec<Arc<Card>> {
        let mut killed = self.list();
        for card in &killed {
            card.kill();
        }
        killed.retain(|card| !card.told.swap(true, Ordering::AcqRel));
        killed
    }
}
