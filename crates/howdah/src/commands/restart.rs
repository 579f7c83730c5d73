//! `howdah restart`.

use std::process::ExitCode;
use std::time::Duration;

use howdah_compose::Request;

use super::stack::{FileArgs, ProjectArgs, seconds};
use super::{CommandError, Context, request};

/// Stop containers and start them again.
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
        let message = format!("project `{}` has no containers", stack.project().name);
        return Err(CommandError::new(message).hint("`howdah up -d` makes and starts them"));
    }
    request::run(
        &stack,
        &Request::Restart {
            services: args.services,
            grace: args.timeout,
        },
    )
}
