//! How a process ended, and the exit code that stands for it.

use std::fmt;

use nix::sys::signal::Signal;

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It exited with this code.
    Exited(i32),
    /// A signal ended it.
    Signalled(i32),
    /// It could not be started.
    NotStarted(String),
}

impl Ending {
    /// The exit code as a shell has it: 128 + n for a signal, 127 for what cannot be executed.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Exited(code) => u8::try_from(*code).unwrap_or(u8::MAX),
            Self::Signalled(signal) => 128_u8.saturating_add(u8::try_from(*signal).unwrap_or(0)),
            Self::NotStarted(_) => 127,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(formatter, "exited with code {code}"),
            Self::Signalled(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(formatter, "was ended by {signal}"),
                Err(_) => write!(formatter, "was ended by signal {number}"),
            },
            Self::NotStarted(reason) => write!(formatter, "cannot start: {reason}"),
        }
    }
}
