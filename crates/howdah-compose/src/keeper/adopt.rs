//! Taking over a stack whose keeper died: what runs is watched, what ended is noted, what was half done is done again.

use howdah_runtime::State;

use super::effects::{LOST, ended};
use super::{Keeper, KeeperError, chain, networks};
use crate::stack::{Change, Container, Effect, Ended, Millis, Phase};

impl Keeper {
    pub(super) async fn adopt(&mut self) -> Result<(), KeeperError> {
        if self.stack.containers.is_empty() && self.stack.networks.is_empty() {
            return Ok(());
        }
        self.runtime.reap().map_err(KeeperError::Runtime)?;
        self.saved = serde_json::to_vec(&self.stack).unwrap_or_default();
        self.adopt_networks().await;
        let containers: Vec<Container> = self.stack.containers.values().cloned().collect();
        for container in containers {
            if container.one_off {
                self.adopt_one_off(&container);
            } else {
                self.adopt_container(&container);
            }
        }
        self.stack.adopt(Millis::now());
        Ok(())
    }

    async fn adopt_networks(&mut self) {
        for (key, network) in self.stack.networks.clone() {
            // A network that cannot be had again, e.g. after a reboot into another subnet, fails who starts on it.
            let made =
                networks::lock(&network.name).and_then(|lock| networks::ensure(&lock, &network));
            if made.is_ok() {
                drop(self.serve_names(&key, &network).await);
            }
        }
    }

    fn adopt_container(&mut self, container: &Container) {
        let (name, id) = (&container.name, &container.id);
        let now = Millis::now();
        let state = self.runtime.state(id).unwrap_or(State::Absent);
        match (&container.phase, state) {
            (
                Phase::Starting | Phase::Running { .. } | Phase::Stopping { .. },
                State::Running { started, .. },
            ) => {
                if container.phase == Phase::Starting {
                    self.stack
                        .started(name, container.ports.clone(), started.into());
                }
                self.republish(container);
                self.watch(name, id);
            }
            // Written down before it was done: nothing was done yet, so it is done now.
            (Phase::Starting, State::Absent) => self.execute(&Effect::Start(name.clone())),
            (
                Phase::Starting | Phase::Running { .. } | Phase::Stopping { .. },
                State::Absent | State::Exited(_),
            ) => {
                self.stack.exited(name, ended(&self.runtime, id), now);
            }
            (Phase::Removing, _) => self.execute(&Effect::Remove(name.clone())),
            _ => {}
        }
    }

    /// A one-off container lives as long as its command holds the lock.
    fn adopt_one_off(&mut self, container: &Container) {
        match &container.phase {
            Phase::Running { .. } => self.watch_lock(&container.name, &container.id),
            Phase::Removing => self.execute(&Effect::Remove(container.name.clone())),
            // Its command was connected to the keeper that died, and has failed with it.
            Phase::Waiting | Phase::Starting => {
                let lost = Ended {
                    code: LOST,
                    oom_killed: false,
                    finished: Millis::now(),
                };
                self.stack.lose(&container.name, lost);
            }
            _ => {}
        }
    }

    fn republish(&mut self, container: &Container) {
        let section = &container.plan.service.container;
        if section.ports.is_empty() {
            return;
        }
        match super::ports::reserve(&section.ports, &container.ports) {
            Ok(reserved) => {
                self.reserved.insert(container.name.clone(), reserved);
                let bound = self.publish(&container.name);
                if let Some(container) = self.stack.containers.get_mut(&container.name) {
                    container.ports = bound;
                }
            }
            Err(error) => {
                let message = format!("cannot publish its ports again: {}", chain(&error));
                self.stack
                    .tell(&container.name, Millis::now(), Change::Note { message });
            }
        }
    }
}
