//! `RUN` and its mounts.

use super::{Heredoc, Word};

/// `RUN`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What is run; never expands, the shell in the container does that.
    pub body: RunBody,
    /// The heredocs as written, for display; their text is part of `body` already.
    pub heredocs: Vec<Heredoc>,
    /// `--mount`, several.
    pub mounts: Vec<RunMount>,
    /// `--network`
    pub network: Network,
    /// `--security`
    pub security: Security,
    /// `--device`, several; never expands.
    pub devices: Vec<Device>,
}

/// `RUN --device`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// A device or a class of them, by its name in the Container Device Interface.
    pub name: String,
    /// Without it the step fails.
    pub required: bool,
}

/// What a `RUN` executes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunBody {
    /// `["program", "argument"]`, run as it is.
    Exec(Vec<String>),
    /// Handed to the shell of `SHELL` as one argument, heredocs inside it put back.
    Shell(String),
    /// A single heredoc that begins with `#!`: an executable file, which BuildKit mounts as `/dev/pipes/<name>`.
    Script {
        /// The name of the file.
        name: String,
        /// Its text.
        content: String,
    },
}

/// `RUN --network`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Network {
    /// The builder's own sandbox network.
    #[default]
    Default,
    /// Loopback only.
    None,
    /// The host's network.
    Host,
}

/// `RUN --security`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Security {
    /// Default capabilities and seccomp profile.
    #[default]
    Sandbox,
    /// Privileged.
    Insecure,
}

/// A `--mount` before expansion. Its values may hold variables, so types come with [`RunMount::resolve`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunMount {
    /// The value of the flag: comma separated `key=value` fields; each value expands on its own.
    pub options: Word,
}

/// A `--mount` after expansion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where in the container; relative ones start at the working directory. Empty when a secret or an SSH
    /// agent leaves the place to the builder, or when a secret only goes to the environment.
    pub target: String,
    /// Nothing can be written through it.
    pub read_only: bool,
    /// The kind and what belongs to it.
    pub kind: MountKind,
}

/// The types of mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountKind {
    /// `type=bind`, the default.
    Bind(Bind),
    /// `type=cache`
    Cache(Cache),
    /// `type=tmpfs`
    Tmpfs(Tmpfs),
    /// `type=secret`
    Secret(Secret),
    /// `type=ssh`
    Ssh(Ssh),
}

/// `type=bind`: a tree of the context, a stage or an image; writes are thrown away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// Stage, named context or image; `None` is the build context.
    pub from: Option<String>,
    /// The path in it.
    pub source: String,
}

/// `type=cache`: a directory that outlives the build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Its identity; the target when not given.
    pub id: String,
    /// Stage, named context or image with the initial content.
    pub from: Option<String>,
    /// The path in `from`.
    pub source: String,
    /// What two builds at once do.
    pub sharing: Sharing,
    /// Mode, user and group of a new cache directory.
    pub mode: Option<u32>,
    /// The owner.
    pub uid: Option<u32>,
    /// The group.
    pub gid: Option<u32>,
}

/// `sharing=` of a cache mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sharing {
    /// All write at once.
    #[default]
    Shared,
    /// A second writer gets a directory of its own.
    Private,
    /// A second writer waits.
    Locked,
}

/// `type=tmpfs`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tmpfs {
    /// Upper limit in bytes.
    pub size_bytes: Option<u64>,
}

/// `type=secret`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Its name on the command line; the base name of the target when not given.
    pub id: String,
    /// The environment variable that holds it, when it goes there.
    pub env: Option<String>,
    /// Whether the build fails without it.
    pub required: bool,
    /// Mode of the file, 0400 unless given.
    pub mode: u32,
    /// The owner, 0 unless given.
    pub uid: u32,
    /// The group, 0 unless given.
    pub gid: u32,
}

/// `type=ssh`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ssh {
    /// The agent's name on the command line, `default` unless given.
    pub id: String,
    /// Whether the build fails without it.
    pub required: bool,
    /// Mode of the socket, 0600 unless given.
    pub mode: u32,
    /// The owner, 0 unless given.
    pub uid: u32,
    /// The group, 0 unless given.
    pub gid: u32,
}
