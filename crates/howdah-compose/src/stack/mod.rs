//! A running stack as a pure state machine: events in, effects out, time passed in.
//!
//! Each container has a goal and a phase. [`Stack::step`] brings phases nearer to goals and says what has to be done outside;
//! what comes of it returns through `started`, `exited`, `probed` and `removed`. Everything is written down between two steps,
//! so another keeper can take over at any point.

mod container;
mod dependencies;
mod diff;
mod event;
mod health;
mod operate;
mod restart;
mod time;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

pub use container::{BoundPort, Container, ContainerPlan, Ended, Goal, Phase};
pub use diff::{
    Desired, DiffOptions, Recreate, RecreateReason, StackAction, container_name, diff,
    wanted_services,
};
pub use event::{Change, StackEvent, Subject};
pub(crate) use health::MOST_OUTPUT;
pub use health::{Health, HealthPlan, HealthStatus, Probe};
pub use operate::Selection;
pub use time::Millis;

use dependencies::{Readiness, readiness};

/// The state of one project's stack.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Stack {
    /// The project's name.
    pub project: String,
    /// The project's directory, as the last `up` had it.
    pub directory: PathBuf,
    /// Its Compose files, as the last `up` had them.
    pub files: Vec<PathBuf>,
    /// Its networks, by key.
    pub networks: BTreeMap<String, NetworkState>,
    /// The full names of the volumes it made.
    pub volumes: Vec<String>,
    /// Its containers, by name.
    pub containers: BTreeMap<String, Container>,
    /// What happened since the last look.
    #[serde(skip)]
    pub events: Vec<StackEvent>,
}

/// A network that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkState {
    /// Its full name.
    pub name: String,
    /// The bridge's interface name.
    pub bridge: String,
    /// Its addresses.
    pub subnet: Ipv4Net,
    /// The host's address in it, where names are resolved.
    pub gateway: Ipv4Addr,
    /// No way out.
    pub internal: bool,
}

/// Something to be done outside the state machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Start a container; the answer is `started` or `start_failed`.
    Start(String),
    /// Send a signal to a container.
    Signal(String, i32),
    /// Run a container's health check; the answer is `probed`.
    Probe(String),
    /// Remove a container and what belongs to it; the answer is `removed`.
    Remove(String),
}

const SIGKILL: i32 = 9;

impl Stack {
    /// Does everything that can be done now.
    pub fn step(&mut self, now: Millis) -> Vec<Effect> {
        let mut effects = Vec::new();
        // A change of one container may let another go on, so this runs until nothing moves.
        loop {
            let names: Vec<String> = self.containers.keys().cloned().collect();
            let before = effects.len();
            let mut moved = false;
            for name in names {
                moved |= self.step_container(&name, now, &mut effects);
            }
            if !moved && effects.len() == before {
                return effects;
            }
        }
    }

    /// When `step` has to be called again if nothing happens before.
    pub fn next_deadline(&self) -> Option<Millis> {
        let deadline = |container: &Container| match &container.phase {
            Phase::Running {
                health: Some(health),
                ..
            } => health.due(),
            Phase::Stopping {
                until,
                killed: false,
                ..
            }
            | Phase::Backoff { until, .. } => Some(*until),
            _ => None,
        };
        self.containers.values().filter_map(deadline).min()
    }

