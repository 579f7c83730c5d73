//! Who gets which worker: workers that wait, and requests that wait for one, in the order of their arrival.

use std::collections::BTreeMap;
use std::mem;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use howdah_wire::{Kind, Ready};
use http::Method;
use http::uri::PathAndQuery;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::config::{Mode, PoolConfig};
use super::error::PhpError;
use super::exchange::Broken;
use super::logs;
use super::metrics::{Metrics, Reason, count};
use super::supervisor::Notice;
use super::worker::{Busy, Card, Phase, Worker};
use crate::log::{Level, Log};

/// What the requests, the workers and the supervisor of a pool share.
#[derive(Debug)]
pub(super) struct Dispatch {
    pub(super) config: PoolConfig,
    pub(super) log: Log,
    pub(super) metrics: Metrics,
    pub(super) notices: mpsc::UnboundedSender<Notice>,
    runtime: Handle,
    desk: Mutex<Desk>,
}

#[derive(Debug, Default)]
struct Desk {
    /// Last in, first out: its memory is in the caches.
    idle: Vec<Worker>,
    waiting: BTreeMap<u64, oneshot::Sender<Lease>>,
    next_ticket: u64,
    /// Workers of another one are not given requests any more.
    generation: u64,
    busy: usize,
    stopping: bool,
}

/// A worker, for one request. Given back when the worker says it is ready; dropped before that, the worker is killed.
#[derive(Debug)]
pub(super) struct Lease {
    /// There until it is given back.
    worker: Option<Worker>,
    used: bool,
    dispatch: Arc<Dispatch>,
}

/// A place in the queue, left when it is dropped.
struct Ticket<'a> {
    number: u64,
    dispatch: &'a Dispatch,
}

/// The request a lease is for, as others see it.
pub(super) struct What {
    pub(super) method: Method,
    pub(super) target: Option<PathAndQuery>,
    pub(super) script: Arc<str>,
}

