//! What one container needs, as plain data. It knows nothing of images or of Compose; the helper turns it into an OCI bundle.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

/// Everything one container needs.
///
/// The default is `docker run`'s: Docker's capabilities and seccomp profile, all namespaces, no limits; only the network
/// is none instead of a bridge, because a bridge must be named.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches of `docker run`, not the states of one thing"
)]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerSpec {
    /// Unique below one state directory: 1 to 128 of `[a-zA-Z0-9_.-]`, the first a letter or a digit.
    pub id: String,
    /// The root filesystem.
    pub rootfs: Rootfs,
    /// Mount the root filesystem read-only (`--read-only`).
    pub read_only: bool,
    /// The program and its arguments; the program is looked up in the container's `PATH`.
    pub args: Vec<String>,
    /// `NAME=value` pairs. `PATH`, `HOME`, `HOSTNAME` and, with a terminal, `TERM` are added when absent, as `docker run` does.
    pub env: Vec<String>,
    /// Working directory, made when missing; empty means `/`.
    pub cwd: String,
    /// `""` (root), `name`, `uid`, `name:group` or `uid:gid`, resolved in the root filesystem's `/etc/passwd` and `/etc/group`.
    pub user: String,
    /// Supplementary groups beside those of `/etc/group`, by name or number (`--group-add`).
    pub groups: Vec<String>,
    /// Give the container a terminal (`-t`).
    pub terminal: bool,
    /// Keep standard input open (`-i`); otherwise it is `/dev/null`.
    pub stdin: bool,
    /// Host name; empty means the first twelve characters of the id.
    pub hostname: String,
    /// A step of a build: `HOSTNAME` is not in the environment, `/etc/hostname` is the image's own, and `/etc/hosts` and
    /// `/etc/resolv.conf` cannot be written, since that would be lost (moby/buildkit `executor/oci/spec.go`).
    pub build_step: bool,
    /// NIS domain name, appended to the host name in `/etc/hosts`.
    pub domainname: Option<String>,
    /// Binds and tmpfs, mounted in this order over the default mounts.
    pub mounts: Vec<Mount>,
    /// More lines of `/etc/hosts`.
    pub hosts: Vec<(IpAddr, String)>,
    /// Contents of `/etc/resolv.conf`.
    pub dns: Dns,
    /// How the container reaches the world.
    pub network: Network,
    /// What the container's processes may do.
    pub security: Security,
    /// What the container may use up.
    pub limits: Limits,
    /// The control group that the container's are made in (`--cgroup-parent`), a path from the root of each hierarchy;
    /// Howdah's own when absent. No meaning in a user namespace, which has no groups to make.
    pub cgroup_parent: Option<String>,
    /// Namespaced kernel settings (`--sysctl`).
    pub sysctls: BTreeMap<String, String>,
    /// Device nodes of the host (`--device`).
    pub devices: Vec<Device>,
    /// Run a tiny reaper as PID 1 and the program as its child (`--init`).
    pub init: bool,
    /// Bounds of the log that `Runtime::start` writes.
    pub log: LogLimits,
}

/// The overlay that is the container's root: sealed layers below, one writable layer above.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rootfs {
    /// Read-only layers, lowest first. May be empty (an image from scratch).
    pub lowers: Vec<PathBuf>,
    /// Receives the container's changes; clean of mount points made by the runtime once the container has ended.
    pub upper: PathBuf,
    /// Overlayfs's work directory: empty, on the same filesystem as `upper`.
    pub work: PathBuf,
}

/// Something mounted into the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mount {
    /// A file or a directory of the host. The target is made when missing.
    Bind {
        /// Absolute path on the host; it must exist.
        source: PathBuf,
        /// Absolute path in the container.
        target: PathBuf,
        /// Read-only, mounts below it included.
        read_only: bool,
    },
    /// An empty filesystem in memory.
    Tmpfs {
        /// Absolute path in the container.
        target: PathBuf,
        /// Bound of its size; the kernel's default is half of the memory.
        size_bytes: Option<u64>,
        /// Permission bits of its root; 0o1777 when absent, as Docker does.
        mode: Option<u32>,
        /// Nothing can be written.
        #[serde(default)]
        read_only: bool,
    },
}

impl Mount {
    /// Where it is mounted in the container.
    pub fn target(&self) -> &std::path::Path {
        match self {
            Self::Bind { target, .. } | Self::Tmpfs { target, .. } => target,
        }
    }
}

