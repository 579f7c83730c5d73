//! Doing what the state machine asks for; whatever blocks is done in other threads and comes back as an input.

use std::net::Ipv4Addr;

use howdah_runtime::{ExecSpec, Runtime, State, Stdio};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::task::spawn_blocking;

use super::start::StartJob;
use super::{Input, Keeper, chain, plans, ports, probe};
use crate::model::NetworkMode;
use crate::stack::{Change, Container, Effect, Ended, Goal, Millis, NetworkState};

/// The exit code of a container that is gone without having told one.
pub(crate) const LOST: i32 = 137;

impl Keeper {
    pub(super) fn execute(&mut self, effect: &Effect) {
        let name = match effect {
            Effect::Start(name)
            | Effect::Signal(name, _)
            | Effect::Probe(name)
            | Effect::Remove(name) => name,
        };
        let Some(container) = self.stack.containers.get(name).cloned() else {
            return;
        };
        match effect {
            Effect::Start(_) => self.start(container),
            Effect::Signal(_, signal) => self.signal(&container, *signal),
            Effect::Probe(_) => self.probe(container),
            Effect::Remove(_) => self.remove(container),
        }
    }

    fn job(&self, container: Container) -> StartJob {
        StartJob {
            store: self.store.clone(),
            runtime: self.runtime.clone(),
            paths: self.paths.clone(),
            stack: self.stack.clone(),
            container,
        }
    }

    fn start(&mut self, container: Container) {
        let (name, id) = (container.name.clone(), container.id.clone());
        if let Err(message) = self.reserve(&container) {
            self.stack.start_failed(&name, message, Millis::now());
            return;
        }
        let inputs = self.inputs.clone();
        let job = self.job(container);
        spawn_blocking(move || {
            let input = if job.container.one_off {
                let result = job.prepare().map(Box::new).map_err(|error| chain(&error));
                Input::Prepared { name, id, result }
            } else {
                Input::Started {
                    name,
                    id,
                    result: job.start().map_err(|error| chain(&error)),
                }
            };
            drop(inputs.send(input));
        });
    }

    /// Takes the container's ports before it is started: a port that is taken is told before anything runs.
    fn reserve(&mut self, container: &Container) -> Result<(), String> {
        let section = &container.plan.service.container;
        if section.ports.is_empty() || !matches!(section.network, NetworkMode::Networks(_)) {
            return Ok(());
        }
        let reserved =
            ports::reserve(&section.ports, &container.ports).map_err(|error| chain(&error))?;
        self.reserved.insert(container.name.clone(), reserved);
        Ok(())
    }

    /// Opens the ports of a container that runs.
    pub(super) fn publish(&mut self, name: &str) -> Vec<crate::stack::BoundPort> {
        let Some(reserved) = self.reserved.remove(name) else {
            return Vec::new();
        };
        let bound = reserved.bound.clone();
        if let Some(address) = self.stack.containers.get(name).and_then(first_address) {
            self.published
                .insert(name.to_owned(), reserved.publish(address));
        }
        bound
    }

    /// Closes the ports of a container that does not run.
    pub(super) async fn unpublish(&mut self, name: &str) {
        self.reserved.remove(name);
        if let Some(published) = self.published.remove(name) {
            published.close().await;
        }
    }

    fn signal(&mut self, container: &Container, signal: i32) {
        if let Err(error) = self.runtime.kill(&container.id, signal) {
            let message = format!("cannot signal: {}", chain(&error));
            self.stack
                .tell(&container.name, Millis::now(), Change::Note { message });
        }
    }

    fn probe(&self, container: Container) {
        let (inputs, runtime, store) = (
            self.inputs.clone(),
            self.runtime.clone(),
            self.store.clone(),
        );
        spawn_blocking(move || {
            let Some(plan) = &container.plan.health else {
                return;
            };
            let shell = plans::find(&store, container.service(), &container.plan.image);
            let shell = shell
                .ok()
                .and_then(|image| image.config.config.shell)
                .unwrap_or_default();
            let probe = probe::run(&runtime, &container.id, plan, &shell);
            drop(inputs.send(Input::Probed {
                name: container.name,
                id: container.id,
                probe,
            }));
        });
    }

