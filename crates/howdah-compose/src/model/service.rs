//! One service of the resolved project, every short syntax already in its long form.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use howdah_image::Platform;
use serde::{Deserialize, Serialize};

use super::build::BuildSection;
use super::mounts::{FileMount, ServiceMount};
use super::ports::Port;
use super::project::HostAddress;

/// How long a container may take to stop when `stop_grace_period:` does not say.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// A service: what its containers run, and how they are kept.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Service {
    /// The key under `services:`.
    pub name: String,
    /// `image:` as written.
    pub image: Option<String>,
    /// `build:`.
    pub build: Option<BuildSection>,
    /// `pull_policy:`.
    pub pull_policy: PullPolicy,
    /// `platform:` that its image is for.
    pub platform: Option<Platform>,
    /// `profiles:` that select the service; empty = always.
    pub profiles: Vec<String>,
    /// What one of its containers is.
    pub container: ContainerSection,
    /// `depends_on:` by service name, links and shared networks included.
    pub depends_on: BTreeMap<String, Dependency>,
    /// `scale:` or `deploy.replicas:`.
    pub replicas: u32,
    /// `restart:` or `deploy.restart_policy:`.
    pub restart: RestartPolicy,
    /// `stop_grace_period:`.
    pub stop_grace_period: Option<Duration>,
    /// `stop_signal:`.
    pub stop_signal: Option<String>,
    /// `attach: false` leaves the service's output out of `up`.
    pub detached: bool,
}

impl Service {
    /// How long a container of this service may take to stop.
    pub fn grace(&self) -> Duration {
        self.stop_grace_period.unwrap_or(DEFAULT_GRACE)
    }
}

/// What one container of a service is; a change here means another container.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent keys of the file, not the states of one thing"
)]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ContainerSection {
    /// `container_name:`.
    pub container_name: Option<String>,
    /// `command:`; none = the image's.
    pub command: Option<Vec<String>>,
    /// `entrypoint:`; none = the image's.
    pub entrypoint: Option<Vec<String>>,
    /// `env_file:` and `environment:` together; a name without a value is left out of the container.
    pub environment: BTreeMap<String, Option<String>>,
    /// `working_dir:`.
    pub working_dir: Option<String>,
    /// `user:`.
    pub user: Option<String>,
    /// `group_add:`.
    pub group_add: Vec<String>,
    /// `hostname:`.
    pub hostname: Option<String>,
    /// `domainname:`.
    pub domainname: Option<String>,
    /// `labels:` and `label_file:`.
    pub labels: BTreeMap<String, String>,
    /// `ports:`.
    pub ports: Vec<Port>,
    /// `volumes:` and `tmpfs:`.
    pub mounts: Vec<ServiceMount>,
    /// `secrets:`.
    pub secrets: Vec<FileMount>,
    /// `configs:`.
    pub configs: Vec<FileMount>,
    /// `network_mode:` or `networks:`.
    pub network: NetworkMode,
    /// `extra_hosts:`.
    pub extra_hosts: Vec<(String, HostAddress)>,
    /// `dns:`, `dns_search:`, `dns_opt:`.
    pub dns: DnsSection,
    /// `healthcheck:`.
    pub healthcheck: Option<HealthcheckSection>,
    /// Privileges.
    pub security: SecuritySection,
    /// Resource limits.
    pub limits: LimitsSection,
    /// `sysctls:`.
    pub sysctls: BTreeMap<String, String>,
    /// `devices:` as `source`, `target`, `permissions`.
    pub devices: Vec<Device>,
    /// `tty:`.
    pub tty: bool,
    /// `stdin_open:`.
    pub stdin_open: bool,
    /// `init:`.
    pub init: bool,
    /// `read_only:`.
    pub read_only: bool,
}

/// `pull_policy:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// Pull when the image is not here (the default of a service without `build:`).
    #[default]
    Missing,
    /// Pull each time.
    Always,
    /// Never pull.
    Never,
    /// Build, even when the image is here.
    Build,
}

