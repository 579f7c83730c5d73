//! What a server and its workers do at the moment.

use serde::{Deserialize, Serialize};

use crate::pool::{Pool, WorkerState};
use crate::server::Operator;

/// A server at this moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// The process id of the front.
    pub pid: u32,
    /// Seconds since it began to serve.
    pub uptime_seconds: f64,
    /// Should it get requests?
    pub ready: bool,
    /// Connections that are open.
    pub connections: usize,
    /// Requests that are being answered.
    pub in_flight: usize,
    /// Responses since the start.
    pub responses: u64,
    /// Those of them with a status of 500 or more.
    pub failures: u64,
    /// Its PHP.
    pub pools: Vec<PoolStatus>,
}

/// A pool at this moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// `worker`, `fork` or `classic`.
    pub mode: String,
    /// Requests that wait for a worker.
    pub waiting: usize,
    /// Requests that were finished since the start.
    pub requests: u64,
    /// Workers that died since the start.
    pub crashes: u64,
    /// Workers that were replaced since the start.
    pub restarts: u64,
    /// Each worker.
    pub workers: Vec<WorkerState>,
}

pub(super) fn of(operator: &Operator) -> ServerStatus {
    let activity = &operator.handler.activity;
    let pools = operator.handler.backend.as_ref();
    let (mut responses, mut failures) = (0, 0);
    for (_, answered) in activity.answered() {
        for (status, count) in answered.statuses() {
            responses += count;
            failures += if status >= 500 { count } else { 0 };
        }
    }
    ServerStatus {
        pid: std::process::id(),
        uptime_seconds: operator.started.elapsed().as_secs_f64(),
        ready: activity.is_ready(),
        connections: activity.connections().0,
        in_flight: activity.active(),
        responses,
        failures,
        pools: pools.map_or_else(Vec::new, |backend| {
            backend.pools().into_iter().map(pool).collect()
        }),
    }
}

fn pool(pool: &Pool) -> PoolStatus {
    let metrics = pool.metrics();
    PoolStatus {
        name: pool.config().name.clone(),
        mode: pool.config().mode.name().to_owned(),
        waiting: metrics.queue_depth,
        requests: metrics.requests,
        crashes: metrics.crashes(),
        restarts: metrics.restarts(),
        workers: pool.workers(),
    }
}
