//! What has to be done so that a stack becomes what the project says: decided here, executed elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Stack;
use super::container::{Container, ContainerPlan, Goal, Phase};
use crate::model::{Project, Service};

/// What the project wants.
#[derive(Debug, Clone)]
pub struct Desired<'a> {
    /// The project.
    pub project: &'a Project,
    /// The plan of each service that is to run, by service.
    pub plans: &'a BTreeMap<String, ContainerPlan>,
}

/// When a container that exists is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recreate {
    /// When its configuration or image changed.
    #[default]
    Changed,
    /// Always (`--force-recreate`).
    Always,
    /// Never (`--no-recreate`).
    Never,
}

/// How `up` was called.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DiffOptions {
    /// The services named; empty = all.
    pub services: Vec<String>,
    /// Leave their dependencies alone.
    pub no_deps: bool,
    /// When to replace.
    pub recreate: Recreate,
    /// Replicas by service, over the file's.
    pub scale: BTreeMap<String, u32>,
    /// Remove containers of services that are not in the file any more.
    pub remove_orphans: bool,
}

/// Why a container is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecreateReason {
    /// Another image.
    Image,
    /// Another configuration.
    Configuration,
    /// Asked for.
    Forced,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StackAction {
    /// Make a network.
    CreateNetwork {
        /// Its key in the file.
        key: String,
        /// Its full name.
        name: String,
    },
    /// Make a volume.
    CreateVolume {
        /// Its full name.
        name: String,
    },
    /// Make and start a container.
    Create {
        /// Its name.
        name: String,
        /// Its service.
        service: String,
        /// Its number.
        index: u32,
    },
    /// Replace a container.
    Recreate {
        /// Its name.
        name: String,
        /// Its service.
        service: String,
        /// Why.
        reason: RecreateReason,
    },
    /// Start a container that exists.
    Start {
        /// Its name.
        name: String,
    },
    /// Restart a container because what it depends on is replaced.
    Restart {
        /// Its name.
        name: String,
    },
    /// Leave a container as it is.
    Keep {
        /// Its name.
        name: String,
    },
    /// Remove a container.
    Remove {
        /// Its name.
        name: String,
    },
    /// Tell of a container whose service is gone.
    Orphan {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for StackAction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateNetwork { name, .. } => write!(formatter, "create network {name}"),
            Self::CreateVolume { name } => write!(formatter, "create volume {name}"),
            Self::Create { name, .. } => write!(formatter, "create container {name}"),
            Self::Recreate { name, reason, .. } => {
                let reason = match reason {
                    RecreateReason::Image => "its image changed",
                    RecreateReason::Configuration => "its configuration changed",
                    RecreateReason::Forced => "--force-recreate",
                };
                write!(formatter, "recreate container {name}: {reason}")
            }
            Self::Start { name } => write!(formatter, "start container {name}"),
            Self::Restart { name } => write!(
                formatter,
                "restart container {name}: a dependency is replaced"
            ),
            Self::Keep { name } => write!(formatter, "keep container {name}"),
            Self::Remove { name } => write!(formatter, "remove container {name}"),
            Self::Orphan { name } => write!(
                formatter,
                "leave orphan container {name} (--remove-orphans removes it)"
            ),
        }
    }
}

/// The name of a service's container.
pub fn container_name(project: &Project, service: &Service, index: u32) -> String {
    let default = || format!("{}-{}-{index}", project.name, service.name);
    service
        .container
        .container_name
        .clone()
        .unwrap_or_else(default)
}

/// The services an `up` is about: those named, or all, with what they depend on.
pub fn wanted_services(project: &Project, options: &DiffOptions) -> BTreeSet<String> {
    let all = || project.services.keys().cloned().collect::<Vec<_>>();
    let mut open: Vec<String> = if options.services.is_empty() {
        all()
    } else {
        options.services.clone()
    };
    let mut wanted = BTreeSet::new();
    while let Some(name) = open.pop() {
        let Some(service) = project.services.get(&name) else {
            continue;
        };
        if wanted.insert(name) && !options.no_deps {
            open.extend(service.depends_on.keys().cloned());
        }
    }
    wanted
}

