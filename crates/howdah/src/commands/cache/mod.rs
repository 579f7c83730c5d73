//! `howdah cache`: looks at the build cache, keeps it small, and takes it elsewhere.

mod chart;
mod export;
pub(crate) mod filter;
mod import;
mod ls;
mod page;
mod prune;
mod report;

use std::process::ExitCode;

use clap::Subcommand;

use super::{CommandError, Context};

/// Look at the build cache, make it smaller, take it to another machine.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(visible_alias = "du")]
    Ls(ls::Args),
    Export(export::Args),
    Import(import::Args),
    Prune(prune::Args),
    Report(report::Args),
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    match &args.command {
        Command::Ls(args) => ls::run(context, args),
        Command::Export(args) => export::run(context, args),
        Command::Import(args) => import::run(context, args),
        Command::Prune(args) => prune::run(context, args),
        Command::Report(args) => report::run(context, args),
    }
}
