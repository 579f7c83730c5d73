//! What a pool counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Why a worker was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It had served as many requests as a worker may.
    Requests,
    /// It held more memory than a worker may.
    Memory,
    /// Its request took too long.
    Timeout,
    /// It died.
    Crash,
    /// Its script came to an end.
    Exit,
    /// The code is read anew.
    Reload,
    /// Fewer workers were enough.
    Idle,
    /// The pool stops.
    Stop,
}

impl Reason {
    /// All of them.
    const ALL: [Reason; 8] = [
        Reason::Requests,
        Reason::Memory,
        Reason::Timeout,
        Reason::Crash,
        Reason::Exit,
        Reason::Reload,
        Reason::Idle,
        Reason::Stop,
    ];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Requests => "requests",
            Reason::Memory => "memory",
            Reason::Timeout => "timeout",
            Reason::Crash => "crash",
            Reason::Exit => "exit",
            Reason::Reload => "reload",
            Reason::Idle => "idle",
            Reason::Stop => "stop",
        }
    }
}

/// Counters since the start.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// Requests that workers have finished.
    requests: AtomicU64,
    request_microseconds: AtomicU64,
    /// Requests that waited for a worker.
    queued: AtomicU64,
    queue_microseconds: AtomicU64,
    /// Workers that ended, by [`Reason`].
    ended: [AtomicU64; Reason::ALL.len()],
    /// Requests refused because the queue was full.
    pub(super) refused: AtomicU64,
    /// Requests refused because they had waited too long.
    pub(super) gave_up: AtomicU64,
    /// Requests given to another worker because the first one died.
    pub(super) retries: AtomicU64,
    /// Requests whose worker was killed because they took too long.
    pub(super) timeouts: AtomicU64,
    /// Requests that were logged because they were slow.
    pub(super) slow: AtomicU64,
    /// Times that all workers were replaced by new ones.
    pub(super) reloads: AtomicU64,
    /// Times that they could not be, and went on.
    pub(super) failed_reloads: AtomicU64,
}

/// Numbers of one moment, and counters since the start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PoolMetrics {
    /// Worker processes.
    pub total_workers: usize,
    /// Those that serve a request.
    pub busy_workers: usize,
    /// Those that have booted.
    pub ready_workers: usize,
    /// Requests that wait for a worker.
    pub queue_depth: usize,
    /// What PHP had allocated in all workers after their last requests, bytes.
    pub memory_bytes: u64,
    /// The same of the worker that has most.
    pub largest_memory_bytes: u64,
    /// Workers that have ended, and why.
    pub ended: Vec<(Reason, u64)>,
    /// Requests that workers have finished.
    pub requests: u64,
    /// The time of all these requests together, seconds.
    pub request_seconds: f64,
    /// Requests that waited for a worker and got one.
    pub queued: u64,
    /// How long these waited together, seconds.
    pub queue_seconds: f64,
    /// Requests refused because the queue was full.
    pub refused: u64,
    /// Requests refused because they had waited too long.
    pub gave_up: u64,
    /// Requests given to another worker because the first one died.
    pub retries: u64,
    /// Requests whose worker was killed because they took too long.
    pub timeouts: u64,
    /// Requests that were logged because they were slow.
    pub slow: u64,
    /// Times that all workers were replaced by new ones.
    pub reloads: u64,
    /// Times that they could not be, and went on.
    pub failed_reloads: u64,
}

impl PoolMetrics {
    /// Workers that ended without being told to.
    pub fn crashes(&self) -> u64 {
        self.ended_by(|reason| matches!(reason, Reason::Crash | Reason::Timeout))
    }

    /// Workers that were replaced, for whatever reason.
    pub fn restarts(&self) -> u64 {
        self.ended_by(|reason| !matches!(reason, Reason::Idle | Reason::Stop))
    }

    fn ended_by(&self, is_meant: impl Fn(Reason) -> bool) -> u64 {
        let meant = self.ended.iter().filter(|(reason, _)| is_meant(*reason));
        meant.map(|(_, count)| count).sum()
    }
}

/// One more.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Metrics {
    /// A request was finished after this time.
    pub(super) fn served(&self, time: Duration) {
        count(&self.requests);
        add(&self.request_microseconds, time);
    }

    /// A request got a worker after this time.
    pub(super) fn waited(&self, time: Duration) {
        count(&self.queued);
        add(&self.queue_microseconds, time);
    }

    /// A worker has ended.
    pub(super) fn ended(&self, reason: Reason) {
        count(&self.ended[reason as usize]);
    }

    /// The counters; the caller adds what is counted at the moment.
    pub(super) fn read(&self) -> PoolMetrics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let seconds = |counter| Duration::from_micros(read(counter)).as_secs_f64();
        let ended = |reason: Reason| (reason, read(&self.ended[reason as usize]));
        PoolMetrics {
            ended: Reason::ALL.map(ended).into(),
            requests: read(&self.requests),
            request_seconds: seconds(&self.request_microseconds),
            queued: read(&self.queued),
            queue_seconds: seconds(&self.queue_microseconds),
            refused: read(&self.refused),
            gave_up: read(&self.gave_up),
            retries: read(&self.retries),
            timeouts: read(&self.timeouts),
            slow: read(&self.slow),
            reloads: read(&self.reloads),
            failed_reloads: read(&self.failed_reloads),
            ..PoolMetrics::default()
        }
    }
}

fn add(counter: &AtomicU64, time: Duration) {
    let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    counter.fetch_add(microseconds, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_counted_by_their_reason() {
        let metrics = Metrics::default();
        for reason in Reason::ALL {
            metrics.ended(reason);
        }
        metrics.ended(Reason::Reload);
        let read = metrics.read();
        assert!(read.ended.contains(&(Reason::Reload, 2)), "{read:?}");
        assert_eq!((read.crashes(), read.restarts()), (2, 7));
    }
}