/// Compares what is wanted with what is there.
pub fn diff(desired: &Desired<'_>, actual: &Stack, options: &DiffOptions) -> Vec<StackAction> {
    let project = desired.project;
    let wanted = wanted_services(project, options);
    let mut actions = resources(project, actual, desired.plans);
    for service in wanted.iter().filter_map(|name| project.services.get(name)) {
        let Some(plan) = desired.plans.get(&service.name) else {
            continue;
        };
        let replicas = options
            .scale
            .get(&service.name)
            .copied()
            .unwrap_or(service.replicas);
        for index in 1..=replicas {
            let name = container_name(project, service, index);
            actions.push(match actual.containers.get(&name) {
                None => StackAction::Create {
                    name,
                    service: service.name.clone(),
                    index,
                },
                Some(container) => existing(container, plan, options),
            });
        }
        let surplus = actual
            .of_service(&service.name)
            .filter(|container| container.index > replicas);
        actions.extend(surplus.map(|container| StackAction::Remove {
            name: container.name.clone(),
        }));
    }
    restart_dependents(&mut actions, project, actual);
    let is_orphan = |container: &&Container| {
        let service = container.service();
        !container.one_off
            && !project.services.contains_key(service)
            && !project.disabled.contains_key(service)
    };
    actions.extend(
        actual
            .containers
            .values()
            .filter(is_orphan)
            .map(|container| {
                let name = container.name.clone();
                if options.remove_orphans {
                    StackAction::Remove { name }
                } else {
                    StackAction::Orphan { name }
                }
            }),
    );
    actions
}

fn resources(
    project: &Project,
    actual: &Stack,
    plans: &BTreeMap<String, ContainerPlan>,
) -> Vec<StackAction> {
    let mut actions = Vec::new();
    for (key, network) in &project.networks {
        if !actual.networks.contains_key(key) {
            actions.push(StackAction::CreateNetwork {
                key: key.clone(),
                name: network.name.clone(),
            });
        }
    }
    let used: BTreeSet<&String> = plans
        .values()
        .flat_map(|plan| plan.volumes.values())
        .collect();
    for volume in project.volumes.values() {
        if used.contains(&volume.name) && !volume.external && !actual.volumes.contains(&volume.name)
        {
            actions.push(StackAction::CreateVolume {
                name: volume.name.clone(),
            });
        }
    }
    actions
}

fn existing(container: &Container, plan: &ContainerPlan, options: &DiffOptions) -> StackAction {
    let (name, service) = (container.name.clone(), container.service().to_owned());
    let reason = match options.recreate {
        Recreate::Always => Some(RecreateReason::Forced),
        Recreate::Changed if container.plan.image != plan.image => Some(RecreateReason::Image),
        Recreate::Changed if container.plan.hash != plan.hash => {
            Some(RecreateReason::Configuration)
        }
        Recreate::Changed | Recreate::Never => None,
    };
    let is_going = matches!(container.goal, Goal::Remove | Goal::Replace(_))
        || container.phase == Phase::Removing;
    match reason {
        Some(reason) => StackAction::Recreate {
            name,
            service,
            reason,
        },
        None if is_going => StackAction::Recreate {
            name,
            service,
            reason: RecreateReason::Configuration,
        },
        None if container.goal == Goal::Run
            && (container.is_active() || container.phase == Phase::Waiting) =>
        {
            StackAction::Keep { name }
        }
        None => StackAction::Start { name },
    }
}

/// `depends_on.<service>.restart: true`.
fn restart_dependents(actions: &mut [StackAction], project: &Project, actual: &Stack) {
    let replaced: BTreeSet<String> = actions
        .iter()
        .filter_map(|action| match action {
            StackAction::Recreate { service, .. } => Some(service.clone()),
            _ => None,
        })
        .collect();
    for action in actions {
        let StackAction::Keep { name } = action else {
            continue;
        };
        let service = actual
            .containers
            .get(name)
            .and_then(|container| project.services.get(container.service()));
        let depends = |service: &Service| {
            service
                .depends_on
                .iter()
                .any(|(target, dependency)| dependency.restart && replaced.contains(target))
        };
        if service.is_some_and(depends) {
            *action = StackAction::Restart { name: name.clone() };
        }
    }
}
