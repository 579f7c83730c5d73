//! The Compose model and the keeper of a running stack.
//!
//! [`load`] reads a project as Docker Compose v2 does. Nothing here prints or reads the environment: the binary passes
//! both in and words what comes out.

mod client;
mod keeper;
mod logs;
mod model;
mod stack;

pub use client::{Client, ClientError, Interjector, KEEPER_ROLE, last_words};
pub use keeper::{
    Interjection, KeeperError, KeeperOptions, Message, PlanError, Request, RunRequest,
    ServiceImage, StackPaths, StateError, UpRequest, WaitFor, keep, load_state, plans, signal_name,
    signal_number,
};
pub use logs::{LogLine, LogReader, LogWatch, tail};
pub use model::*;
pub use stack::*;
