//! What a pool counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters since the start.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// Requests that workers have finished.
    requests: AtomicU64,
    request_microseconds: AtomicU64,
    /// Workers that ended without being told to.
    pub(super) crashes: AtomicU64,
    /// Workers that were replaced, for whatever reason.
    pub(super) restarts: AtomicU64,
    /// Requests refused because the queue was full.
    pub(super) refused: AtomicU64,
    /// Requests given to another worker because the first one died.
    pub(super) retries: AtomicU64,
}

/// Numbers of one moment; each is named after the metric of FrankenPHP that it gives.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PoolMetrics {
    /// `frankenphp_total_workers`: worker processes.
    pub total_workers: usize,
    /// `frankenphp_busy_workers`: those that serve a request.
    pub busy_workers: usize,
    /// `frankenphp_ready_workers`: those that have booted.
    pub ready_workers: usize,
    /// `frankenphp_worker_queue_depth`: requests that wait for a worker.
    pub queue_depth: usize,
    /// `frankenphp_worker_crashes`.
    pub crashes: u64,
    /// `frankenphp_worker_restarts`.
    pub restarts: u64,
    /// `frankenphp_worker_request_count`.
    pub requests: u64,
    /// `frankenphp_worker_request_time`, in seconds, of all requests together.
    pub request_seconds: f64,
    /// Requests refused because the queue was full.
    pub refused: u64,
    /// Requests given to another worker because the first one died.
    pub retries: u64,
}

impl Metrics {
    /// A request was finished after this time.
    pub(super) fn served(&self, time: Duration) {
        let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.request_microseconds
            .fetch_add(microseconds, Ordering::Relaxed);
    }

    /// The counters; the caller adds what is counted at the moment.
    pub(super) fn read(&self) -> PoolMetrics {
        let microseconds = self.request_microseconds.load(Ordering::Relaxed);
        PoolMetrics {
            crashes: self.crashes.load(Ordering::Relaxed),
            restarts: self.restarts.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
            request_seconds: Duration::from_micros(microseconds).as_secs_f64(),
            refused: self.refused.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
            ..PoolMetrics::default()
        }
    }
}
