//! `howdah __keeper`: the role of the process that owns a running stack. Started by the commands, never by a person.

use std::path::PathBuf;
use std::process::ExitCode;

use howdah_compose::{KeeperError, KeeperOptions, StackPaths, keep};

use super::{CommandError, Context};

/// Keep a running stack.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The store's root.
    root: PathBuf,
    /// The directory of sockets and locks.
    runtime: PathBuf,
    /// The project's name.
    project: String,
}

pub(crate) fn run(_context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    let paths = StackPaths::new(&args.root, &args.runtime, &args.project);
    let executable = std::env::current_exe()?;
    match keep(&KeeperOptions { paths, executable }) {
        // Another one was faster: the command talks to that one.
        Ok(()) | Err(KeeperError::Busy { .. }) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error.into()),
    }
}
