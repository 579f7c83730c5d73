//! A stack whose outside is played by a test, under a clock made by hand.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::*;
use crate::model::{Condition, Dependency, Project, Service};

/// A stack whose outside is played by the test.
pub(crate) struct World {
    pub(crate) stack: Stack,
    pub(crate) now: Millis,
    pub(crate) log: String,
    effects: Vec<Effect>,
}

pub(crate) fn service(name: &str) -> Service {
    Service {
        name: name.to_owned(),
        replicas: 1,
        image: Some(name.to_owned()),
        ..Service::default()
    }
}

pub(crate) fn depends(mut service: Service, on: &str, condition: Condition) -> Service {
    service.depends_on.insert(
        on.to_owned(),
        Dependency {
            condition,
            required: true,
            restart: false,
        },
    );
    service
}

pub(crate) fn project(services: Vec<Service>) -> Project {
    Project {
        name: "p".to_owned(),
        directory: "/p".into(),
        files: Vec::new(),
        services: services
            .into_iter()
            .map(|service| (service.name.clone(), service))
            .collect(),
        disabled: BTreeMap::new(),
        networks: BTreeMap::new(),
        volumes: BTreeMap::new(),
        secrets: BTreeMap::new(),
        configs: BTreeMap::new(),
    }
}

pub(crate) fn plan(service: &Service, health: bool) -> ContainerPlan {
    let health = health.then(|| HealthPlan {
        test: vec!["CMD".to_owned()],
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(1),
        retries: 1,
        start_period: Duration::ZERO,
        start_interval: Duration::from_secs(5),
    });
    let mut plan = ContainerPlan {
        service: service.clone(),
        image: format!("id-of-{}", service.name),
        image_name: service.name.clone(),
        hash: String::new(),
        command: Vec::new(),
        health,
        stop_signal: 15,
        secrets: BTreeMap::new(),
        configs: BTreeMap::new(),
        volumes: BTreeMap::new(),
        anonymous: Vec::new(),
    };
    plan.hash = plan.compute_hash().unwrap();
    plan
}

pub(crate) fn make(name: &str, plan: &ContainerPlan, index: u32) -> Container {
    Container {
        id: format!("id-{name}"),
        name: name.to_owned(),
        index,
        one_off: false,
        remove_after: false,
        plan: plan.clone(),
        goal: Goal::Run,
        phase: Phase::Waiting,
        created: Millis(0),
        restarts: 0,
        grace: None,
        addresses: BTreeMap::new(),
        ports: Vec::new(),
        anonymous: BTreeMap::new(),
        no_deps: false,
        use_aliases: false,
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            stack: Stack {
                project: "p".to_owned(),
                ..Stack::default()
            },
            now: Millis(1000),
            log: String::new(),
            effects: Vec::new(),
        }
    }

    pub(crate) fn up(
        &mut self,
        services: Vec<Service>,
        healthy: &[&str],
        options: &DiffOptions,
    ) -> Vec<String> {
        let project = project(services);
        let plans = project
            .services
            .values()
            .map(|s| (s.name.clone(), plan(s, healthy.contains(&s.name.as_str()))))
            .collect();
        let actions = diff(
            &Desired {
                project: &project,
                plans: &plans,
            },
            &self.stack,
            options,
        );
        self.stack.apply(&actions, &plans, &make, self.now);
        self.step();
        actions.iter().map(ToString::to_string).collect()
    }

    pub(crate) fn step(&mut self) {
        self.effects.extend(self.stack.step(self.now));
        for event in self.stack.events.drain(..) {
            let Subject::Container { name, .. } = event.subject else {
                continue;
            };
            writeln!(self.log, "{} {name} {:?}", event.at.0, event.change).unwrap();
        }
    }

    pub(crate) fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    pub(crate) fn started(&mut self, name: &str) {
        self.stack.started(name, Vec::new(), self.now);
        self.step();
    }

    pub(crate) fn exited(&mut self, name: &str, code: i32) {
        self.stack.exited(
            name,
            Ended {
                code,
                oom_killed: false,
                finished: self.now,
            },
            self.now,
        );
        self.step();
    }

    pub(crate) fn probed(&mut self, name: &str, passed: bool) {
        self.stack.probed(
            name,
            Probe {
                passed,
                output: String::new(),
            },
            self.now,
        );
        self.step();
    }

    pub(crate) fn removed(&mut self, name: &str) {
        self.stack.removed(name, self.now);
        self.step();
    }

    /// Lets time pass up to the next deadline.
    pub(crate) fn wait(&mut self) {
        self.now = self.stack.next_deadline().expect("something is due");
        self.step();
    }
}

pub(crate) fn start(name: &str) -> Effect {
    Effect::Start(name.to_owned())
}
