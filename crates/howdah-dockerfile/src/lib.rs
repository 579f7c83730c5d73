//! Dockerfile text to typed instructions with spans.
//!
//! The language is the one that BuildKit's `docker/dockerfile:1` frontend accepts
//! (<https://docs.docker.com/reference/dockerfile/>). Everything here is pure: text goes in; trees, faults and
//! decisions come out. Nothing is read from disk and nothing is printed.
//!
//! * [`parse`] makes a [`Dockerfile`]; what it cannot accept comes back as [`Fault`]s that render themselves.
//! * [`Command::expand`] and [`Lexer`] substitute variables by the rules of BuildKit's shell lexer.
//! * [`ignore`] decides which files of a build context `.dockerignore` keeps out.
//! * [`glob`] matches the wildcards of `COPY`, `ADD` and `--exclude`.

mod expand;
mod fault;
mod span;
mod tree;

pub use expand::{ExpandError, Lexer, Names, Variables};
pub use fault::{Fault, Severity};
pub use span::{Lines, Span};
pub use tree::{
    Add, Arg, ArgValue, Bind, Cache, Command, CommandLine, Copy, Directives, Dockerfile, Expose, Files, Healthcheck, Heredoc,
    Instruction, Mount, MountKind, Network, Onbuild, Pair, PortRange, Probe, Run, RunBody, RunMount, Secret, Security, Sharing,
    Ssh, Stage, Tmpfs, Word,
};

/// Parses a Dockerfile; every fault found in it is returned, not only the first.
pub fn parse(text: &str) -> Result<Dockerfile, Vec<Fault>> {
    Err(vec![Fault::error(Span::new(0, text.len()), "the parser is not there yet")])
}

/// Parses one `ONBUILD` trigger taken from an image's configuration ([`Onbuild::expression`]).
pub fn parse_trigger(expression: &str) -> Result<Instruction, Vec<Fault>> {
    Err(vec![Fault::error(Span::new(0, expression.len()), "the parser is not there yet")])
}
