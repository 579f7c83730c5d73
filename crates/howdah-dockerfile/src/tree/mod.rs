//! The tree that [`crate::parse()`] returns: global arguments, then stages, then their instructions.

mod config;
mod files;
mod run;

pub use config::{
    Arg, ArgValue, CommandLine, Expose, Healthcheck, Onbuild, Pair, PortRange, Probe,
};
pub use files::{Add, Copy, Files, Heredoc};
pub use run::{
    Bind, Cache, Device, Mount, MountKind, Network, Run, RunBody, RunMount, Secret, Security,
    Sharing, Ssh, Tmpfs,
};

use crate::{Fault, Lines, Span};

/// A whole Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    /// The `# name=value` lines at the top.
    pub directives: Directives,
    /// The `ARG` instructions before the first `FROM`; every one holds a [`Command::Arg`].
    pub global_args: Vec<Instruction>,
    /// The stages in the order of the file; never empty.
    pub stages: Vec<Stage>,
    /// What does not stop the build but deserves a word.
    pub warnings: Vec<Fault>,
    /// The last lines of continued instructions that have an empty line inside, which BuildKit will refuse one day.
    pub empty_continuations: Vec<usize>,
}

/// Parser directives (<https://docs.docker.com/reference/dockerfile/#parser-directives>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directives {
    /// `# syntax=`: the frontend image that the file asks for.
    pub syntax: Option<Word>,
    /// `# escape=`: `\` unless the file says `` ` ``.
    pub escape: char,
    /// `# check=`: settings of the build checks.
    pub check: Option<Word>,
}

/// One `FROM` and what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The name after `AS`, in lower case as BuildKit compares it.
    pub name: Option<Word>,
    /// Image or earlier stage; expands with the global arguments only.
    pub base: Word,
    /// `--platform`; expands with the global arguments only.
    pub platform: Option<Word>,
    /// The comment right above that begins with the stage's name: its description.
    pub comment: Option<String>,
    /// All comment lines above, up to an empty one, without `#`; build checks may have settings there.
    pub comments: Vec<String>,
    /// The `FROM` instruction as written, continuations joined.
    pub original: String,
    /// The `FROM` instruction in the text.
    pub span: Span,
    /// The lines of the `FROM` instruction.
    pub lines: Lines,
    /// Everything up to the next `FROM`.
    pub instructions: Vec<Instruction>,
}

/// One instruction with its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What it says.
    pub command: Command,
    /// The comment lines above, up to an empty one, without `#`; build checks may have settings there.
    pub comments: Vec<String>,
    /// The text as written, continuations joined and comments dropped, without heredoc bodies; for display and history.
    pub original: String,
    /// Where it stands, heredoc bodies included.
    pub span: Span,
    /// The lines it takes, heredoc bodies included.
    pub lines: Lines,
}

/// An instruction's meaning. A [`Word`] holds the text before expansion; [`Command::expand`] gives a command whose
/// words are expanded wherever BuildKit does so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `ADD`
    Add(Add),
    /// `ARG`
    Arg(Arg),
    /// `CMD`
    Cmd(CommandLine),
    /// `COPY`
    Copy(Copy),
    /// `ENTRYPOINT`
    Entrypoint(CommandLine),
    /// `ENV`: names and values, both expand; all against the variables from before the instruction.
    Env(Vec<Pair>),
    /// `EXPOSE`
    Expose(Expose),
    /// `HEALTHCHECK`
    Healthcheck(Healthcheck),
    /// `LABEL`: names and values, both expand.
    Label(Vec<Pair>),
    /// `MAINTAINER`: never expands.
    Maintainer(Word),
    /// `ONBUILD`
    Onbuild(Onbuild),
    /// `RUN`
    Run(Run),
    /// `SHELL`: never expands.
    Shell(Vec<String>),
    /// `STOPSIGNAL`: expands.
    StopSignal(Word),
    /// `USER`: expands.
    User(Word),
    /// `VOLUME`: each path expands.
    Volume(Vec<Word>),
    /// `WORKDIR`: expands.
    Workdir(Word),
}

/// A piece of text and its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// Quotes, escapes and variables as written (or, after expansion, their result).
    pub text: String,
    /// Where it was written. After expansion still the place of the unexpanded text.
    pub span: Span,
}