impl Dispatch {
    pub(super) fn new(
        config: PoolConfig,
        log: Log,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> Arc<Dispatch> {
        Arc::new(Dispatch {
            config,
            log,
            metrics: Metrics::default(),
            notices,
            runtime: Handle::current(),
            desk: Mutex::default(),
        })
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A free worker, or the next that becomes free.
    pub(super) async fn lease(self: &Arc<Self>, what: &What) -> Result<Lease, PhpError> {
        let (ticket, offer) = match self.idle_or_ticket()? {
            Place::Worker(worker) => {
                let lease = self.lend(worker);
                lease.describe(what);
                return Ok(lease);
            }
            Place::Queue(number, offer) => {
                let dispatch = &**self;
                (Ticket { number, dispatch }, offer)
            }
        };
        let (limit, since) = (self.config.max_wait, Instant::now());
        let lease = match tokio::time::timeout(limit, offer).await {
            Ok(Ok(lease)) => lease,
            Ok(Err(_)) => return Err(PhpError::Stopping),
            Err(_) => {
                count(&self.metrics.gave_up);
                return Err(PhpError::WaitedTooLong(limit));
            }
        };
        drop(ticket);
        self.metrics.waited(since.elapsed());
        lease.describe(what);
        Ok(lease)
    }

    fn idle_or_ticket(&self) -> Result<Place, PhpError> {
        let mut desk = self.desk();
        if desk.stopping {
            return Err(PhpError::Stopping);
        }
        if let Some(worker) = self.take_idle(&mut desk) {
            return Ok(Place::Worker(worker));
        }
        if desk.waiting.len() >= self.config.queue {
            count(&self.metrics.refused);
            return Err(PhpError::QueueFull(self.config.queue));
        }
        let (sender, offer) = oneshot::channel();
        let number = desk.next_ticket;
        desk.next_ticket += 1;
        desk.waiting.insert(number, sender);
        Ok(Place::Queue(number, offer))
    }

    fn take_idle(&self, desk: &mut Desk) -> Option<Worker> {
        if desk.busy >= self.busy_limit() {
            return None;
        }
        let worker = desk.idle.pop()?;
        desk.busy += 1;
        Some(worker)
    }

    /// In fork mode there are more workers than may be busy: the others are the next ones, forked ahead.
    fn busy_limit(&self) -> usize {
        match self.config.mode {
            Mode::Fork => self.config.size.most(),
            Mode::Worker | Mode::Classic => usize::MAX,
        }
    }

    fn lend(self: &Arc<Self>, worker: Worker) -> Lease {
        Lease {
            worker: Some(worker),
            used: false,
            dispatch: Arc::clone(self),
        }
    }

    /// A worker waits for a request: it gets the one that has waited longest, or joins those that have nothing to do.
    pub(super) fn add(self: &Arc<Self>, worker: Worker) {
        *worker.card.phase() = Phase::Idle {
            since: Instant::now(),
        };
        let unwanted = {
            let mut desk = self.desk();
            if desk.stopping {
                Some((worker, Reason::Stop))
            } else if worker.card.generation < desk.generation {
                Some((worker, Reason::Reload))
            } else {
                desk.idle.push(worker);
                None
            }
        };
        match unwanted {
            Some((worker, reason)) => self.retire(worker, reason),
            None => self.serve_waiting(),
        }
    }

    /// Brings idle workers and waiting requests together.
    fn serve_waiting(self: &Arc<Self>) {
        while let Some((sender, worker)) = self.next_pair() {
            // A client that left meanwhile gives the worker back by dropping the lease.
            drop(sender.send(self.lend(worker)));
        }
    }

    fn next_pair(&self) -> Option<(oneshot::Sender<Lease>, Worker)> {
        let mut desk = self.desk();
        if desk.waiting.is_empty() {
            return None;
        }
        let worker = self.take_idle(&mut desk)?;
        let (_, sender) = desk.waiting.pop_first()?;
        Some((sender, worker))
    }

    /// Has a worker end: it runs what the application has for this, and is killed if that takes too long.
    pub(super) fn retire(self: &Arc<Self>, worker: Worker, reason: Reason) {
        worker.card.retire(reason);
        *worker.card.phase() = Phase::Ending {
            since: Instant::now(),
        };
        // The supervisor may be gone at the end of the program, and then nobody replaces workers.
        self.notices.send(Notice::Retired).ok();
        let dispatch = Arc::clone(self);
        self.runtime.spawn(async move {
            let card = Arc::clone(&worker.card);
            let limit = dispatch.config.stop_timeout;
            if tokio::time::timeout(limit, wind_down(worker, &dispatch.log))
                .await
                .is_err()
            {
                logs::killed_at_end(&dispatch.log, &card);
                card.kill();
            }
        });
    }

    /// From now on only workers of this generation get requests.
    pub(super) fn hand_over(self: &Arc<Self>, generation: u64, workers: Vec<Worker>) {
        let old = {
            let mut desk = self.desk();
            desk.generation = generation;
            mem::take(&mut desk.idle)
        };
        for worker in workers {
            self.add(worker);
        }
        for worker in old {
            self.retire(worker, Reason::Reload);
        }
    }

    /// No more requests; the workers end as they become free.
    pub(super) fn stop(self: &Arc<Self>) {
        let (idle, waiting) = {
            let mut desk = self.desk();
            desk.stopping = true;
            (mem::take(&mut desk.idle), mem::take(&mut desk.waiting))
        };
        drop(waiting);
        for worker in idle {
            self.retire(worker, Reason::Stop);
        }
    }

    /// A worker is dead.
    pub(super) fn forget(&self, pid: i32) {
        self.desk().idle.retain(|worker| worker.card.pid != pid);
    }

    /// Retires the worker that has been idle longest, if for at least `idle`.
    pub(super) fn retire_idle(self: &Arc<Self>, idle: Duration) {
        let oldest = {
            let mut desk = self.desk();
            let is_old = |worker: &Worker| matches!(*worker.card.phase(), Phase::Idle { since } if since.elapsed() >= idle);
            // Taken from the end, so the first is the one used least.
            let found = desk.idle.first().is_some_and(is_old);
            found.then(|| desk.idle.remove(0))
        };
        if let Some(worker) = oldest {
            self.retire(worker, Reason::Idle);
        }
    }

    /// A script asked for new workers; nobody waits for them.
    fn reload(&self) {
        let message = "opcache_reset() was called: all workers are replaced";
        logs::tell(&self.log, Level::Info, message, Value::Null);
        let (answer, _) = oneshot::channel();
        self.notices.send(Notice::Reload(answer)).ok();
    }

    /// Requests that wait.
    pub(super) fn waiting(&self) -> usize {
        self.desk().waiting.len()
    }
}

/// What a request finds.
enum Place {
    Worker(Worker),
    Queue(u64, oneshot::Receiver<Lease>),
}

async fn wind_down(mut worker: Worker, log: &Log) {
    if worker.send(Kind::Drain).is_err() {
        return;
    }
    while let Ok((kind, payload)) = worker.frame().await {
        logs::from_worker(log, &worker.card, kind, &payload);
    }
}

impl Lease {
    fn describe(&self, what: &What) {
        if let Some(worker) = &self.worker {
            worker.card.given.fetch_add(1, Ordering::Relaxed);
            *worker.card.phase() = Phase::Busy(Busy {
                since: Instant::now(),
                method: what.method.clone(),
                target: what.target.clone(),
                script: Arc::clone(&what.script),
                asked: None,
            });
        }
    }

    /// The worker. From here on it may have been told something, and only its `Ready` makes it free.
    pub(super) fn worker(&mut self) -> Result<&mut Worker, Broken> {
        self.used = true;
        self.worker.as_mut().ok_or(Broken::Ended)
    }

    /// The worker waits for its next request.
    pub(super) fn give_back(mut self, ready: Ready) {
        let Some(worker) = self.worker.take() else {
            return;
        };
        let card = &worker.card;
        card.served.store(ready.served, Ordering::Relaxed);
        card.memory.store(ready.memory_bytes, Ordering::Relaxed);
        self.count_time(card);
        let memory_limit = self.dispatch.config.memory_limit.unwrap_or(u64::MAX);
        let used_up = if ready.served >= card.request_limit {
            Some(Reason::Requests)
        } else {
            (ready.memory_bytes > memory_limit).then_some(Reason::Memory)
        };
        self.dispatch.desk().busy -= 1;
        if let Some(reason) = used_up {
            self.dispatch.retire(worker, reason);
            self.dispatch.serve_waiting();
        } else {
            self.dispatch.add(worker);
        }
    }

    fn count_time(&self, card: &Card) {
        if let Phase::Busy(busy) = &*card.phase() {
            self.dispatch.metrics.served(busy.since.elapsed());
        }
    }

    /// A line of the worker for the log.
    pub(super) fn tell(&self, kind: Kind, payload: &Bytes) {
        if kind == Kind::Reload {
            self.dispatch.reload();
        } else if let Some(worker) = &self.worker {
            logs::from_worker(&self.dispatch.log, &worker.card, kind, payload);
        }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.worker
            .as_ref()
            .is_none_or(|worker| worker.card.has_begun())
    }

    pub(super) fn runtime(&self) -> Handle {
        self.dispatch.runtime.clone()
    }

    /// Was the worker killed because of its wall-clock limit?
    pub(super) fn is_overdue(&self) -> bool {
        let worker = self.worker.as_ref();
        worker.is_some_and(|worker| worker.card.is_overdue())
    }
}

/// Without a `Ready` nobody knows what the worker is about: it is killed, unless it was never told anything.
impl Drop for Lease {
    fn drop(&mut self) {
        let Some(worker) = self.worker.take() else {
            return;
        };
        self.dispatch.desk().busy -= 1;
        if self.used {
            self.count_time(&worker.card);
            worker.card.kill();
            self.dispatch.serve_waiting();
        } else {
            self.dispatch.add(worker);
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.dispatch.desk().waiting.remove(&self.number);
    }
}
