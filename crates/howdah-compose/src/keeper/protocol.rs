//! What commands and the keeper say to each other: one request line, then message lines until `done` or `failed`.

use std::collections::BTreeMap;
use std::time::Duration;

use howdah_runtime::{ContainerSpec, ExecSpec};
use serde::{Deserialize, Serialize};

use crate::model::Project;
use crate::stack::{Container, DiffOptions, StackEvent};

/// The image a service runs, resolved by the command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceImage {
    /// Its local id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// What a command asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Make the stack what the project says.
    Up(Box<UpRequest>),
    /// Remove containers and networks, and these volumes.
    Down {
        /// The services; empty = all, and the networks with them.
        services: Vec<String>,
        /// A stop deadline other than the services'.
        grace: Option<Duration>,
        /// Full names of volumes to remove.
        volumes: Vec<String>,
    },
    /// Stop containers.
    Stop {
        /// The services; empty = all.
        services: Vec<String>,
        /// A stop deadline other than the services'.
        grace: Option<Duration>,
    },
    /// Start containers that exist.
    Start {
        /// The services; empty = all.
        services: Vec<String>,
    },
    /// Stop containers and start them again.
    Restart {
        /// The services; empty = all.
        services: Vec<String>,
        /// A stop deadline other than the services'.
        grace: Option<Duration>,
    },
    /// Make a one-off container, for the command itself to run.
    Run(Box<RunRequest>),
    /// Run one more process in a container, in the background.
    Exec {
        /// The container's id.
        id: String,
        /// The process.
        process: ExecSpec,
    },
    /// Tell the containers' state.
    List,
    /// Tell events until the connection ends.
    Watch,
}

/// `up`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UpRequest {
    /// The project.
    pub project: Project,
    /// The image of each service that is to run, by service.
    pub images: BTreeMap<String, ServiceImage>,
    /// How it was called.
    pub options: DiffOptions,
    /// A stop deadline for containers that are replaced.
    pub grace: Option<Duration>,
    /// What the request waits for.
    pub wait: WaitFor,
}

/// What `up` waits for before it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitFor {
    /// Every container has been started.
    Started,
    /// Every container with a check is healthy, every other one runs or has completed with 0.
    Healthy,
}

/// `run`.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches of the command line, not the states of one thing"
)]
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunRequest {
    /// The project; its service already has what the command line changed.
    pub project: Project,
    /// The service.
    pub service: String,
    /// Its image.
    pub image: ServiceImage,
    /// The container's name; a random one when none.
    pub name: Option<String>,
    /// Do not wait for dependencies.
    pub no_deps: bool,
    /// Publish the service's ports.
    pub service_ports: bool,
    /// Answer to the service's name too.
    pub use_aliases: bool,
    /// Remove the container when the command ends.
    pub remove: bool,
}

/// A line of the keeper.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// The first line: the keeper listens. A connection that ends before it may be tried again.
    Welcome {
        /// The keeper's process.
        pid: u32,
    },
    /// Something happened.
    Event(StackEvent),
    /// What to run, for [`Request::Run`].
    Spec {
        /// The container's name.
        name: String,
        /// The container.
        spec: Box<ContainerSpec>,
    },
    /// The request is done; the containers it was about.
    Done {
        /// As they are now.
        containers: Vec<Container>,
    },
    /// The request failed.
    Failed {
        /// Why.
        message: String,
        /// What to do next.
        hint: Option<String>,
    },
}

/// A later line of a command on the same connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interjection {
    /// Do not start what has not been started (Ctrl-C during `up -d`).
    Cancel,
    /// Kill what does not stop (the second Ctrl-C).
    Hurry,
    /// The command holds the one-off container's lock and runs it.
    Running,
    /// The one-off container's program ended.
    Finished {
        /// Its exit code.
        code: i32,
    },
}
