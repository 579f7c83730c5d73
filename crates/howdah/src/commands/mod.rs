//! The commands, one file each, and what they share: where things live, and how a failure is told.

pub(crate) mod build;
pub(crate) mod cache;
mod compression;
pub(crate) mod config;
mod confirm;
pub(crate) mod display;
pub(crate) mod down;
pub(crate) mod exec;
pub(crate) mod frankenphp;
pub(crate) mod health;
pub(crate) mod image;
pub(crate) mod images;
pub(crate) mod keeper;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod logs;
pub(crate) mod php;
mod platform;
pub(crate) mod ps;
pub(crate) mod pull;
pub(crate) mod push;
mod request;
pub(crate) mod restart;
pub(crate) mod rootless;
pub(crate) mod run;
pub(crate) mod serve;
mod signals;
mod stack;
pub(crate) mod start;
pub(crate) mod stop;
pub(crate) mod supervise;
pub(crate) mod system;
pub(crate) mod top;
mod transfer;
pub(crate) mod up;
mod up_attached;
mod up_detached;
pub(crate) mod why;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use howdah_image::StoreError;

use howdah_runtime::rootless::Ids;

/// What to do about a full disk.
const FULL: &str = "make room and try again: `howdah system df` tells what howdah has there, `howdah cache prune` and \
                    `howdah image prune` remove what is not used; nothing that was whole is harmed";

/// Options every command takes.
#[derive(Debug, clap::Args)]
pub(crate) struct GlobalArgs {
    /// Where images, snapshots and volumes are kept; without it `/var/lib/howdah`, else `$XDG_DATA_HOME/howdah`.
    #[arg(
        long,
        global = true,
        env = "HOWDAH_ROOT",
        value_name = "DIR",
        hide_env_values = true
    )]
    root: Option<PathBuf>,
}

impl GlobalArgs {
    /// For a command line of somebody else's, which has no such options.
    pub(crate) fn from_environment() -> Self {
        Self {
            root: std::env::var_os("HOWDAH_ROOT").map(PathBuf::from),
        }
    }
}

/// Where this process's state lives; the only place that reads the environment for it.
#[derive(Debug)]
pub(crate) struct Context {
    root: PathBuf,
    runtime_directory: PathBuf,
    ids: Option<Ids>,
}

impl Context {
    /// Resolves the directories of DESIGN section 2: the store's root, and the directory of sockets and locks.
    pub(crate) fn from_environment(global: GlobalArgs) -> Self {
        let is_root = rustix::process::geteuid().is_root();
        let explicit = global.root.is_some();
        let root = global.root.unwrap_or_else(|| {
            if is_root {
                PathBuf::from("/var/lib/howdah")
            } else {
                user_directory("XDG_DATA_HOME", ".local/share")
            }
        });
        let runtime = if is_root {
            PathBuf::from("/run/howdah")
        } else {
            user_directory("XDG_RUNTIME_DIR", ".cache")
        };
        // A store kept apart keeps its sockets and containers apart too. Its name is a hash, because a socket's path
        // has at most 107 bytes (unix(7)).
        let runtime_directory = if explicit {
            let absolute = std::path::absolute(&root).unwrap_or_else(|_| root.clone());
            let hash = blake3::hash(absolute.as_os_str().as_encoded_bytes()).to_hex();
            runtime.join(&hash[..12])
        } else {
            runtime
        };
        Self {
            root,
            runtime_directory,
            ids: None,
        }
    }

    /// The process has moved into a user namespace with these ids, or it is root and stayed.
    pub(crate) fn with_ids(self, ids: Option<Ids>) -> Self {
        Self { ids, ..self }
    }

    /// The ids of the user namespace that an ordinary user's command is in.
    pub(crate) fn ids(&self) -> Option<&Ids> {
        self.ids.as_ref()
    }

    /// This program's own file. In a user namespace by its link: a path need not lead to it any more, because the mount that
    /// it was executed from may have been the old namespace's, and gone with it (a file bound into a container).
    pub(crate) fn executable(&self) -> Result<PathBuf, CommandError> {
        if self.ids.is_some() {
            return Ok(PathBuf::from("/proc/self/exe"));
        }
        std::env::current_exe().map_err(|error| {
            CommandError::new(format!("cannot find this program's own file: {error}"))
        })
    }

    /// The store's root directory.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of sockets, locks and container state; gone after a reboot.
    pub(crate) fn runtime_directory(&self) -> &Path {
        &self.runtime_directory
    }
}

fn user_directory(variable: &str, below_home: &str) -> PathBuf {
    std::env::var_os(variable)
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(below_home)))
        .unwrap_or_else(std::env::temp_dir)
        .join("howdah")
}

/// A failed command: what failed, what to do next, and the exit code that says so.
#[derive(Debug)]
pub(crate) struct CommandError {
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    code: u8,
}

impl CommandError {
    /// A failure told in the command's own words. Exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            causes: Vec::new(),
            hint: None,
            code: 1,
        }
    }

    /// What to do next, in one sentence.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says what failed because of this failure, which becomes its first cause.
    pub(crate) fn about(mut self, message: impl Into<String>) -> Self {
        let cause = std::mem::replace(&mut self.message, message.into());
        self.causes.insert(0, cause);
        self
    }

    /// Another exit code than 1: 2 for wrong usage, 125 to 127 as `docker run` has them.
    pub(crate) fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// All of it in one line.
    pub(crate) fn line(&self) -> String {
        let message = std::iter::once(self.message.as_str());
        let all: Vec<&str> = message
            .chain(self.causes.iter().map(String::as_str))
            .chain(self.hint.as_deref())
            .collect();
        all.join(": ")
    }

    /// Prints the failure once, on stderr, and gives its exit code.
    pub(crate) fn report(&self) -> ExitCode {
        anstream::eprintln!("\u{1b}[1;31merror\u{1b}[0m: {}", self.message);
        for cause in &self.causes {
            anstream::eprintln!("  caused by: {cause}");
        }
        if let Some(hint) = &self.hint {
            anstream::eprintln!("\u{1b}[1;36mhint\u{1b}[0m: {hint}");
        }
        ExitCode::from(self.code)
    }
}

impl<E: std::error::Error + 'static> From<E> for CommandError {
    fn from(error: E) -> Self {
        let mut causes = Vec::new();
        let mut hint = store_hint(&error);
        let mut source = error.source();
        while let Some(cause) = source {
            causes.push(cause.to_string());
            hint = hint.or_else(|| store_hint(cause));
            source = cause.source();
        }
        Self {
            message: error.to_string(),
            causes,
            hint,
            code: 1,
        }
    }
}

/// What to do about a full disk, or a store that lost something, whichever command found out.
fn store_hint(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<std::io::Error>() {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        return matches!(error.kind(), StorageFull | QuotaExceeded).then(|| FULL.to_owned());
    }
    match error.downcast_ref::<StoreError>()? {
        StoreError::DamagedImage { image, .. } => Some(format!(
            "get it again: howdah image rm --force {image}, then howdah pull, build or image bootstrap"
        )),
        StoreError::DamagedDatabase { path, .. } => Some(format!(
            "move it away with what belongs to it: mkdir {0}.damaged && mv {0} {0}-* {0}.damaged; images and cache begin \
             anew, volumes stay, and `howdah cache prune` frees the layers that nobody knows then",
            path.display()
        )),
        _ => None,
    }
}