/// Name resolution: the contents of `/etc/resolv.conf` (resolv.conf(5)).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dns {
    /// Name servers; empty means the host's.
    pub servers: Vec<IpAddr>,
    /// Search domains; empty means the host's when the servers are the host's too.
    pub search: Vec<String>,
    /// Resolver options such as `ndots:0`; empty means the host's when the servers are the host's too.
    pub options: Vec<String>,
}

/// How the container reaches the world.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// A network of its own with the loopback interface only.
    #[default]
    None,
    /// The host's network.
    Host,
    /// A network of its own, joined to these bridges as `eth0`, `eth1`, ... in this order.
    Bridged(Vec<Endpoint>),
    /// A network of its own, from which a program of the user reaches the world: see [`crate::rootless::relay()`].
    Relayed,
    /// The network of another running container, by its id.
    Container(String),
}

/// One end of a virtual cable into a bridge made by [`crate::network::ensure_bridge`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The bridge's interface name.
    pub bridge: String,
    /// The container's address with the network's prefix length.
    pub address: Ipv4Net,
    /// Default gateway; only the first endpoint that has one sets the default route.
    pub gateway: Option<Ipv4Addr>,
    /// Hardware address `02:42:ac:11:00:02`; derived from the address when absent, as Docker does.
    pub mac: Option<String>,
}

/// What the container's processes may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Security {
    /// All capabilities, all devices, no seccomp, nothing masked (`--privileged`).
    pub privileged: bool,
    /// Capabilities beside Docker's fourteen: `NET_ADMIN`, `CAP_NET_ADMIN` or `ALL`.
    pub cap_add: Vec<String>,
    /// Capabilities taken away; `ALL` takes all but those in `cap_add`.
    pub cap_drop: Vec<String>,
    /// Forbid gaining privileges by set-user-id programs.
    pub no_new_privileges: bool,
    /// The system call filter.
    pub seccomp: Seccomp,
}

/// The system call filter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seccomp {
    /// Docker's default profile.
    #[default]
    Default,
    /// None.
    Unconfined,
}

/// What the container may use up. Absent means unlimited.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Memory (`--memory`).
    pub memory_bytes: Option<u64>,
    /// Memory plus swap (`--memory-swap`); twice the memory when absent, as Docker does; `u64::MAX` is unlimited swap.
    pub memory_swap_bytes: Option<u64>,
    /// Processors (`--cpus`): 0.5 is half of one.
    pub cpus: Option<f64>,
    /// Processes and threads (`--pids-limit`).
    pub pids: Option<u64>,
    /// Size of `/dev/shm`; 64 MiB when absent.
    pub shm_bytes: Option<u64>,
    /// Resource limits of setrlimit(2).
    pub ulimits: Vec<Ulimit>,
    /// `/proc/<pid>/oom_score_adj`, -1000 to 1000.
    pub oom_score_adj: Option<i32>,
}

/// One resource limit, as `--ulimit nofile=1024:2048`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// Lower-case name without `RLIMIT_`: `nofile`, `nproc`, `core`, ...
    pub name: String,
    /// Soft limit; `u64::MAX` is unlimited.
    pub soft: u64,
    /// Hard limit; `u64::MAX` is unlimited.
    pub hard: u64,
}

impl Ulimit {
    /// All that there are (getrlimit(2)).
    pub const NAMES: [&str; 16] = [
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];
}

/// One device node of the host in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Path on the host.
    pub source: PathBuf,
    /// Path in the container.
    pub target: PathBuf,
    /// Of `r`, `w` and `m` (mknod).
    pub permissions: String,
}

/// Bounds of a container's log: one current file and a few older ones (`<log>.1` the youngest).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogLimits {
    /// The current file is rotated before it grows past this.
    pub max_bytes: u64,
    /// How many files are kept, the current one included; at least 1.
    pub max_files: u32,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            max_bytes: 16 * 1024 * 1024,
            max_files: 4,
        }
    }
}

/// One more process in a running container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecSpec {
    /// The program and its arguments.
    pub args: Vec<String>,
    /// Added to the container's environment, which it overrides.
    pub env: Vec<String>,
    /// Working directory; the container's when absent.
    pub cwd: Option<String>,
    /// User as in [`ContainerSpec::user`]; the container's when absent.
    pub user: Option<String>,
    /// Give the process a terminal.
    pub terminal: bool,
    /// Keep standard input open; otherwise it is `/dev/null`.
    pub stdin: bool,
    /// All capabilities.
    pub privileged: bool,
}
