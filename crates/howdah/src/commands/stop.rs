//! `howdah stop`.

use std::process::ExitCode;
use std::time::Duration;

use howdah_compose::Request;

use super::stack::{FileArgs, ProjectArgs, seconds};
use super::{CommandError, Context, request};

/// Stop containers without removing them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    project: ProjectArgs,
    #[command(flatten)]
    file: FileArgs,
    /// Seconds a container may take to stop [default: its service's].
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Services; without any, all.
    services: Vec<String>,
}

pub(crate) fn run(context: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let stack = args.project.load(context, &args.file, &args.services)?;
    if !stack.exists()? {
        return Ok(ExitCode::SUCCESS);
    }
    request::run(
        &stack,
        &Request::Stop {
            services: args.services,
            grace: args.timeout,
        },
    )
}
