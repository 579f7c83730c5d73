//! How the HTTP front and the PHP processes talk: frames on a stream socket between the front and each worker ([`frame`]),
//! what a request is ([`request`]), and JSON messages between the front and the zygote ([`control`]). Pure: no sockets here.

pub mod control;
pub mod frame;
pub mod request;

pub use frame::{Frame, FrameError, Kind};
pub use request::{Head, Request};
