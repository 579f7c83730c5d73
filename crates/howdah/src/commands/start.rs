//! `howdah start`.

use std::process::ExitCode;

use howdah_compose::Request;

use super::stack::{FileArgs, ProjectArgs};
use super::{CommandError, Context, request};

/// Start containers that were stopped.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    project: ProjectArgs,
    #[command(flatten)]
    file: FileArgs,
    /// Services; without any, all.
    services: Vec<String>,
}

pub(crate) fn run(context: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let stack = args.project.load(context, &args.file, &args.services)?;
    if !stack.exists()? {
        let message = format!(
            "project `{}` has no containers to start",
            stack.project().name
        );
        return Err(CommandError::new(message).hint("`howdah up -d` makes and starts them"));
    }
    request::run(
        &stack,
        &Request::Start {
            services: args.services,
        },
    )
}
