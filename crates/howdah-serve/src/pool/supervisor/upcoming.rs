//! The generation that is to come: started, tried again when it fails, given up at last.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use howdah_wire::control::WIRE_VERSION;
use serde_json::json;
use tokio::sync::mpsc;

use super::{Answer, Generation, Notice, Supervisor};
use crate::log::Level;
use crate::pool::config::PoolConfig;
use crate::pool::error::StartError;
use crate::pool::logs;
use crate::pool::metrics::{Reason, count};
use crate::pool::worker::Worker;
use crate::pool::zygote::Zygote;

/// Attempts to start before a new generation is given up, as FrankenPHP's `max_consecutive_failures`.
const MAX_FAILURES: u32 = 6;

/// The generation that is to come.
#[derive(Debug)]
pub(super) struct Upcoming {
    /// None between two attempts.
    pub(super) generation: Option<u64>,
    /// Workers that have booted.
    pub(super) ready: Vec<Worker>,
    pub(super) failures: u32,
    pub(super) retry_at: Instant,
    pub(super) preboot: bool,
    pub(super) reason: String,
    pub(super) answers: Vec<Answer>,
}

impl Supervisor {
    pub(super) fn reload(&mut self, answer: Answer) {
        if self.stopping.is_some() {
            answer.send(Err(Arc::new(StartError::Stopping))).ok();
        } else if self.upcoming.is_some() {
            self.later.push(answer);
        } else {
            self.begin_upcoming(vec![answer]);
        }
    }

    pub(super) fn begin_upcoming(&mut self, answers: Vec<Answer>) {
        if self.upcoming.is_none() && self.stopping.is_none() {
            self.upcoming = Some(Upcoming {
                generation: None,
                ready: Vec::new(),
                failures: 0,
                retry_at: Instant::now(),
                preboot: true,
                reason: String::new(),
                answers,
            });
        }
        self.try_upcoming();
    }

    pub(super) fn try_upcoming(&mut self) {
        let Some(upcoming) = &mut self.upcoming else {
            return;
        };
        if upcoming.generation.is_some() || Instant::now() < upcoming.retry_at {
            return;
        }
        let id = self.next_generation;
        self.next_generation += 1;
        upcoming.generation = Some(id);
        match Zygote::start(&self.dispatch.config, upcoming.preboot) {
            Ok((zygote, process)) => {
                let reader = tokio::spawn(read(id, zygote.clone(), self.dispatch.notices.clone()));
                let generation = Generation {
                    zygote,
                    process,
                    reader: reader.abort_handle(),
                    greeted: false,
                    forks: false,
                    ordered: 0,
                };
                self.generations.insert(id, generation);
            }
            Err(error) => {
                let fields = json!({ "error": error.to_string() });
                logs::tell(&self.dispatch.log, Level::Error, "cannot start PHP", fields);
                self.upcoming_failed(id, error.to_string());
            }
        }
    }

    /// An attempt at a new generation failed; it is tried again a few times, because what it needs may be about to come.
    pub(super) fn upcoming_failed(&mut self, id: u64, reason: String) {
        let Some(upcoming) = &mut self.upcoming else {
            return;
        };
        if upcoming.generation != Some(id) {
            return;
        }
        upcoming.generation = None;
        upcoming.failures += 1;
        upcoming.reason = reason;
        upcoming.retry_at = Instant::now() + back_off(upcoming.failures);
        let ready = mem::take(&mut upcoming.ready);
        let is_hopeless = upcoming.failures >= MAX_FAILURES;
        for worker in ready {
            self.dispatch.retire(worker, Reason::Reload);
        }
        self.cards.retire(id);
        self.close_old();
        // A reload may be given up: the workers from before go on.
        let is_first = self.current.is_none();
        let patient = self.dispatch.config.patient && is_first || self.is_orphaned();
        if is_hopeless && !patient {
            self.give_up(|config, reason| StartError::NeverReady {
                script: config.what_runs(),
                reason,
            });
        }
    }

    /// The program is of another build than this one, and will be at the next attempt.
    pub(super) fn other_wire(&mut self, id: u64, theirs: u32) {
        if let Some(generation) = self.generations.remove(&id) {
            tokio::spawn(generation.close());
        }
        let error = |config: &PoolConfig, _| StartError::OtherWire {
            program: config.program.clone(),
            theirs,
            ours: WIRE_VERSION,
        };
        let message = error(&self.dispatch.config, String::new()).to_string();
        let fields = json!({ "error": message });
        logs::tell(&self.dispatch.log, Level::Error, "cannot start PHP", fields);
        self.upcoming_failed(id, message);
        // Without a zygote the workers dwindle: until the right program is put there, it is looked for.
        if !self.is_orphaned() {
            self.give_up(error);
        }
    }

    /// Tells all who wait for the upcoming generation that there will be none, and why.
    fn give_up(&mut self, error: impl FnOnce(&PoolConfig, String) -> StartError) {
        let Some(upcoming) = self.upcoming.take() else {
            return;
        };
        count(&self.dispatch.metrics.failed_reloads);
        let error = Arc::new(error(&self.dispatch.config, upcoming.reason));
        for answer in upcoming.answers {
            answer.send(Err(Arc::clone(&error))).ok();
        }
    }
}

/// n² · 100 ms, at most a second: FrankenPHP's.
pub(super) fn back_off(failures: u32) -> Duration {
    Duration::from_millis(100)
        .saturating_mul(failures.saturating_mul(failures))
        .min(Duration::from_secs(1))
}

async fn read(id: u64, zygote: Zygote, notices: mpsc::UnboundedSender<Notice>) {
    loop {
        let message = zygote.next().await.ok().flatten();
        let is_last = message.is_none();
        if notices.send(Notice::Zygote(id, message)).is_err() || is_last {
            return;
        }
    }
}
