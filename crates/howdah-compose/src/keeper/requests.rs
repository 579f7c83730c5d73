//! What commands ask for, turned into goals; and what the world answers, turned into phases.

use std::collections::BTreeMap;
use std::iter;

use super::clients::{Leftovers, Waiting};
use super::protocol::{Message, Request, RunRequest, UpRequest};
use super::{Keeper, chain, networks, plans, random_hex};
use crate::model::Project;
use crate::stack::{
    Change, Container, ContainerPlan, Desired, Goal, Millis, Phase, Selection, StackEvent, Subject,
    diff,
};

/// A request that failed: the message, and what to do next.
pub(super) type Refusal = (String, Option<String>);

pub(super) fn refuse(error: &dyn std::error::Error) -> Refusal {
    (chain(error), None)
}

impl Keeper {
    pub(super) async fn request(&mut self, client: u64, request: Request) -> Result<(), Refusal> {
        let now = Millis::now();
        let waiting = match request {
            Request::Up(request) => {
                let (names, gone) = self.up(&request).await?;
                Waiting::Up {
                    names,
                    gone,
                    wait: request.wait,
                }
            }
            Request::Down {
                services,
                grace,
                volumes,
            } => {
                let networks = services.is_empty();
                let names = self.stack.want_remove(&Selection::of(&services), grace);
                let ids = names
                    .iter()
                    .filter_map(|name| Some(self.stack.containers.get(name)?.id.clone()));
                Waiting::Gone(ids.collect(), Leftovers { networks, volumes })
            }
            Request::Stop { services, grace } => {
                Waiting::Rest(self.stack.want_stop(&Selection::of(&services), grace))
            }
            Request::Start { services } => {
                let names = self.stack.want_start(&Selection::of(&services), now);
                Waiting::Up {
                    names,
                    gone: Vec::new(),
                    wait: super::WaitFor::Started,
                }
            }
            Request::Restart { services, grace } => {
                let names = self.stack.want_restart(&Selection::of(&services), grace);
                Waiting::Up {
                    names,
                    gone: Vec::new(),
                    wait: super::WaitFor::Started,
                }
            }
            Request::Exec { id, process } => {
                self.exec(client, id, process);
                Waiting::Events
            }
            Request::Run(request) => Waiting::OneOff(self.one_off(*request).await?),
            Request::List => {
                let containers = self.stack.containers.values().cloned().collect();
                self.clients.send(client, Message::Done { containers });
                self.clients.remove(client);
                return Ok(());
            }
            Request::Watch => Waiting::Events,
        };
        self.clients.set_waiting(client, waiting);
        Ok(())
    }

    /// Sets the goals; gives the names of what is to be up, and the ids of what is to be gone.
    async fn up(&mut self, request: &UpRequest) -> Result<(Vec<String>, Vec<String>), Refusal> {
        let project = &request.project;
        let plans =
            plans::plans(project, &request.images, &self.store).map_err(|error| refuse(&error))?;
        self.make_networks(project).await?;
        let actions = diff(
            &Desired {
                project,
                plans: &plans,
            },
            &self.stack,
            &request.options,
        );
        let make = |name: &str, plan: &ContainerPlan, index: u32| {
            let mut container = new_container(name, plan, index);
            container.no_deps = request.options.no_deps;
            container
        };
        let before = self.stack.clone();
        let names = self.stack.apply(&actions, &plans, &make, Millis::now());
        for container in self.stack.containers.values_mut() {
            if names.contains(&container.name) {
                container.no_deps = request.options.no_deps;
            }
            if matches!(
                container.goal,
                Goal::Replace(_) | Goal::Restart | Goal::Remove
            ) {
                container.grace = request.grace;
            }
        }
        if let Err(error) = networks::assign(&mut self.stack) {
            self.stack = before;
            return Err(refuse(&error));
        }
        self.note_volumes(&plans);
        self.stack.directory.clone_from(&project.directory);
        self.stack.files.clone_from(&project.files);
        let is_going = |container: &&Container| container.goal == Goal::Remove;
        let gone = self
            .stack
            .containers
            .values()
            .filter(is_going)
            .map(|container| container.id.clone());
        Ok((names, gone.collect()))
    }