    /// Moves one container; says whether its phase or goal changed.
    fn step_container(&mut self, name: &str, now: Millis, effects: &mut Vec<Effect>) -> bool {
        let Some(container) = self.containers.get(name) else {
            return false;
        };
        let wants_run = container.goal == Goal::Run;
        match &container.phase {
            Phase::Waiting if wants_run => self.try_start(name, now, effects),
            Phase::Running {
                health: Some(health),
                ..
            } if wants_run && health.due().is_some_and(|due| due <= now) => {
                self.begin_probe(name);
                effects.push(Effect::Probe(name.to_owned()));
                true
            }
            Phase::Backoff { until, .. } if wants_run && *until <= now => {
                self.tell(name, now, Change::Restarting);
                self.set_phase(name, Phase::Starting);
                effects.push(Effect::Start(name.to_owned()));
                true
            }
            Phase::Running { started, .. } if !wants_run && self.may_stop(container) => {
                let (started, signal) = (*started, container.plan.stop_signal);
                let until = now.after(container.stop_grace());
                self.set_phase(
                    name,
                    Phase::Stopping {
                        started,
                        until,
                        killed: false,
                    },
                );
                self.tell(name, now, Change::Stopping);
                effects.push(Effect::Signal(name.to_owned(), signal));
                true
            }
            Phase::Stopping {
                started,
                until,
                killed: false,
            } if *until <= now => {
                let (started, until, grace) = (*started, *until, container.stop_grace().as_secs());
                self.set_phase(
                    name,
                    Phase::Stopping {
                        started,
                        until,
                        killed: true,
                    },
                );
                self.tell(name, now, Change::Killed { grace });
                effects.push(Effect::Signal(name.to_owned(), SIGKILL));
                true
            }
            Phase::Waiting
            | Phase::Created
            | Phase::Failed { .. }
            | Phase::Exited(_)
            | Phase::Backoff { .. }
                if !wants_run =>
            {
                self.rest(name, effects)
            }
            _ => false,
        }
    }

    fn try_start(&mut self, name: &str, now: Millis, effects: &mut Vec<Effect>) -> bool {
        match self.dependencies_of(&self.containers[name]) {
            Readiness::Wait => false,
            Readiness::Ready => {
                self.set_phase(name, Phase::Starting);
                self.tell(name, now, Change::Starting);
                effects.push(Effect::Start(name.to_owned()));
                true
            }
            Readiness::Never(message) => {
                self.tell(
                    name,
                    now,
                    Change::Failed {
                        message: message.clone(),
                    },
                );
                self.set_phase(name, Phase::Failed { message });
                true
            }
        }
    }

    fn dependencies_of(&self, container: &Container) -> Readiness {
        if container.no_deps {
            return Readiness::Ready;
        }
        let mut result = Readiness::Ready;
        for (service, dependency) in &container.plan.service.depends_on {
            match readiness(service, dependency, self.of_service(service)) {
                Readiness::Ready => {}
                Readiness::Wait => result = Readiness::Wait,
                never @ Readiness::Never(_) => return never,
            }
        }
        result
    }

    /// The containers of a service, one-off ones left out.
    pub fn of_service<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Container> {
        self.containers
            .values()
            .filter(move |container| container.service() == service && !container.one_off)
    }

    /// Whether nobody who is to stop as well still needs it.
    fn may_stop(&self, container: &Container) -> bool {
        let needs = |other: &Container| {
            other.name != container.name
                && other.goal != Goal::Run
                && other.is_active()
                && other
                    .plan
                    .service
                    .depends_on
                    .contains_key(container.service())
        };
        container.one_off || !self.containers.values().any(needs)
    }

    /// What comes after a container has come to rest with another goal than running.
    fn rest(&mut self, name: &str, effects: &mut Vec<Effect>) -> bool {
        let Some(container) = self.containers.get_mut(name) else {
            return false;
        };
        let resting = match &container.phase {
            Phase::Backoff { exit, .. } | Phase::Exited(exit) => Phase::Exited(*exit),
            _ => Phase::Created,
        };
        match container.goal {
            Goal::Run => false,
            Goal::Stop => {
                let moved = container.phase != resting;
                container.phase = resting;
                moved
            }
            Goal::Restart => {
                container.goal = Goal::Run;
                container.phase = Phase::Waiting;
                true
            }
            Goal::Remove | Goal::Replace(_) => {
                container.phase = Phase::Removing;
                effects.push(Effect::Remove(name.to_owned()));
                true
            }
        }
    }

    /// A container's program runs.
    pub fn started(&mut self, name: &str, ports: Vec<BoundPort>, now: Millis) {
        let Some(container) = self.containers.get_mut(name) else {
            return;
        };
        if container.phase == Phase::Starting {
            let health = container.plan.health.as_ref().map(|_| Health::new(now));
            container.phase = Phase::Running {
                started: now,
                health,
            };
            container.ports = ports;
            self.tell(name, now, Change::Started);
        }
    }

    /// A container could not be started.
    pub fn start_failed(&mut self, name: &str, message: String, now: Millis) {
        if self
            .containers
            .get(name)
            .is_some_and(|container| container.phase == Phase::Starting)
        {
            self.tell(
                name,
                now,
                Change::Failed {
                    message: message.clone(),
                },
            );
            self.set_phase(name, Phase::Failed { message });
        }
    }

