//! The commands that are connected, what each waits for, and when it has it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;

use super::protocol::{Message, WaitFor};
use crate::model::Condition;
use crate::stack::{Container, Goal, HealthStatus, Millis, Phase, Stack, StackEvent};

/// A container without a health check counts as up when it has run for so long: most faults of its configuration show at once.
const FOOTING: Duration = Duration::from_millis(300);
/// Restarts in a row after which a container that is waited for counts as failed.
const PATIENCE: u32 = 3;

/// A connected command.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) sender: mpsc::Sender<Message>,
    pub(crate) waiting: Waiting,
}

/// What a command waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Its request has not come yet, or has been answered.
    Nothing,
    /// Events, for as long as it is connected.
    Events,
    /// These containers, by name, to be up, and these, by id, to be gone.
    Up {
        names: Vec<String>,
        gone: Vec<String>,
        wait: WaitFor,
    },
    /// These containers, by name, to be at rest.
    Rest(Vec<String>),
    /// These containers, by id, to be gone; then what is left to remove.
    Gone(Vec<String>, Leftovers),
    /// A one-off container of this name.
    OneOff(String),
}

/// What `down` removes after the containers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Leftovers {
    pub(crate) networks: bool,
    pub(crate) volumes: Vec<String>,
}

/// How far a wait has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    NotYet,
    Done,
    Failed(Vec<String>),
}

/// Whether containers are up.
pub(crate) fn is_up(stack: &Stack, names: &[String], wait: WaitFor) -> Verdict {
    let mut failures = Vec::new();
    let mut waits = false;
    let is_starting = |name: &String| {
        stack
            .containers
            .get(name)
            .is_some_and(|container| container.phase == Phase::Starting)
    };
    // What is being started is waited for even after a failure: it may fail, too, and all failures are told at once.
    if names.iter().any(is_starting) {
        return Verdict::NotYet;
    }
    for name in names {
        let verdict = match stack.containers.get(name) {
            Some(container) => container_is_up(container, wait, must_complete(stack, container)),
            None => Verdict::Failed(vec![format!("container `{name}` was removed meanwhile")]),
        };
        match verdict {
            Verdict::Done => {}
            Verdict::NotYet => waits = true,
            Verdict::Failed(messages) => failures.extend(messages),
        }
    }
    match (failures.is_empty(), waits) {
        (false, _) => Verdict::Failed(failures),
        (true, true) => Verdict::NotYet,
        (true, false) => Verdict::Done,
    }
}

/// Whether somebody waits for the container's end: then running is not yet all that is wanted of it.
fn must_complete(stack: &Stack, container: &Container) -> bool {
    let waits = |other: &Container| {
        let dependency = other.plan.service.depends_on.get(container.service());
        dependency
            .is_some_and(|dependency| dependency.condition == Condition::CompletedSuccessfully)
    };
    stack.containers.values().any(waits)
}

fn container_is_up(container: &Container, wait: WaitFor, must_complete: bool) -> Verdict {
    let name = &container.name;
    let failed = |message: String| Verdict::Failed(vec![message]);
    match &container.goal {
        Goal::Replace(_) | Goal::Restart => return Verdict::NotYet,
        Goal::Stop | Goal::Remove => {
            return failed(format!("container `{name}` was stopped meanwhile"));
        }
        Goal::Run => {}
    }
    match &container.phase {
        Phase::Waiting | Phase::Starting | Phase::Stopping { .. } | Phase::Removing => {
            Verdict::NotYet
        }
        Phase::Created => failed(format!("container `{name}` was not started")),
        Phase::Failed { message } => failed(format!("container `{name}`: {message}")),
        _ if wait == WaitFor::Started => Verdict::Done,
        Phase::Running { .. } if must_complete => Verdict::NotYet,
        Phase::Running {
            health: Some(health),
            ..
        } => match (health.status, &health.output) {
            (HealthStatus::Starting, _) => Verdict::NotYet,
            (HealthStatus::Healthy, _) => Verdict::Done,
            (HealthStatus::Unhealthy, output) if output.is_empty() => {
                failed(format!("container `{name}` is unhealthy"))
            }
            (HealthStatus::Unhealthy, output) => {
                failed(format!("container `{name}` is unhealthy: {output}"))
            }
        },
        Phase::Running {
            started,
            health: None,
        } => {
            let is_firm = Millis::now().since(*started) >= FOOTING;
            if is_firm {
                Verdict::Done
            } else {
                Verdict::NotYet
            }
        }
        Phase::Backoff { exit, .. } if container.restarts >= PATIENCE => {
            failed(format!("container `{name}` keeps exiting ({})", exit.code))
        }
        Phase::Backoff { .. } => Verdict::NotYet,
        Phase::Exited(ended) if ended.code == 0 => Verdict::Done,
        Phase::Exited(ended) => failed(format!("container `{name}` exited ({})", ended.code)),
    }
}

