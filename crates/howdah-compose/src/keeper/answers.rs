//! Answering commands whose wait is over, and what `down` removes before it is.

use super::clients::{Leftovers, Verdict, Waiting};
use super::protocol::Message;
use super::requests::{Refusal, refuse};
use super::{Keeper, networks, volumes};
use crate::stack::{Change, Container, Goal, Millis, StackEvent, Subject};

impl Keeper {
    /// Answers every command whose wait is over.
    pub(super) async fn answer_waits(&mut self) {
        for (client, waiting, verdict) in self.clients.verdicts(&self.stack) {
            let message = match verdict {
                Verdict::NotYet => continue,
                Verdict::Failed(messages) => {
                    self.remove_failed_one_off(&waiting);
                    Message::Failed {
                        message: messages.join("\n"),
                        hint: None,
                    }
                }
                Verdict::Done => {
                    let failure = match &waiting {
                        Waiting::Gone(_, leftovers) => self.remove_leftovers(leftovers).await.err(),
                        _ => None,
                    };
                    match failure {
                        Some((message, hint)) => Message::Failed { message, hint },
                        None => Message::Done {
                            containers: self.answer_containers(&waiting),
                        },
                    }
                }
            };
            self.tell();
            self.clients.send(client, message);
            self.clients.remove(client);
        }
    }

    /// `run --rm` leaves nothing behind when its container cannot be started either.
    fn remove_failed_one_off(&mut self, waiting: &Waiting) {
        if let Waiting::OneOff(name) = waiting
            && let Some(container) = self.stack.containers.get_mut(name)
            && container.remove_after
        {
            container.goal = Goal::Remove;
        }
    }

    fn answer_containers(&self, waiting: &Waiting) -> Vec<Container> {
        match waiting {
            Waiting::Up { names, .. } | Waiting::Rest(names) => names
                .iter()
                .filter_map(|name| self.stack.containers.get(name).cloned())
                .collect(),
            _ => Vec::new(),
        }
    }

    async fn remove_leftovers(&mut self, leftovers: &Leftovers) -> Result<(), Refusal> {
        // Another command may have brought containers back meanwhile; the networks are theirs then.
        if leftovers.networks && self.stack.containers.is_empty() {
            for (key, network) in self.stack.networks.clone() {
                if let Some(server) = self.servers.remove(&key) {
                    server.close().await;
                }
                networks::remove(&network).map_err(|error| refuse(&error))?;
                self.stack.networks.remove(&key);
                let subject = Subject::Network(network.name);
                self.stack.events.push(StackEvent {
                    at: Millis::now(),
                    subject,
                    change: Change::Removed,
                });
            }
            self.stack.volumes.clear();
            self.save().map_err(|error| refuse(&error))?;
        }
        for name in &leftovers.volumes {
            let uses =
                |container: &Container| container.plan.volumes.values().any(|used| used == name);
            if self.stack.containers.values().any(uses) {
                return Err((format!("volume `{name}` is in use"), None));
            }
            let removed = volumes::remove(&self.paths.volume(name), name, &self.paths.staging());
            if removed.map_err(|error| refuse(&error))? {
                let subject = Subject::Volume(name.clone());
                self.stack.events.push(StackEvent {
                    at: Millis::now(),
                    subject,
                    change: Change::Removed,
                });
            }
        }
        Ok(())
    }
}