    /// A container's program ended.
    pub fn exited(&mut self, name: &str, ended: Ended, now: Millis) {
        let Some(container) = self.containers.get_mut(name) else {
            return;
        };
        let Ended {
            code,
            oom_killed,
            finished,
        } = ended;
        let (expected, began) = match &container.phase {
            Phase::Stopping { started, .. } => (true, *started),
            Phase::Running { started, .. } => (false, *started),
            Phase::Starting => (false, finished),
            _ => return,
        };
        let attempts = restart::attempts_after(container.restarts, began, finished);
        let pause = restart::pause(container.plan.service.restart, code, attempts);
        container.phase = match pause
            .filter(|_| !expected && container.goal == Goal::Run && !container.one_off)
        {
            Some(pause) => {
                container.restarts = attempts + 1;
                Phase::Backoff {
                    until: now.after(pause),
                    exit: ended,
                }
            }
            None => Phase::Exited(ended),
        };
        self.tell(
            name,
            now,
            Change::Exited {
                code,
                oom_killed,
                expected,
            },
        );
    }

    /// A one-off container's command is gone before its program ran.
    pub(crate) fn lose(&mut self, name: &str, ended: Ended) {
        if let Some(container) = self.containers.get_mut(name) {
            container.phase = Phase::Exited(ended);
            if container.remove_after {
                container.goal = Goal::Remove;
            }
        }
    }

    fn begin_probe(&mut self, name: &str) {
        if let Some(Container {
            phase:
                Phase::Running {
                    health: Some(health),
                    ..
                },
            ..
        }) = self.containers.get_mut(name)
        {
            health.begin();
        }
    }

    /// A health check has a result.
    pub fn probed(&mut self, name: &str, probe: Probe, now: Millis) {
        let Some(container) = self.containers.get_mut(name) else {
            return;
        };
        let Some(plan) = &container.plan.health else {
            return;
        };
        let Phase::Running {
            started,
            health: Some(health),
        } = &mut container.phase
        else {
            return;
        };
        let before = health.status;
        health.finish(plan, probe, *started, now);
        let change = match health.status {
            status if status == before => return,
            HealthStatus::Healthy => Change::Healthy,
            HealthStatus::Unhealthy => Change::Unhealthy {
                output: health.output.clone(),
            },
            HealthStatus::Starting => return,
        };
        self.tell(name, now, change);
    }

    /// A container is gone; the one that replaces it takes its place.
    pub fn removed(&mut self, name: &str, now: Millis) {
        let is_removing = self
            .containers
            .get(name)
            .is_some_and(|container| container.phase == Phase::Removing);
        if !is_removing {
            return;
        }
        self.tell(name, now, Change::Removed);
        if let Some(Container {
            goal: Goal::Replace(next),
            ..
        }) = self.containers.remove(name)
        {
            self.containers.insert(name.to_owned(), *next);
            self.tell(name, now, Change::Created);
        }
    }

    /// Prepares for another keeper's life: checks that were under way are due again.
    pub fn adopt(&mut self, now: Millis) {
        for container in self.containers.values_mut() {
            if let Phase::Running {
                health: Some(health),
                ..
            } = &mut container.phase
            {
                health.resume(now);
            }
        }
    }

    fn set_phase(&mut self, name: &str, phase: Phase) {
        if let Some(container) = self.containers.get_mut(name) {
            container.phase = phase;
        }
    }

    /// Notes an event about a container.
    pub(crate) fn tell(&mut self, name: &str, at: Millis, change: Change) {
        if let Some(container) = self.containers.get(name) {
            let subject = Subject::Container {
                id: container.id.clone(),
                name: name.to_owned(),
                service: container.service().to_owned(),
                index: container.index,
            };
            self.events.push(StackEvent {
                at,
                subject,
                change,
            });
        }
    }

    /// Nothing has a process, will have one, or is being removed.
    pub fn is_at_rest(&self) -> bool {
        let rests = |container: &Container| {
            matches!(
                container.phase,
                Phase::Exited(_) | Phase::Created | Phase::Failed { .. }
            ) && matches!(container.goal, Goal::Run | Goal::Stop)
        };
        self.containers.values().all(rests)
    }
}
