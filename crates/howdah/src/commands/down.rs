//! `howdah down`.

use std::process::ExitCode;
use std::time::Duration;

use howdah_compose::Request;

use super::stack::{FileArgs, ProjectArgs, seconds};
use super::{CommandError, Context, request};

/// Stop and remove containers and networks.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    project: ProjectArgs,
    #[command(flatten)]
    file: FileArgs,
    /// Remove the volumes the Compose file declares, too.
    #[arg(short, long)]
    volumes: bool,
    /// Remove containers of services that are not in the Compose file any more (always done: they hold the networks).
    #[arg(long)]
    remove_orphans: bool,
    /// Seconds a container may take to stop [default: its service's].
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Services; without any, all and the networks.
    services: Vec<String>,
}

pub(crate) fn run(context: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let stack = args.project.load(context, &args.file, &args.services)?;
    let all = stack
        .project()
        .volumes
        .values()
        .filter(|volume| !volume.external);
    let volumes: Vec<String> = all
        .filter(|_| args.volumes)
        .map(|volume| volume.name.clone())
        .collect();
    if !stack.exists()? && volumes.is_empty() {
        anstream::eprintln!("nothing to remove for project `{}`", stack.project().name);
        return Ok(ExitCode::SUCCESS);
    }
    request::run(
        &stack,
        &Request::Down {
            services: args.services,
            grace: args.timeout,
            volumes,
        },
    )
}