    /// Makes the project's networks that are not there. Written down before the bridge is made, so that it is found again.
    async fn make_networks(&mut self, project: &Project) -> Result<(), Refusal> {
        for (key, definition) in &project.networks {
            let is_new = !self.stack.networks.contains_key(key);
            let lock = networks::lock(&definition.name).map_err(|error| refuse(&error))?;
            if is_new {
                let taken: Vec<_> = self
                    .stack
                    .networks
                    .values()
                    .map(|network| network.subnet)
                    .collect();
                let state = networks::choose(&lock, definition, self.paths.root(), &taken)
                    .map_err(|error| refuse(&error))?;
                self.stack.networks.insert(key.clone(), state);
                self.save().map_err(|error| refuse(&error))?;
            }
            let network = self.stack.networks[key].clone();
            let made = networks::ensure(&lock, &network).map_err(|error| refuse(&error));
            drop(lock);
            let served = match made {
                Ok(()) => self.serve_names(key, &network).await.map_err(|error| {
                    let hint = Some(
                        "another name server may listen on every address; bind it to its own"
                            .to_owned(),
                    );
                    (
                        format!("cannot answer names on network `{}`: {error}", network.name),
                        hint,
                    )
                }),
                refused => refused,
            };
            if let Err(refusal) = served {
                if is_new {
                    self.stack.networks.remove(key);
                    drop(networks::remove(&network));
                }
                return Err(refusal);
            }
            if is_new {
                let subject = Subject::Network(network.name.clone());
                self.stack.events.push(StackEvent {
                    at: Millis::now(),
                    subject,
                    change: Change::Created,
                });
            }
        }
        Ok(())
    }

    fn note_volumes(&mut self, plans: &BTreeMap<String, ContainerPlan>) {
        for name in plans.values().flat_map(|plan| plan.volumes.values()) {
            if !self.stack.volumes.contains(name) {
                self.stack.volumes.push(name.clone());
                if !self.paths.volume(name).exists() {
                    let subject = Subject::Volume(name.clone());
                    self.stack.events.push(StackEvent {
                        at: Millis::now(),
                        subject,
                        change: Change::Created,
                    });
                }
            }
        }
    }

    async fn one_off(&mut self, request: RunRequest) -> Result<String, Refusal> {
        let project = &request.project;
        let Some(service) = project.services.get(&request.service) else {
            return Err((format!("no such service: {}", request.service), None));
        };
        let mut service = service.clone();
        if !request.service_ports {
            service.container.ports.clear();
        }
        let plan = plans::plan(project, &service, &request.image, &self.store)
            .map_err(|error| refuse(&error))?;
        self.make_networks(project).await?;
        let random = random_hex(6).map_err(|error| refuse(&error))?;
        let name = request
            .name
            .unwrap_or_else(|| format!("{}-{}-run-{random}", project.name, request.service));
        if self.stack.containers.contains_key(&name) {
            return Err((format!("there is a container `{name}` already"), None));
        }
        let mut container = new_container(&name, &plan, 1);
        container.one_off = true;
        container.no_deps = request.no_deps;
        container.use_aliases = request.use_aliases;
        container.remove_after = request.remove;
        // A fixed address belongs to the service's own container.
        if let crate::model::NetworkMode::Networks(wanted) =
            &mut container.plan.service.container.network
        {
            for attachment in wanted.values_mut() {
                attachment.address = None;
            }
        }
        self.stack.containers.insert(name.clone(), container);
        if let Err(error) = networks::assign(&mut self.stack) {
            self.stack.containers.remove(&name);
            return Err(refuse(&error));
        }
        self.note_volumes(&BTreeMap::from([(request.service, plan)]));
        Ok(name)
    }
}

/// The first random id whose first twelve digits, the container's host name, are not all decimal: resolvers take such
/// a name for an address and never look it up. Docker draws again too.
fn container_id(draw: impl FnMut() -> String) -> String {
    let is_number = |id: &String| id.bytes().take(12).all(|digit| digit.is_ascii_digit());
    iter::repeat_with(draw)
        .find(|id| id.is_empty() || !is_number(id))
        .unwrap_or_default()
}

fn new_container(name: &str, plan: &ContainerPlan, index: u32) -> Container {
    // Without randomness there is nothing sensible to go on with; the kernel's source does not fail once it is open.
    let random = |bytes| random_hex(bytes).unwrap_or_default();
    Container {
        id: container_id(|| random(32)),
        name: name.to_owned(),
        index,
        one_off: false,
        remove_after: false,
        anonymous: plan
            .anonymous
            .iter()
            .map(|path| (path.clone(), random(32)))
            .collect(),
        plan: plan.clone(),
        goal: Goal::Run,
        phase: Phase::Waiting,
        created: Millis::now(),
        restarts: 0,
        grace: None,
        addresses: BTreeMap::new(),
        ports: Vec::new(),
        no_deps: false,
        use_aliases: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_name_of_a_container_is_no_number() {
        let mut drawn = ["123456789012ab", "12345678901eab", "c"]
            .map(str::to_owned)
            .into_iter();
        assert_eq!(container_id(|| drawn.next().unwrap()), "12345678901eab");
    }
}
