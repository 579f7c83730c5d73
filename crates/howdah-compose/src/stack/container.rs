//! One container of a stack: what it was made from, what is wanted of it, and where it is in its life.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use howdah_image::Digest;
use serde::{Deserialize, Serialize};

use super::health::{Health, HealthPlan, HealthStatus};
use super::time::Millis;
use crate::model::{FileDefinition, Protocol, Service};

/// What a container is made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerPlan {
    /// The service as the file had it.
    pub service: Service,
    /// The image's local id.
    pub image: String,
    /// The image's name.
    pub image_name: String,
    /// What it runs, the image's part included; for people.
    pub command: Vec<String>,
    /// The digest of everything a change of which needs another container; the image's id stands beside it.
    pub hash: String,
    /// The health check, if there is one.
    pub health: Option<HealthPlan>,
    /// The number of the signal that asks it to stop.
    pub stop_signal: i32,
    /// The secrets it mounts, by key.
    pub secrets: BTreeMap<String, FileDefinition>,
    /// The configs it mounts, by key.
    pub configs: BTreeMap<String, FileDefinition>,
    /// The full names of its volumes, by key.
    pub volumes: BTreeMap<String, String>,
    /// Paths that get a volume without a name.
    pub anonymous: Vec<String>,
}

impl ContainerPlan {
    /// Digest over what makes another container necessary.
    ///
    /// In the recipe: the container section, secrets, configs, volume names, stop signal and health check. Not in it: the image's
    /// id (compared beside it), `depends_on`, `restart`, `scale`, `profiles`, `build`, `pull_policy`, `platform` (the image's id tells) and the grace period, which
    /// are obeyed without a new container.
    pub fn compute_hash(&self) -> Result<String, serde_json::Error> {
        let recipe = (
            1,
            &self.service.container,
            &self.secrets,
            &self.configs,
            &self.volumes,
            &self.anonymous,
            self.stop_signal,
            &self.health,
        );
        Ok(Digest::of(serde_json::to_vec(&recipe)?).hex())
    }
}

/// What is wanted of a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// That it runs, or has run to its end.
    Run,
    /// That it does not run.
    Stop,
    /// That it is stopped and started again.
    Restart,
    /// That it is gone.
    Remove,
    /// That it is gone and another takes its name.
    Replace(Box<Container>),
}

/// Where a container is in its life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Waits for its dependencies, then starts.
    Waiting,
    /// Is being started.
    Starting,
    /// Runs.
    Running {
        /// Since when.
        started: Millis,
        /// Its health, when it has a check.
        health: Option<Health>,
    },
    /// Was told to stop.
    Stopping {
        /// Since when it ran.
        started: Millis,
        /// When it is killed.
        until: Millis,
        /// It has been killed already.
        killed: bool,
    },
    /// Ended, and waits to be restarted by its policy.
    Backoff {
        /// When.
        until: Millis,
        /// How it ended.
        exit: Ended,
    },
    /// Ended.
    Exited(Ended),
    /// Was never started, or was not started again.
    Created,
    /// Could not be started.
    Failed {
        /// Why.
        message: String,
    },
    /// Is being removed.
    Removing,
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The exit code; 128 + n for signal n.
    pub code: i32,
    /// It ran out of memory.
    pub oom_killed: bool,
    /// When.
    pub finished: Millis,
}

/// A port of the host that leads to a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundPort {
    /// The address listened on.
    pub host_ip: IpAddr,
    /// The port listened on.
    pub published: u16,
    /// The container's port.
    pub target: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// One container of a stack.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches of the command line, not the states of one thing"
)]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// 64 hex digits.
    pub id: String,
    /// `<project>-<service>-<index>`, or `container_name:`.
    pub name: String,
    /// From 1.
    pub index: u32,
    /// Made by `howdah run`; lives as long as that command.
    pub one_off: bool,
    /// Remove it when it has ended (`run --rm`).
    pub remove_after: bool,
    /// What it is made from.
    pub plan: ContainerPlan,
    /// What is wanted of it.
    pub goal: Goal,
    /// Where it is.
    pub phase: Phase,
    /// When it was made.
    pub created: Millis,
    /// Restarts by policy in a row.
    pub restarts: u32,
    /// A stop deadline other than the service's.
    pub grace: Option<Duration>,
    /// Its address on each network, by the network's key.
    pub addresses: BTreeMap<String, Ipv4Addr>,
    /// The host's ports that lead to it.
    pub ports: Vec<BoundPort>,
    /// Its volumes without a name, by path. They go from a container to the one that replaces it.
    pub anonymous: BTreeMap<String, String>,
    /// Start without waiting for dependencies.
    pub no_deps: bool,
    /// A one-off container that answers to its service's name too.
    pub use_aliases: bool,
}

impl Container {
    /// The service it belongs to.
    pub fn service(&self) -> &str {
        &self.plan.service.name
    }

    /// It has a process, or is about to have one.
    pub fn is_active(&self) -> bool {
        matches!(
            self.phase,
            Phase::Starting
                | Phase::Running { .. }
                | Phase::Stopping { .. }
                | Phase::Backoff { .. }
        )
    }

    /// Its health, when it runs and has a check.
    pub fn health(&self) -> Option<HealthStatus> {
        match &self.phase {
            Phase::Running { health, .. } => health.as_ref().map(|health| health.status),
            _ => None,
        }
    }

    /// How long it may take to stop.
    pub fn stop_grace(&self) -> Duration {
        self.grace.unwrap_or_else(|| self.plan.service.grace())
    }
}
