//! What HTTP demands of every request and response, whatever answers it.

pub mod body;
pub(crate) mod check;
pub(crate) mod response;

pub use body::{Body, BodyError};
