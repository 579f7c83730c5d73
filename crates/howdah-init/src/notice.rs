//! What the supervisor says on standard error, in words.

use std::fmt;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::ending::Ending;
use crate::program::Reach;

/// What is told about a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Started {
        pid: i32,
    },
    Running {
        after: Duration,
    },
    EndedEarly {
        ending: Ending,
        retry: Duration,
    },
    Restarting {
        ending: Ending,
        after: Duration,
    },
    Ended {
        ending: Ending,
    },
    Lost {
        ending: Ending,
        starts: u32,
        early: bool,
    },
    Stopping {
        signal: Signal,
        wait: Duration,
    },
    Stopped {
        ending: Ending,
    },
    Killed {
        reach: Reach,
        after: Option<Duration>,
    },
    GroupLeft {
        signal: Signal,
    },
    Stuck,
    /// The transition function has no answer: a bug of ours, told and survived.
    Unexpected {
        event: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { pid } => write!(formatter, "started, pid {pid}"),
            Self::Running { after } => write!(formatter, "running (up for {})", seconds(*after)),
            Self::EndedEarly { ending, retry } => {
                write!(
                    formatter,
                    "{ending} before it was up; next try in {}",
                    seconds(*retry)
                )
            }
            Self::Restarting { ending, after } if after.is_zero() => {
                write!(formatter, "{ending}; starting it again")
            }
            Self::Restarting { ending, after } => {
                write!(
                    formatter,
                    "{ending}; starting it again in {}",
                    seconds(*after)
                )
            }
            Self::Ended { ending } => write!(formatter, "{ending}"),
            Self::Lost {
                ending,
                starts,
                early,
            } => {
                write!(
                    formatter,
                    "{ending}; given up after {starts} start{}",
                    plural(*starts)
                )?;
                if *early && ending.code() == 0 {
                    formatter.write_str(
                        "; it must stay in the foreground (php-fpm -F, nginx -g 'daemon off;')",
                    )?;
                }
                Ok(())
            }
            Self::Stopping { signal, wait } => {
                write!(
                    formatter,
                    "stopping with {signal}, for up to {}",
                    seconds(*wait)
                )
            }
            Self::Stopped { ending } => write!(formatter, "stopped, it {ending}"),
            Self::Killed { reach, after } => {
                match after {
                    Some(after) => write!(
                        formatter,
                        "still alive after {}: killed with SIGKILL",
                        seconds(*after)
                    )?,
                    None => formatter.write_str("killed with SIGKILL")?,
                }
                formatter.write_str(if *reach == Reach::Group {
                    ", with its whole process group"
                } else {
                    ""
                })
            }
            Self::GroupLeft { signal } => {
                write!(formatter, "it left processes behind; they get {signal}")
            }
            Self::Stuck => formatter
                .write_str("still there after SIGKILL, stuck in the kernel; waiting no longer"),
            Self::Unexpected { event } => write!(formatter, "bug: {event}"),
        }
    }
}

/// What is told about all programs together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FleetNotice {
    Begins {
        programs: usize,
        file: String,
        budget: Duration,
    },
    AllUp,
    Draining(Cause),
    Cut,
    Forwarded {
        signal: Signal,
        programs: usize,
    },
    Stragglers,
    SocketUnavailable {
        reason: String,
    },
    Over {
        code: u8,
    },
}

/// Why everything stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A signal asked for it.
    Asked(Signal),
    /// An essential program is lost.
    Lost { name: String, code: u8 },
    /// Every program has ended; the code is the first one that was not expected.
    AllEnded { code: u8 },
}

impl fmt::Display for FleetNotice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begins {
                programs,
                file,
                budget,
            } => {
                let many = if *programs == 1 {
                    "program"
                } else {
                    "programs"
                };
                write!(
                    formatter,
                    "{programs} {many} of {file}; a stop takes up to {}",
                    seconds(*budget)
                )
            }
            Self::AllUp => formatter.write_str("all programs are up"),
            Self::Draining(Cause::Asked(signal)) => {
                write!(formatter, "{signal}: stopping all programs")
            }
            Self::Draining(Cause::Lost { name, .. }) => {
                write!(
                    formatter,
                    "essential program {name} is lost: stopping all programs"
                )
            }
            Self::Draining(Cause::AllEnded { .. }) => {
                formatter.write_str("every program has ended")
            }
            Self::Cut => formatter.write_str("interrupted again: killing what is left"),
            Self::Forwarded { signal, programs } => {
                write!(
                    formatter,
                    "{signal} passed on to {programs} process{}",
                    if *programs == 1 { "" } else { "es" }
                )
            }
            Self::Stragglers => {
                formatter.write_str("processes outlived their programs; they get SIGTERM")
            }
            Self::SocketUnavailable { reason } => {
                write!(formatter, "`howdah health` cannot be answered: {reason}")
            }
            Self::Over { code } => write!(formatter, "exit code {code}"),
        }
    }
}

fn plural(count: u32) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// `10 s`, `0.5 s`.
fn seconds(duration: Duration) -> String {
    format!("{} s", (duration.as_secs_f64() * 10.0).ceil() / 10.0)
}
