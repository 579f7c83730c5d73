//! What commands ask for, turned into goals; and what the world answers, turned into phases.

use std::collections::BTreeMap;

use super::clients::{Leftovers, Verdict, Waiting};
use super::connection::Said;
use super::protocol::{Interjection, Message, Request, RunRequest, UpRequest};
use super::{Input, Keeper, UNREAD, chain, connection, networks, plans, random_hex, volumes};
use crate::model::Project;
use crate::stack::{
    Change, Container, ContainerPlan, Desired, Ended, Goal, Millis, Phase, Selection, StackEvent, Subject, diff,
};
use tokio::sync::mpsc;

/// A request that failed: the message, and what to do next.
type Refusal = (String, Option<String>);

fn refuse(error: &dyn std::error::Error) -> Refusal {
    (chain(error), None)
}

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
            Input::Said(client, Said::Interjection(interjection)) => self.interject(client, &interjection),
            Input::Said(client, Said::Nonsense(message)) => {
                self.clients.send(client, Message::Failed { message, hint: None });
                self.clients.remove(client);
            }
            Input::Said(client, Said::Gone) => self.gone(client),
            Input::Started { name, id, result } if self.is_current(&name, &id) => self.started(&name, &id, result),
            Input::Prepared { name, id, result } if self.is_current(&name, &id) => self.prepared(&name, result),
            Input::Ended { name, id, ended } => {
                self.watched.remove(&id);
                if self.is_current(&name, &id) {
                    self.unpublish(&name);
                    self.ended(&name, ended);
                }
            }
            Input::Probed { name, id, probe } if self.is_current(&name, &id) => self.stack.probed(&name, probe, now),
            Input::Removed { name, id, result } if self.is_current(&name, &id) => {
                if let Err(message) = result {
                    self.stack.tell(&name, now, Change::Note { message });
                }
                self.stack.removed(&name, now);
            }
            Input::Executed { client, result } => {
                let message = match result {
                    Ok(()) => Message::Done { containers: Vec::new() },
                    Err(message) => Message::Failed { message, hint: None },
                };
                self.clients.send(client, message);
                self.clients.remove(client);
            }
            // About a container that has been replaced meanwhile.
            Input::Started { .. } | Input::Prepared { .. } | Input::Probed { .. } | Input::Removed { .. } => {}
        }
    }

    fn is_current(&self, name: &str, id: &str) -> bool {
        self.stack.containers.get(name).is_some_and(|container| container.id == id)
    }

    fn connected(&mut self, stream: tokio::net::UnixStream) {
        let (sender, messages) = mpsc::channel(UNREAD);
        let client = self.clients.add(sender);
        self.clients.send(client, Message::Welcome { pid: std::process::id() });
        let inputs = self.inputs.clone();
        tokio::spawn(connection::serve(stream, messages, move |said| {
            drop(inputs.send(Input::Said(client, said)));
        }));
    }

    fn started(&mut self, name: &str, id: &str, result: Result<(), String>) {
        match result {
            Ok(()) => {
                let ports = self.publish(name);
                self.stack.started(name, ports, Millis::now());
                self.watch(name, id);
            }
            Err(message) => {
                self.unpublish(name);
                self.stack.start_failed(name, message, Millis::now());
            }
        }
    }

    /// A one-off container goes to the command that asked for it.
    fn prepared(&mut self, name: &str, result: Result<Box<howdah_runtime::ContainerSpec>, String>) {
        match (result, self.clients.owner_of(name)) {
            (Ok(spec), Some(owner)) => self.clients.send(owner, Message::Spec { name: name.to_owned(), spec }),
            (Ok(_), None) => self.ended(name, lost()),
            (Err(message), _) => self.stack.start_failed(name, message, Millis::now()),
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

    fn interject(&mut self, client: u64, interjection: &Interjection) {
        let Some(waiting) = self.clients.waiting(client).cloned() else { return };
        match (interjection, waiting) {
            (Interjection::Cancel, Waiting::Up(names, _)) => {
                let waiting = self.stack.containers.values_mut().filter(|container| container.phase == Phase::Waiting);
                waiting.filter(|container| names.contains(&container.name)).for_each(|container| container.goal = Goal::Stop);
            }
            (Interjection::Hurry, _) => self.stack.hurry(Millis::now()),
            (Interjection::Running, Waiting::OneOff(name)) => {
                let ports = self.publish(&name);
                self.stack.started(&name, ports, Millis::now());
                if let Some(id) = self.stack.containers.get(&name).map(|container| container.id.clone()) {
                    self.watch_lock(&name, &id);
                }
            }
            (Interjection::Finished { code }, Waiting::OneOff(name)) => {
                self.unpublish(&name);
                self.ended(&name, Ended { code: *code, oom_killed: false, finished: Millis::now() });
            }
            _ => {}
        }
    }

    fn gone(&mut self, client: u64) {
        let Some(left) = self.clients.remove(client) else { return };
        // Before it holds the lock, the connection is all that says that the command lives.
        if let Waiting::OneOff(name) = left.waiting
            && self.stack.containers.get(&name).is_some_and(|container| matches!(container.phase, Phase::Waiting | Phase::Starting))
        {
            self.stack.lose(&name, lost());
        }
    }

    async fn request(&mut self, client: u64, request: Request) -> Result<(), Refusal> {
        let now = Millis::now();
        let waiting = match request {
            Request::Up(request) => {
                let names = self.up(&request).await?;
                Waiting::Up(names, request.wait)
            }
            Request::Down { services, grace, volumes } => {
                let networks = services.is_empty();
                let names = self.stack.want_remove(&Selection::of(&services), grace);
                let ids = names.iter().filter_map(|name| Some(self.stack.containers.get(name)?.id.clone()));
                Waiting::Gone(ids.collect(), Leftovers { networks, volumes })
            }
            Request::Stop { services, grace } => Waiting::Rest(self.stack.want_stop(&Selection::of(&services), grace)),
            Request::Start { services } => {
                let names = self.stack.want_start(&Selection::of(&services), now);
                Waiting::Up(names, super::WaitFor::Started)
            }
            Request::Restart { services, grace } => {
                let names = self.stack.want_restart(&Selection::of(&services), grace);
                Waiting::Up(names, super::WaitFor::Started)
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

    async fn up(&mut self, request: &UpRequest) -> Result<Vec<String>, Refusal> {
        let project = &request.project;
        let plans = plans::plans(project, &request.images, &self.store).map_err(|error| refuse(&error))?;
        self.make_networks(project).await?;
        let actions = diff(&Desired { project, plans: &plans }, &self.stack, &request.options);
        let make = |name: &str, plan: &ContainerPlan, index: u32| {
            let mut container = new_container(name, plan, index);
            container.no_deps = request.options.no_deps;
            container
        };
        let before = self.stack.clone();
        let names = self.stack.apply(&actions, &plans, &make, Millis::now());
        for container in self.stack.containers.values_mut().filter(|container| names.contains(&container.name)) {
            container.no_deps = request.options.no_deps;
            if matches!(container.goal, Goal::Replace(_) | Goal::Restart) {
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
        Ok(names)
    }

    /// Makes the project's networks that are not there. Written down before the bridge is made, so that it is found again.
    async fn make_networks(&mut self, project: &Project) -> Result<(), Refusal> {
        for (key, definition) in &project.networks {
            let is_new = !self.stack.networks.contains_key(key);
            if is_new {
                let taken: Vec<_> = self.stack.networks.values().map(|network| network.subnet).collect();
                let state = networks::choose(definition, self.paths.root(), &taken).map_err(|error| refuse(&error))?;
                self.stack.networks.insert(key.clone(), state);
                self.save().map_err(|error| refuse(&error))?;
            }
            let network = self.stack.networks[key].clone();
            let made = networks::ensure(&network).map_err(|error| refuse(&error));
            let served = match made {
                Ok(()) => self.serve_names(key, &network).await.map_err(|error| {
                    let hint = Some("another name server may listen on every address; bind it to its own".to_owned());
                    (format!("cannot answer names on network `{}`: {error}", network.name), hint)
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
                self.stack.events.push(StackEvent { at: Millis::now(), subject, change: Change::Created });
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
                    self.stack.events.push(StackEvent { at: Millis::now(), subject, change: Change::Created });
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
        let plan = plans::plan(project, &service, &request.image, &self.store).map_err(|error| refuse(&error))?;
        self.make_networks(project).await?;
        let random = random_hex(6).map_err(|error| refuse(&error))?;
        let name = request.name.unwrap_or_else(|| format!("{}-{}-run-{random}", project.name, request.service));
        if self.stack.containers.contains_key(&name) {
            return Err((format!("there is a container `{name}` already"), None));
        }
        let mut container = new_container(&name, &plan, 1);
        container.one_off = true;
        container.no_deps = request.no_deps;
        container.use_aliases = request.use_aliases;
        container.remove_after = request.remove;
        // A fixed address belongs to the service's own container.
        if let crate::model::NetworkMode::Networks(wanted) = &mut container.plan.service.container.network {
            wanted.values_mut().for_each(|attachment| attachment.address = None);
        }
        self.stack.containers.insert(name.clone(), container);
        if let Err(error) = networks::assign(&mut self.stack) {
            self.stack.containers.remove(&name);
            return Err(refuse(&error));
        }
        self.note_volumes(&BTreeMap::from([(request.service, plan)]));
        Ok(name)
    }

    /// Answers every command whose wait is over.
    pub(super) async fn answer_waits(&mut self) {
        for (client, waiting, verdict) in self.clients.verdicts(&self.stack) {
            let message = match verdict {
                Verdict::NotYet => continue,
                Verdict::Failed(messages) => Message::Failed { message: messages.join("\n"), hint: None },
                Verdict::Done => {
                    let failure = match &waiting {
                        Waiting::Gone(_, leftovers) => self.remove_leftovers(leftovers).await.err(),
                        _ => None,
                    };
                    match failure {
                        Some((message, hint)) => Message::Failed { message, hint },
                        None => Message::Done { containers: self.answer_containers(&waiting) },
                    }
                }
            };
            self.tell();
            self.clients.send(client, message);
            self.clients.remove(client);
        }
    }

    fn answer_containers(&self, waiting: &Waiting) -> Vec<Container> {
        match waiting {
            Waiting::Up(names, _) | Waiting::Rest(names) => {
                names.iter().filter_map(|name| self.stack.containers.get(name).cloned()).collect()
            }
            _ => Vec::new(),
        }
    }

    async fn remove_leftovers(&mut self, leftovers: &Leftovers) -> Result<(), Refusal> {
        // Another command may have brought containers back meanwhile; the networks are theirs then.
        if leftovers.networks && self.stack.containers.is_empty() {
            for (key, network) in self.stack.networks.clone() {
                self.servers.remove(&key);
                // Lets the ended server's tasks close their sockets before the address goes.
                tokio::task::yield_now().await;
                networks::remove(&network).map_err(|error| refuse(&error))?;
                self.stack.networks.remove(&key);
                let subject = Subject::Network(network.name);
                self.stack.events.push(StackEvent { at: Millis::now(), subject, change: Change::Removed });
            }
            self.stack.volumes.clear();
            self.save().map_err(|error| refuse(&error))?;
        }
        for name in &leftovers.volumes {
            let uses = |container: &Container| container.plan.volumes.values().any(|used| used == name);
            if self.stack.containers.values().any(uses) {
                return Err((format!("volume `{name}` is in use"), None));
            }
            let removed = volumes::remove(&self.paths.volume(name), name, &self.paths.staging());
            if removed.map_err(|error| refuse(&error))? {
                let subject = Subject::Volume(name.clone());
                self.stack.events.push(StackEvent { at: Millis::now(), subject, change: Change::Removed });
            }
        }
        Ok(())
    }
}

fn lost() -> Ended {
    Ended { code: super::effects::LOST, oom_killed: false, finished: Millis::now() }
}

fn new_container(name: &str, plan: &ContainerPlan, index: u32) -> Container {
    // Without randomness there is nothing sensible to go on with; the kernel's source does not fail once it is open.
    let random = |bytes| random_hex(bytes).unwrap_or_default();
    Container {
        id: random(32),
        name: name.to_owned(),
        index,
        one_off: false,
        remove_after: false,
        anonymous: plan.anonymous.iter().map(|path| (path.clone(), random(32))).collect(),
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
