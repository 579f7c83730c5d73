//! One container: specification, cgroups, network, logs, over libcontainer.
//!
//! libcontainer works only in a single-threaded process, so every container has a helper: this same executable,
//! executed again in the role [`HELPER_ROLE`]. [`Runtime`] is the face for everyone else.
#![expect(
    unsafe_code,
    reason = "forks, filters and signals need system calls without a safe face"
)]

mod attendant;
mod cgroup;
mod error;
mod helper;
pub mod network;
pub mod overlay;
mod plumbing;
mod process;
mod protocol;
mod records;
pub mod rootless;
mod running;
mod runtime;
mod socket;
mod spec;
mod state;

pub use error::RuntimeError;
pub use helper::helper;
pub use running::{Running, Stdio};
pub use runtime::Runtime;
pub use spec::{
    ContainerSpec, Device, Dns, Endpoint, ExecSpec, Limits, LogLimits, Mount, Network, Rootfs,
    Seccomp, Security, Ulimit,
};
pub use state::{Exit, State, Usage};

/// The first argument that makes an executable a container helper.
pub const HELPER_ROLE: &str = "__container";
