//! The commands that are connected, what each waits for, and when it has it.

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use super::protocol::{Message, WaitFor};
use crate::stack::{Container, Goal, HealthStatus, Phase, Stack, StackEvent};

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
    /// These containers, by name, to be up.
    Up(Vec<String>, WaitFor),
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
    for name in names {
        let verdict = match stack.containers.get(name) {
            Some(container) => container_is_up(container, wait),
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

fn container_is_up(container: &Container, wait: WaitFor) -> Verdict {
    let name = &container.name;
    let failed = |message: String| Verdict::Failed(vec![message]);
    match (&container.goal, &container.phase) {
        (Goal::Replace(_) | Goal::Restart, _) => Verdict::NotYet,
        (Goal::Stop | Goal::Remove, _) => failed(format!("container `{name}` was stopped meanwhile")),
        (Goal::Run, Phase::Waiting | Phase::Starting | Phase::Stopping { .. } | Phase::Removing) => Verdict::NotYet,
        (Goal::Run, Phase::Created) => failed(format!("container `{name}` was not started")),
        (Goal::Run, Phase::Failed { message }) => failed(format!("container `{name}`: {message}")),
        (Goal::Run, Phase::Backoff { .. } | Phase::Running { .. } | Phase::Exited(_)) if wait == WaitFor::Started => {
            Verdict::Done
        }
        (Goal::Run, Phase::Running { health: Some(health), .. }) => match health.status {
            HealthStatus::Starting => Verdict::NotYet,
            HealthStatus::Healthy => Verdict::Done,
            HealthStatus::Unhealthy if health.output.is_empty() => failed(format!("container `{name}` is unhealthy")),
            HealthStatus::Unhealthy => failed(format!("container `{name}` is unhealthy: {}", health.output)),
        },
        // A program that keeps ending may look up between two ends.
        (Goal::Run, Phase::Running { health: None, .. }) => Verdict::Done,
        (Goal::Run, Phase::Backoff { exit, .. }) if container.restarts >= PATIENCE => {
            failed(format!("container `{name}` keeps exiting ({})", exit.code))
        }
        (Goal::Run, Phase::Backoff { .. }) => Verdict::NotYet,
        (Goal::Run, Phase::Exited(ended)) if ended.code == 0 => Verdict::Done,
        (Goal::Run, Phase::Exited(ended)) => failed(format!("container `{name}` exited ({})", ended.code)),
    }
}

/// Whether a wait is over.
pub(crate) fn verdict(stack: &Stack, waiting: &Waiting) -> Verdict {
    let is = |done: bool| if done { Verdict::Done } else { Verdict::NotYet };
    match waiting {
        Waiting::Nothing | Waiting::Events => Verdict::NotYet,
        Waiting::Up(names, wait) => is_up(stack, names, *wait),
        Waiting::Rest(names) => is(names.iter().all(|name| match stack.containers.get(name) {
            None => true,
            Some(container) => matches!(container.phase, Phase::Exited(_) | Phase::Created | Phase::Failed { .. }),
        })),
        Waiting::Gone(ids, _) => is(!stack.containers.values().any(|container| ids.contains(&container.id))),
        Waiting::OneOff(name) => match stack.containers.get(name).map(|container| &container.phase) {
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
        self.all.insert(self.last, Client { sender, waiting: Waiting::Nothing });
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
        self.all.iter().find(|(_, client)| owns(client)).map(|(id, _)| *id)
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
            client.waiting == Waiting::Nothing || client.sender.try_send(Message::Event(event.clone())).is_ok()
        });
    }

    /// The waits that are over.
    pub(crate) fn verdicts(&self, stack: &Stack) -> Vec<(u64, Waiting, Verdict)> {
        let judge = |(id, client): (&u64, &Client)| (*id, client.waiting.clone(), verdict(stack, &client.waiting));
        self.all.iter().map(judge).filter(|(_, _, verdict)| *verdict != Verdict::NotYet).collect()
    }
}
