//! `howdah cache`: looks at the build cache and keeps it small.

mod chart;
mod page;
mod report;

use std::process::ExitCode;

use clap::Subcommand;

use super::{CommandError, Context};

/// Look at the build cache.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Report(report::Args),
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    match &args.command {
        Command::Report(args) => report::run(context, args),
    }
}