/// One entry of `depends_on:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// What is waited for.
    pub condition: Condition,
    /// `required: false`: go on without it.
    pub required: bool,
    /// `restart: true`: restart this service when Compose restarts the dependency.
    pub restart: bool,
}

/// What a dependency has to reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// `service_started`.
    Started,
    /// `service_healthy`.
    Healthy,
    /// `service_completed_successfully`.
    CompletedSuccessfully,
}

/// `restart:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never restart.
    #[default]
    No,
    /// Restart whatever the exit code.
    Always,
    /// Restart after a failure, at most so many times in a row when a limit is given.
    OnFailure {
        /// The most restarts in a row.
        attempts: Option<u32>,
    },
    /// Like always; told apart only when the machine starts.
    UnlessStopped,
}

/// Where a container's network comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// Members of these networks, by their key in the file.
    Networks(BTreeMap<String, NetworkAttachment>),
    /// The host's.
    Host,
    /// Loopback only.
    None,
    /// That of another service.
    Service(String),
    /// That of another container.
    Container(String),
}

impl Default for NetworkMode {
    fn default() -> Self {
        Self::Networks(BTreeMap::new())
    }
}

/// How a service is attached to one network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NetworkAttachment {
    /// Other names of the service on this network.
    pub aliases: Vec<String>,
    /// A fixed address.
    pub address: Option<std::net::Ipv4Addr>,
    /// A fixed link address.
    pub mac_address: Option<String>,
    /// Networks are joined from the highest priority down; the first gives the default route.
    pub priority: i64,
}

/// `dns:`, `dns_search:` and `dns_opt:`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DnsSection {
    /// Servers that answer what the stack does not know.
    pub servers: Vec<std::net::IpAddr>,
    /// Search domains.
    pub search: Vec<String>,
    /// Resolver options.
    pub options: Vec<String>,
}

/// `healthcheck:`; what is not set comes from the image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HealthcheckSection {
    /// `["CMD", ..]`, `["CMD-SHELL", ..]` or `["NONE"]`; none = the image's.
    pub test: Option<Vec<String>>,
    /// `disable: true`.
    pub disable: bool,
    /// Time between two checks.
    pub interval: Option<Duration>,
    /// The longest a check may take.
    pub timeout: Option<Duration>,
    /// Failures in a row that make the container unhealthy.
    pub retries: Option<u32>,
    /// Time in which failures do not count.
    pub start_period: Option<Duration>,
    /// Time between two checks during the start period.
    pub start_interval: Option<Duration>,
}

/// Privileges of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SecuritySection {
    /// `privileged:`.
    pub privileged: bool,
    /// `cap_add:`.
    pub cap_add: Vec<String>,
    /// `cap_drop:`.
    pub cap_drop: Vec<String>,
    /// `security_opt: [no-new-privileges]`.
    pub no_new_privileges: bool,
    /// `security_opt: [seccomp:unconfined]`.
    pub seccomp_unconfined: bool,
}

/// Resource limits of a container.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LimitsSection {
    /// `mem_limit:` or `deploy.resources.limits.memory:`, bytes.
    pub memory: Option<u64>,
    /// `memswap_limit:`, bytes.
    pub memory_swap: Option<i64>,
    /// `cpus:` or `deploy.resources.limits.cpus:`.
    pub cpus: Option<f64>,
    /// `pids_limit:` or `deploy.resources.limits.pids:`.
    pub pids: Option<i64>,
    /// `shm_size:`, bytes.
    pub shm_size: Option<u64>,
    /// `ulimits:` by name: soft and hard.
    pub ulimits: BTreeMap<String, (i64, i64)>,
    /// `oom_score_adj:`.
    pub oom_score_adj: Option<i32>,
}

/// One entry of `devices:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The device on the host.
    pub source: PathBuf,
    /// Its path in the container.
    pub target: PathBuf,
    /// `r`, `w` and `m`.
    pub permissions: String,
}
