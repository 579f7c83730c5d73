//! Dockerfile text to typed instructions with spans.
//!
//! The language is the one that BuildKit's `docker/dockerfile:1` frontend accepts
//! (<https://docs.docker.com/reference/dockerfile/>). Everything here is pure: text goes in; trees, faults and
//! decisions come out. Nothing is read from disk and nothing is printed.
//!
//! * [`parse()`] makes a [`Dockerfile`]; what it cannot accept comes back as [`Fault`]s that render themselves.
//! * [`Command::expand`] and [`Lexer`] substitute variables by the rules of BuildKit's shell lexer.
//! * [`ignore`] decides which files of a build context `.dockerignore` keeps out.
//! * [`lint`] says what is allowed and yet wrong.
//! * [`glob`] matches the wildcards of `COPY`, `ADD` and `--exclude`.

mod expand;
mod fault;
pub mod glob;
pub mod ignore;
mod limits;
pub mod lint;
mod mount;
mod parse;
mod ports;
mod signals;
mod span;
mod suggest;
mod tree;
mod units;

pub use expand::{ExpandError, Lexer, Names, Variables};
pub use fault::{Fault, Severity};
pub use parse::{parse, parse_trigger};
pub use signals::is_signal;
pub use span::{Lines, Span};
pub use tree::{
    Add, Arg, ArgValue, Bind, Cache, Command, CommandLine, Copy, Device, Directives, Dockerfile,
    Expose, Files, Healthcheck, Heredoc, Instruction, Mount, MountKind, Network, Onbuild, Pair,
    PortRange, Probe, Run, RunBody, RunMount, Secret, Security, Sharing, Ssh, Stage, Tmpfs, Word,
};
