//! One container: specification, cgroups, network, logs, over libcontainer.
//!
//! libcontainer works only in a single-threaded process, so every container has a helper: this same executable,
//! executed again in the role [`HELPER_ROLE`]. [`Runtime`] is the face for everyone else.

mod error;
pub mod network;
pub mod overlay;
mod running;
mod runtime;
mod spec;
mod state;

use std::ffi::OsString;
use std::process::ExitCode;

pub use error::RuntimeError;
pub use running::{Running, Stdio};
pub use runtime::Runtime;
pub use spec::{
    ContainerSpec, Device, Dns, Endpoint, ExecSpec, Limits, LogLimits, Mount, Network, Rootfs,
    Seccomp, Security, Ulimit,
};
pub use state::{Exit, State, Usage};

/// The first argument that makes an executable a container helper.
pub const HELPER_ROLE: &str = "__container";

/// The role [`HELPER_ROLE`]; `arguments` are those after it. To be called before any thread exists.
pub fn helper(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    todo!("{}", arguments.count())
}
