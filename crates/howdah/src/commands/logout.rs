//! `howdah logout`.

use std::process::ExitCode;

use howdah_image::Registry;

use super::CommandError;
use super::transfer::{registry_options, with_hint};

/// Forget the login of a registry.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The registry's host and port.
    #[arg(
        value_name = "SERVER",
        default_value = "docker.io",
        hide_default_value = true
    )]
    server: String,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, CommandError> {
    let registry = Registry::new(registry_options())?;
    let known = registry.logout(&args.server).map_err(with_hint)?;
    if known {
        anstream::println!("Removing login credentials for {}", args.server);
    } else {
        anstream::println!("Not logged in to {}", args.server);
    }
    Ok(ExitCode::SUCCESS)
}
