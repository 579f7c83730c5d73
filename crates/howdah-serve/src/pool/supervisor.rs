//! Keeps as many workers as are wanted: starts zygotes, has them fork, hands over from one generation to the next, kills what
//! takes too long. One task; everybody else sends it notices.

mod upcoming;

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use howdah_wire::control::{Event, Exit, Order, WIRE_VERSION};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;

use super::cards::Cards;
use super::config::{Mode, Size};
use super::dispatch::Dispatch;
use super::error::StartError;
use super::metrics::{Reason, count};
use super::worker::{Card, Phase, Process, Worker};
use super::zygote::{Message, Zygote};
use super::{logs, watchdog, welcome};
use crate::log::Level;
use upcoming::{Upcoming, back_off};

/// How often workers are looked after.
const TICK: Duration = Duration::from_millis(100);
/// For a zygote to end, when it has nothing more to do.
const END: Duration = Duration::from_secs(5);
/// Workers above the least number end when they had nothing to do for so long.
const IDLE: Duration = Duration::from_secs(30);

/// What the supervisor is told.
#[derive(Debug)]
pub(super) enum Notice {
    /// A zygote sent this, or is gone.
    Zygote(u64, Option<Message>),
    /// A worker has booted.
    Booted(Worker),
    /// A worker of a zygote that is gone has ended.
    Ended(u64, i32),
    /// A worker was told to end.
    Retired,
    /// A new generation is wanted.
    Reload(Answer),
    /// The end is wanted, for all workers by this moment.
    Stop(Instant, oneshot::Sender<()>),
}

/// Who waits for a new generation.
pub(super) type Answer = oneshot::Sender<Result<(), Arc<StartError>>>;

/// A zygote and its workers.
#[derive(Debug)]
struct Generation {
    zygote: Zygote,
    process: tokio::process::Child,
    reader: AbortHandle,
    /// It has said that it speaks what we do.
    greeted: bool,
    /// It has booted and takes orders.
    forks: bool,
    /// Forks that were ordered.
    ordered: usize,
}

/// See the module's head.
pub(super) struct Supervisor {
    dispatch: Arc<Dispatch>,
    cards: Cards,
    notices: mpsc::UnboundedReceiver<Notice>,
    generations: BTreeMap<u64, Generation>,
    current: Option<u64>,
    upcoming: Option<Upcoming>,
    /// Reloads asked for while another one is under way, which may have read the old code.
    later: Vec<Answer>,
    next_generation: u64,
    /// Workers to keep.
    wanted: usize,
    /// Consecutive failures of workers of the current generation, and when the next may be forked.
    failures: u32,
    fork_at: Instant,
    stopping: Option<Stopping>,
}

struct Stopping {
    deadline: Instant,
    answers: Vec<oneshot::Sender<()>>,
}

impl Supervisor {
    pub(super) fn new(
        dispatch: Arc<Dispatch>,
        cards: Cards,
        notices: mpsc::UnboundedReceiver<Notice>,
    ) -> Supervisor {
        let now = Instant::now();
        Supervisor {
            wanted: dispatch.config.size.least(),
            dispatch,
            cards,
            notices,
            generations: BTreeMap::new(),
            current: None,
            upcoming: None,
            later: Vec::new(),
            next_generation: 1,
            failures: 0,
            fork_at: now,
            stopping: None,
        }
    }

