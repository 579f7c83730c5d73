//! What happens to the keeper, one thing after the other: commands connect, speak and go, containers start and end.

use tokio::sync::mpsc;

use super::clients::Waiting;
use super::connection::{self, Said};
use super::protocol::{Interjection, Message};
use super::{Input, Keeper, UNREAD};
use crate::stack::{Change, Ended, Goal, Millis, Phase};

impl Keeper {
    pub(super) async fn take(&mut self, input: Input) {
        let now = Millis::now();
        match input {
            Input::Connected(stream) => self.connected(stream),
            Input::Said(client, Said::Request(request)) => {
                if let Err((message, hint)) = self.request(client, *request).await {
                    self.clients.send(client, Message::Failed { message, hint });
                    self.clients.remove(client);
                }
            }
            Input::Said(client, Said::Interjection(interjection)) => {
                self.interject(client, &interjection).await;
            }
            Input::Said(client, Said::Nonsense(message)) => {
                self.clients.send(
                    client,
                    Message::Failed {
                        message,
                        hint: None,
                    },
                );
                self.clients.remove(client);
            }
            Input::Said(client, Said::Gone) => self.gone(client),
            Input::Started { name, id, result } if self.is_current(&name, &id) => {
                self.started(&name, &id, result).await;
            }
            Input::Prepared { name, id, result } if self.is_current(&name, &id) => {
                self.prepared(&name, result);
            }
            Input::Ended { name, id, ended } => {
                self.watched.remove(&id);
                if self.is_current(&name, &id) {
                    self.unpublish(&name).await;
                    self.ended(&name, ended);
                }
            }
            Input::Probed { name, id, probe } if self.is_current(&name, &id) => {
                self.stack.probed(&name, probe, now);
            }
            Input::Removed { name, id, result } if self.is_current(&name, &id) => {
                if let Err(message) = result {
                    self.stack.tell(&name, now, Change::Note { message });
                }
                self.stack.removed(&name, now);
            }
            Input::Executed { client, result } => {
                let message = match result {
                    Ok(()) => Message::Done {
                        containers: Vec::new(),
                    },
                    Err(message) => Message::Failed {
                        message,
                        hint: None,
                    },
                };
                self.clients.send(client, message);
                self.clients.remove(client);
            }
            // About a container that has been replaced meanwhile.
            Input::Started { .. }
            | Input::Prepared { .. }
            | Input::Probed { .. }
            | Input::Removed { .. } => {}
        }
    }

    fn is_current(&self, name: &str, id: &str) -> bool {
        self.stack
            .containers
            .get(name)
            .is_some_and(|container| container.id == id)
    }

    fn connected(&mut self, stream: tokio::net::UnixStream) {
        let (sender, messages) = mpsc::channel(UNREAD);
        let client = self.clients.add(sender);
        self.clients.send(
            client,
            Message::Welcome {
                pid: std::process::id(),
            },
        );
        let inputs = self.inputs.clone();
        while self.connections.try_join_next().is_some() {}
        self.connections
            .spawn(connection::serve(stream, messages, move |said| {
                drop(inputs.send(Input::Said(client, said)));
            }));
    }

    async fn started(&mut self, name: &str, id: &str, result: Result<(), String>) {
        match result {
            Ok(()) => {
                let ports = self.publish(name);
                self.stack.started(name, ports, Millis::now());
                self.watch(name, id);
            }
            Err(message) => {
                self.unpublish(name).await;
                self.stack.start_failed(name, message, Millis::now());
            }
        }
    }

    /// A one-off container goes to the command that asked for it.
    fn prepared(&mut self, name: &str, result: Result<Box<howdah_runtime::ContainerSpec>, String>) {
        match (result, self.clients.owner_of(name)) {
            (Ok(spec), Some(owner)) => self.clients.send(
                owner,
                Message::Spec {
                    name: name.to_owned(),
                    spec,
                },
            ),
            (Ok(_), None) => self.ended(name, lost()),
            (Err(message), _) => {
                // Its ports are free again.
                self.reserved.remove(name);
                self.stack.start_failed(name, message, Millis::now());
            }
        }
    }

    fn ended(&mut self, name: &str, ended: Ended) {
        self.stack.exited(name, ended, Millis::now());
        if let Some(container) = self.stack.containers.get_mut(name)
            && container.one_off
            && container.remove_after
        {
            container.goal = Goal::Remove;
        }
    }

    async fn interject(&mut self, client: u64, interjection: &Interjection) {
        let Some(waiting) = self.clients.waiting(client).cloned() else {
            return;
        };
        match (interjection, waiting) {
            (Interjection::Cancel, Waiting::Up { names, .. }) => {
                let waiting = self
                    .stack
                    .containers
                    .values_mut()
                    .filter(|container| container.phase == Phase::Waiting);
                waiting
                    .filter(|container| names.contains(&container.name))
                    .for_each(|container| container.goal = Goal::Stop);
            }
            (Interjection::Hurry, _) => self.stack.hurry(Millis::now()),
            (Interjection::Running, Waiting::OneOff(name)) => {
                let ports = self.publish(&name);
                self.stack.started(&name, ports, Millis::now());
                if let Some(id) = self
                    .stack
                    .containers
                    .get(&name)
                    .map(|container| container.id.clone())
                {
                    self.watch_lock(&name, &id);
                }
            }
            (Interjection::Finished { code }, Waiting::OneOff(name)) => {
                self.unpublish(&name).await;
                self.ended(
                    &name,
                    Ended {
                        code: *code,
                        oom_killed: false,
                        finished: Millis::now(),
                    },
                );
            }
            _ => {}
        }
    }

    fn gone(&mut self, client: u64) {
        let Some(left) = self.clients.remove(client) else {
            return;
        };
        // Before it holds the lock, the connection is all that says that the command lives.
        if let Waiting::OneOff(name) = left.waiting
            && self.stack.containers.get(&name).is_some_and(|container| {
                matches!(container.phase, Phase::Waiting | Phase::Starting)
            })
        {
            self.stack.lose(&name, lost());
        }
    }
}

fn lost() -> Ended {
    Ended {
        code: super::effects::LOST,
        oom_killed: false,
        finished: Millis::now(),
    }
}