/// Whether a wait is over.
pub(crate) fn verdict(stack: &Stack, waiting: &Waiting) -> Verdict {
    let is = |done: bool| if done { Verdict::Done } else { Verdict::NotYet };
    match waiting {
        Waiting::Nothing | Waiting::Events => Verdict::NotYet,
        Waiting::Up { names, gone, wait } => match is_up(stack, names, *wait) {
            Verdict::Done
                if stack
                    .containers
                    .values()
                    .any(|container| gone.contains(&container.id)) =>
            {
                Verdict::NotYet
            }
            verdict => verdict,
        },
        Waiting::Rest(names) => is(names.iter().all(|name| match stack.containers.get(name) {
            None => true,
            Some(container) => matches!(
                container.phase,
                Phase::Exited(_) | Phase::Created | Phase::Failed { .. }
            ),
        })),
        Waiting::Gone(ids, _) => is(!stack
            .containers
            .values()
            .any(|container| ids.contains(&container.id))),
        Waiting::OneOff(name) => match stack.containers.get(name).map(|container| &container.phase)
        {
            Some(Phase::Failed { message }) => Verdict::Failed(vec![message.clone()]),
            None | Some(Phase::Exited(_)) => Verdict::Done,
            Some(_) => Verdict::NotYet,
        },
    }
}

/// All connected commands.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    all: BTreeMap<u64, Client>,
    last: u64,
}

impl Clients {
    pub(crate) fn add(&mut self, sender: mpsc::Sender<Message>) -> u64 {
        self.last += 1;
        self.all.insert(
            self.last,
            Client {
                sender,
                waiting: Waiting::Nothing,
            },
        );
        self.last
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<Client> {
        self.all.remove(&id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(crate) fn waiting(&self, id: u64) -> Option<&Waiting> {
        self.all.get(&id).map(|client| &client.waiting)
    }

    pub(crate) fn set_waiting(&mut self, id: u64, waiting: Waiting) {
        if let Some(client) = self.all.get_mut(&id) {
            client.waiting = waiting;
        }
    }

    /// Who waits for this one-off container.
    pub(crate) fn owner_of(&self, name: &str) -> Option<u64> {
        let owns = |client: &Client| matches!(&client.waiting, Waiting::OneOff(own) if own == name);
        self.all
            .iter()
            .find(|(_, client)| owns(client))
            .map(|(id, _)| *id)
    }

    /// Sends to one command; one that does not read is let go.
    pub(crate) fn send(&mut self, id: u64, message: Message) {
        if let Some(client) = self.all.get(&id)
            && client.sender.try_send(message).is_err()
        {
            self.all.remove(&id);
        }
    }

    /// Tells an event to everyone who asked for something.
    pub(crate) fn tell(&mut self, event: &StackEvent) {
        self.all.retain(|_, client| {
            client.waiting == Waiting::Nothing
                || client
                    .sender
                    .try_send(Message::Event(event.clone()))
                    .is_ok()
        });
    }

    /// When a wait may be over because time has passed.
    pub(crate) fn next_deadline(&self, stack: &Stack) -> Option<Millis> {
        let waits = self.all.values().filter(|client| {
            matches!(
                client.waiting,
                Waiting::Up {
                    wait: WaitFor::Healthy,
                    ..
                }
            )
        });
        waits
            .flat_map(|_| stack.containers.values())
            .filter_map(footing)
            .min()
    }

    /// The waits that are over.
    pub(crate) fn verdicts(&self, stack: &Stack) -> Vec<(u64, Waiting, Verdict)> {
        let judge = |(id, client): (&u64, &Client)| {
            (*id, client.waiting.clone(), verdict(stack, &client.waiting))
        };
        self.all
            .iter()
            .map(judge)
            .filter(|(_, _, verdict)| *verdict != Verdict::NotYet)
            .collect()
    }
}

/// When a container without a health check will count as up.
fn footing(container: &Container) -> Option<Millis> {
    match container.phase {
        Phase::Running {
            started,
            health: None,
        } => Some(started.after(FOOTING)).filter(|until| *until > Millis::now()),
        _ => None,
    }
}
