//! `howdah cache`: looks at the build cache and keeps it small.

mod chart;
pub(crate) mod filter;
mod ls;
mod page;
mod prune;
mod report;

use std::process::ExitCode;

use clap::Subcommand;

use super::{CommandError, Context};

/// Look at the build cache and make it smaller.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(visible_alias = "du")]
    Ls(ls::Args),
    Prune(prune::Args),
    Report(report::Args),
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    match &args.command {
        Command::Ls(args) => ls::run(context, args),
        Command::Prune(args) => prune::run(context, args),
        Command::Report(args) => report::run(context, args),
    }
}