    /// Runs a process in the background: it lives as long as somebody holds it, and the command does not.
    pub(super) fn exec(&self, client: u64, id: String, process: ExecSpec) {
        let (inputs, runtime) = (self.inputs.clone(), self.runtime.clone());
        std::thread::spawn(move || {
            let executed = runtime.exec(&id, &process, Stdio::Null);
            let (result, running) = match executed {
                Ok(running) => (Ok(()), Some(running)),
                Err(error) => (Err(chain(&error)), None),
            };
            drop(inputs.send(Input::Executed { client, result }));
            // How it ends interests nobody.
            drop(running.map(|mut running| running.wait()));
        });
    }

    fn remove(&mut self, container: Container) {
        // Closed when it ended; one that never ran may still hold them.
        self.reserved.remove(&container.name);
        self.watched.remove(&container.id);
        let inputs = self.inputs.clone();
        let (name, id) = (container.name.clone(), container.id.clone());
        // The volumes without a name go on to the container that replaces this one.
        let keep_volumes = matches!(container.goal, Goal::Replace(_));
        let job = self.job(container);
        spawn_blocking(move || {
            let result = job.remove(keep_volumes).map_err(|error| chain(&error));
            drop(inputs.send(Input::Removed { name, id, result }));
        });
    }

    /// Watches a container that runs; its end comes as an input.
    pub(super) fn watch(&mut self, name: &str, id: &str) {
        if !self.watched.insert(id.to_owned()) {
            return;
        }
        let (inputs, runtime) = (self.inputs.clone(), self.runtime.clone());
        let (name, id) = (name.to_owned(), id.to_owned());
        // A thread of its own, not the pool's: it may wait for days, and the keeper's end must not wait for it.
        std::thread::spawn(move || {
            if let Ok(descriptor) = runtime.watch(&id) {
                let mut descriptors = [PollFd::new(&descriptor, PollFlags::IN)];
                while poll(&mut descriptors, None) == Err(Errno::INTR) {}
            }
            let ended = ended(&runtime, &id);
            drop(inputs.send(Input::Ended { name, id, ended }));
        });
    }

    /// Waits until the command that runs a one-off container lets go of its lock, by its end or otherwise.
    pub(super) fn watch_lock(&self, name: &str, id: &str) {
        let inputs = self.inputs.clone();
        let (name, id) = (name.to_owned(), id.to_owned());
        let lock = self.paths.container_lock(&id);
        // As above: it may wait for hours.
        std::thread::spawn(move || {
            if let Ok(file) = fs_err::File::open(lock) {
                let _ = rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive);
            }
            let ended = Ended {
                code: LOST,
                oom_killed: false,
                finished: Millis::now(),
            };
            drop(inputs.send(Input::Ended { name, id, ended }));
        });
    }

    /// Starts the name server of a network, unless it runs.
    pub(super) async fn serve_names(
        &mut self,
        key: &str,
        network: &NetworkState,
    ) -> std::io::Result<()> {
        if !self.servers.contains_key(key) {
            let server = super::dns::serve(network.gateway, key, self.names.clone()).await?;
            self.servers.insert(key.to_owned(), server);
        }
        Ok(())
    }
}

/// How a container ended; one without a record was lost, e.g. to a reboot.
pub(super) fn ended(runtime: &Runtime, id: &str) -> Ended {
    match runtime.state(id) {
        Ok(State::Exited(exit)) => Ended {
            code: exit.code,
            oom_killed: exit.oom_killed,
            finished: exit.finished.into(),
        },
        _ => Ended {
            code: LOST,
            oom_killed: false,
            finished: Millis::now(),
        },
    }
}

/// The address ports lead to: that on the first network, as the runtime orders them.
fn first_address(container: &Container) -> Option<Ipv4Addr> {
    let NetworkMode::Networks(wanted) = &container.plan.service.container.network else {
        return None;
    };
    let first = wanted
        .iter()
        .min_by_key(|(_, attachment)| -attachment.priority)?;
    container.addresses.get(first.0).copied()
}