    /// Until the pool has stopped.
    pub(super) async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                notice = self.notices.recv() => match notice {
                    Some(notice) => self.notice(notice),
                    None => return,
                },
                _ = tick.tick() => self.tick(),
            }
            if self.stopping.is_some() && self.cards.is_empty() {
                self.close_all().await;
                return;
            }
        }
    }

    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Zygote(generation, Some(message)) => self.message(generation, message),
            Notice::Zygote(generation, None) => self.zygote_gone(generation),
            Notice::Booted(worker) => self.booted(worker),
            Notice::Ended(generation, pid) => self.exited(generation, pid, Exit::Signal(0)),
            Notice::Retired => self.fill(),
            Notice::Reload(answer) => self.reload(answer),
            Notice::Stop(deadline, answer) => self.stop(deadline, answer),
        }
    }

    fn message(&mut self, id: u64, message: Message) {
        let log = self.dispatch.log.clone();
        let Some(generation) = self.generations.get_mut(&id) else {
            return;
        };
        match message.event {
            Event::Hello { wire: WIRE_VERSION } => generation.greeted = true,
            Event::Hello { wire } => self.other_wire(id, wire),
            _ if !generation.greeted => self.other_wire(id, 0),
            Event::Booted {
                php_version,
                milliseconds,
            } => {
                generation.forks = true;
                let fields = json!({
                    "php_version": php_version, "milliseconds": milliseconds,
                    "mode": self.dispatch.config.mode.name(), "pool": self.dispatch.config.name,
                });
                logs::tell(&log, Level::Info, "PHP has started", fields);
                self.fill();
            }
            Event::Connections { peers } => {
                let message = "the worker script opens connections while it boots, which workers cannot share: \
                     each worker boots for itself";
                logs::tell(&log, Level::Warn, message, json!({ "peers": peers }));
                self.boot_in_workers(id);
            }
            Event::BootFailed { status, message } => {
                let fields = json!({ "exit_status": status, "error": message });
                logs::tell(&log, Level::Error, "the worker script did not boot", fields);
                self.upcoming_failed(id, message);
            }
            Event::Worker { pid } => self.forked(id, pid, message.descriptors),
            Event::ForkFailed { message } => {
                generation.ordered = generation.ordered.saturating_sub(1);
                logs::tell(
                    &log,
                    Level::Error,
                    "cannot fork a worker",
                    json!({ "error": message }),
                );
                self.worker_failed(id, message);
            }
            Event::Exited { pid, status } => self.exited(id, pid, status),
            Event::Log(line) => logs::written(&log, None, line),
        }
    }

    /// Starts again with a zygote that leaves the boot to the workers.
    fn boot_in_workers(&mut self, id: u64) {
        if let Some(generation) = self.generations.remove(&id) {
            tokio::spawn(generation.close());
        }
        if let Some(upcoming) = &mut self.upcoming
            && upcoming.generation == Some(id)
        {
            upcoming.generation = None;
            upcoming.preboot = false;
            self.try_upcoming();
        }
    }

    fn forked(&mut self, id: u64, pid: i32, descriptors: Vec<std::os::fd::OwnedFd>) {
        let Some(generation) = self.generations.get_mut(&id) else {
            return;
        };
        generation.ordered = generation.ordered.saturating_sub(1);
        let mut descriptors = descriptors.into_iter();
        let (Some(socket), Some(pidfd), Some(ledger)) =
            (descriptors.next(), descriptors.next(), descriptors.next())
        else {
            return;
        };
        let limit = watchdog::request_limit(self.dispatch.config.max_requests, pid);
        let process = Process { pid, pidfd, ledger };
        let card = Card::new(process, id, limit);
        let worker = match Worker::new(card, socket) {
            Ok(worker) => worker,
            Err(error) => {
                let fields = json!({ "pid": pid, "error": error.to_string() });
                logs::tell(
                    &self.dispatch.log,
                    Level::Error,
                    "cannot use a worker's socket",
                    fields,
                );
                return;
            }
        };
        self.cards.add(Arc::clone(&worker.card));
        if self.stopping.is_some() {
            self.dispatch.retire(worker, Reason::Stop);
        } else {
            tokio::spawn(welcome::wait_for_boot(Arc::clone(&self.dispatch), worker));
        }
    }

    fn booted(&mut self, worker: Worker) {
        let generation = worker.card.generation;
        if let Some(upcoming) = &mut self.upcoming
            && upcoming.generation == Some(generation)
        {
            *worker.card.phase() = Phase::Idle {
                since: Instant::now(),
            };
            upcoming.ready.push(worker);
            if upcoming.ready.len() >= self.wanted {
                self.hand_over(generation);
            }
        } else {
            self.failures = 0;
            self.dispatch.add(worker);
        }
    }

    /// The upcoming generation becomes the current one; the workers before it finish what they have in hand.
    fn hand_over(&mut self, generation: u64) {
        let Some(upcoming) = self.upcoming.take() else {
            return;
        };
        if self.current.replace(generation).is_some() {
            count(&self.dispatch.metrics.reloads);
        }
        self.failures = 0;
        self.dispatch.hand_over(generation, upcoming.ready);
        self.cards.retire_before(generation);
        for answer in upcoming.answers {
            answer.send(Ok(())).ok();
        }
        self.close_old();
        for answer in mem::take(&mut self.later) {
            self.reload(answer);
        }
    }

    fn exited(&mut self, id: u64, pid: i32, exit: Exit) {
        self.dispatch.forget(pid);
        if let Some(upcoming) = &mut self.upcoming {
            upcoming.ready.retain(|worker| worker.card.pid != pid);
        }
        if let Some(card) = self.cards.remove(pid) {
            let is_over = self.dispatch.config.mode == Mode::Fork && exit == Exit::Code(0);
            let has_booted = !matches!(*card.phase(), Phase::Booting);
            if card.is_retired() || !is_over {
                self.dispatch.metrics.ended(card.end_reason(exit));
            }
            if !card.is_retired() && !is_over {
                logs::ended(&self.dispatch.log, &card, exit);
            }
            if !has_booted && !card.is_retired() {
                self.worker_failed(id, format!("a worker ended before it was ready ({exit:?})"));
            }
        }
        self.close_old();
        self.fill();
    }

    /// A worker could not be started.
    fn worker_failed(&mut self, id: u64, reason: String) {
        if self
            .upcoming
            .as_ref()
            .is_some_and(|next| next.generation == Some(id))
        {
            self.upcoming_failed(id, reason);
        } else {
            self.failures += 1;
            self.fork_at = Instant::now() + back_off(self.failures);
        }
    }

    /// The current generation has no zygote any longer: without another there will soon be no workers.
    fn is_orphaned(&self) -> bool {
        self.current
            .is_some_and(|id| !self.generations.contains_key(&id))
    }

    fn zygote_gone(&mut self, id: u64) {
        let Some(generation) = self.generations.remove(&id) else {
            return;
        };
        tokio::spawn(generation.close());
        // Nobody else tells any longer when they end.
        for card in self.cards.list() {
            if card.generation == id {
                tokio::spawn(welcome::wait_for_end(card, self.dispatch.notices.clone()));
            }
        }
        if self.stopping.is_some() {
            return;
        }
        if self.current == Some(id) {
            let message = "the PHP zygote is gone, starting another";
            logs::tell(&self.dispatch.log, Level::Error, message, json!({}));
            self.begin_upcoming(Vec::new());
        }
        self.upcoming_failed(id, "the PHP zygote ended".into());
    }

    /// Orders the forks that are missing.
    fn fill(&mut self) {
        if self.stopping.is_some() {
            return;
        }
        let upcoming = self.upcoming.as_ref().and_then(|next| next.generation);
        let may_fork = Instant::now() >= self.fork_at;
        let current = self.current.filter(|_| may_fork);
        // In fork mode as many again are kept ahead of those that serve.
        let wanted = match self.dispatch.config.mode {
            Mode::Fork => 2 * self.wanted,
            Mode::Worker | Mode::Classic => self.wanted,
        };
        for id in current.into_iter().chain(upcoming) {
            let alive = self.cards.count(id);
            let Some(generation) = self.generations.get_mut(&id).filter(|one| one.forks) else {
                continue;
            };
            while alive + generation.ordered < wanted {
                if generation.zygote.order(&Order::Fork).is_err() {
                    break;
                }
                generation.ordered += 1;
            }
        }
    }

    fn tick(&mut self) {
        self.try_upcoming();
        self.resize();
        self.fill();
        watchdog::look_after(&self.cards, &self.dispatch);
        if let Some(stopping) = &self.stopping
            && Instant::now() >= stopping.deadline
        {
            for card in self.cards.kill_all() {
                logs::killed_at_end(&self.dispatch.log, &card);
            }
        }
    }

    /// More workers while requests wait, fewer while workers do.
    fn resize(&mut self) {
        let Size::Between { least, most } = self.dispatch.config.size else {
            return;
        };
        let Some(current) = self.current else {
            return;
        };
        let waiting = self.dispatch.waiting();
        if waiting > 0 {
            let more = waiting.min(self.wanted).max(1);
            self.wanted = (self.wanted + more).min(most);
        } else if self.wanted > least && self.cards.idle_since(current, IDLE) {
            self.wanted -= 1;
            self.dispatch.retire_idle(IDLE);
        }
    }

    fn stop(&mut self, deadline: Instant, answer: oneshot::Sender<()>) {
        let stopping = self.stopping.get_or_insert_with(|| Stopping {
            deadline,
            answers: Vec::new(),
        });
        stopping.answers.push(answer);
        let upcoming = self.upcoming.take();
        let answers = mem::take(&mut self.later);
        if let Some(upcoming) = upcoming {
            for worker in upcoming.ready {
                self.dispatch.retire(worker, Reason::Stop);
            }
            for answer in upcoming.answers.into_iter().chain(answers) {
                answer.send(Err(Arc::new(StartError::Stopping))).ok();
            }
        }
        self.dispatch.stop();
        self.cards.retire_all();
    }

    /// The last workers are gone: so may the zygotes.
    async fn close_all(&mut self) {
        for (_, generation) in mem::take(&mut self.generations) {
            generation.close().await;
        }
        for answer in self
            .stopping
            .take()
            .into_iter()
            .flat_map(|stopping| stopping.answers)
        {
            answer.send(()).ok();
        }
    }

    /// Zygotes without workers that are neither the current nor the upcoming one.
    fn close_old(&mut self) {
        let upcoming = self.upcoming.as_ref().and_then(|next| next.generation);
        let (cards, current) = (&self.cards, self.current);
        let is_old = |id: &u64, generation: &mut Generation| {
            let in_use = Some(*id) == current || Some(*id) == upcoming;
            !in_use && cards.count_all(*id) == 0 && generation.ordered == 0
        };
        for (_, generation) in self.generations.extract_if(.., is_old) {
            tokio::spawn(generation.close());
        }
    }
}

impl Generation {
    /// Lets the zygote end, and waits for it.
    async fn close(self) {
        self.reader.abort();
        let Generation {
            zygote,
            mut process,
            ..
        } = self;
        drop(zygote);
        if tokio::time::timeout(END, process.wait()).await.is_err() {
            // Its end is all that is wanted.
            process.kill().await.ok();
        }
    }
}
