//! How the HTTP front and the PHP processes talk: frames on a stream socket between the front and each worker ([`frame`]),
//! what a request is ([`request`]), what a worker has begun ([`ledger`]), and JSON messages between the front and the zygote
//! ([`control`]). Pure: no sockets here.

pub mod control;
pub mod frame;
pub mod ledger;
pub mod log;
pub mod request;

pub use frame::{Frame, FrameError, Kind};
pub use log::LogLine;
pub use request::{Head, Line, PairsWriter, Ready, Request, RequestView};
