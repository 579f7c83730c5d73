//! PID 1: spawn, forward signals, reap, restart, drain.
//!
//! [`config`] reads what to run. `lifecycle` and `fleet` decide, as pure functions of state, event and clock;
//! [`supervisor`] is the event loop around them; [`control`] answers `howdah health`; [`probe`] asks an address.

#![expect(
    unsafe_code,
    reason = "what runs between fork and exec, and closing inherited descriptors, is unsafe"
)]

pub mod config;
pub mod control;
mod ending;
mod fleet;
mod lifecycle;
mod notice;
pub mod probe;
pub mod program;
pub mod supervisor;

pub use config::{Config, ConfigError, Surroundings};
