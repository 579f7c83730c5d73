//! What HTTP demands of every request and response, whatever answers it.

mod accept;
pub(crate) mod access;
pub(crate) mod ahead;
pub mod body;
pub(crate) mod check;
pub(crate) mod client;
pub(crate) mod compress;
pub mod interim;
pub(crate) mod request_body;
pub(crate) mod response;

pub(crate) use accept::{Coding, accepted};
pub use body::{Body, BodyError};
pub use request_body::RequestBodyError;
