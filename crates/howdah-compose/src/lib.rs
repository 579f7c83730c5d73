//! The Compose model and the keeper of a running stack.
//!
//! [`load`] reads a project as Docker Compose v2 does. Nothing here prints or reads the environment: the binary passes
//! both in and words what comes out.

mod keeper;
mod model;
mod stack;

pub use keeper::*;
pub use model::*;
pub use stack::*;
