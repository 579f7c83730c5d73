//! What the workers of a pool do at the moment, for people and for metrics.

use std::sync::atomic::Ordering;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::cards::Cards;
use super::dispatch::Dispatch;
use super::metrics::PoolMetrics;
use super::worker::{Card, Phase};

/// A worker at this moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerState {
    /// Its process id.
    pub pid: i32,
    /// Which load of the code it runs; each reload begins another.
    pub generation: u64,
    /// `booting`, `idle`, `busy` or `ending`.
    pub state: String,
    /// Seconds since it came into this state.
    pub state_seconds: f64,
    /// Seconds since it was forked.
    pub age_seconds: f64,
    /// Requests it has served.
    pub requests: u64,
    /// What PHP had allocated after the last request, bytes.
    pub memory_bytes: u64,
    /// The method of the request it serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The path of that request. Not its query, in which there may be secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

pub(super) fn workers(cards: &Cards) -> Vec<WorkerState> {
    cards.list().iter().map(|card| of(card)).collect()
}

fn of(card: &Card) -> WorkerState {
    let (state, since, busy) = match &*card.phase() {
        Phase::Booting => ("booting", card.born, None),
        Phase::Idle { since } => ("idle", *since, None),
        Phase::Busy(busy) => {
            let request = (busy.method.to_string(), busy.path().to_owned());
            ("busy", busy.since, Some(request))
        }
        Phase::Ending { since } => ("ending", *since, None),
    };
    let (method, path) = busy.unzip();
    let seconds = |since: Instant| since.elapsed().as_secs_f64();
    WorkerState {
        pid: card.pid,
        generation: card.generation,
        state: state.to_owned(),
        state_seconds: seconds(since),
        age_seconds: seconds(card.born),
        requests: card.served.load(Ordering::Relaxed),
        memory_bytes: card.memory.load(Ordering::Relaxed),
        method,
        path,
    }
}

pub(super) fn metrics(dispatch: &Dispatch, cards: &Cards) -> PoolMetrics {
    let mut metrics = dispatch.metrics.read();
    metrics.queue_depth = dispatch.waiting();
    for card in cards.list() {
        metrics.total_workers += 1;
        let memory = card.memory.load(Ordering::Relaxed);
        metrics.memory_bytes += memory;
        metrics.largest_memory_bytes = metrics.largest_memory_bytes.max(memory);
        match &*card.phase() {
            Phase::Busy(_) => {
                metrics.busy_workers += 1;
                metrics.ready_workers += 1;
            }
            Phase::Idle { .. } => metrics.ready_workers += 1,
            Phase::Booting | Phase::Ending { .. } => {}
        }
    }
    metrics
}
