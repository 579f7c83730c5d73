//! Instructions that set the configuration of the image.

use std::time::Duration;

use super::Word;

/// `NAME=value` of `ENV` and `LABEL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The name.
    pub name: Word,
    /// The value.
    pub value: Word,
    /// False for the old form `ENV name value`, which BuildKit's checks discourage.
    pub equals: bool,
}

/// `ARG name[=default] ...`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arg {
    /// The arguments in order; a later default may use an earlier name of the same line.
    pub values: Vec<ArgValue>,
}

/// One argument of an `ARG`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgValue {
    /// The name; does not expand.
    pub name: Word,
    /// The default; expands (see [`super::Command::expand`]). `ARG name` has none, `ARG name=` has an empty one.
    pub default: Option<Word>,
    /// The comment right above that begins with the argument's name: its description.
    pub comment: Option<String>,
}

/// A command in shell or exec form; never expands, the shell in the container does that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandLine {
    /// `["program", "argument"]`, run as it is.
    Exec(Vec<String>),
    /// Handed to the shell of `SHELL`.
    Shell(String),
}

/// `EXPOSE`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expose {
    /// Port words; expansion may make several of one. [`Expose::ranges`] reads them.
    pub ports: Vec<Word>,
}

/// Ports of one protocol, both ends included.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortRange {
    /// The first port.
    pub first: u16,
    /// The last port, the same as `first` for a single one.
    pub last: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// `HEALTHCHECK`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Healthcheck {
    /// `HEALTHCHECK NONE`: takes away the one that the base image set.
    None,
    /// `HEALTHCHECK CMD`
    Probe(Probe),
}

/// A probe and its times; `None` means the default, as zero does in the image configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The command to run; never expands.
    pub command: CommandLine,
    /// `--interval`
    pub interval: Option<Duration>,
    /// `--timeout`
    pub timeout: Option<Duration>,
    /// `--start-period`
    pub start_period: Option<Duration>,
    /// `--start-interval`
    pub start_interval: Option<Duration>,
    /// `--retries`
    pub retries: Option<u32>,
}

/// `ONBUILD`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Onbuild {
    /// What the image's configuration keeps: the instruction with its heredocs. [`crate::parse_trigger`] reads it again.
    pub expression: String,
}
