//! `howdah pull`.

use std::process::ExitCode;

use howdah_image::{Platform, Reference, Registry, RegistryOptions, Store};

use super::transfer::{Progress, docker_config, with_hint};
use super::{CommandError, Context};

/// Fetch an image from a registry.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the image.
    image: Reference,
    /// Of an image for several platforms, which one (linux/amd64, linux/arm64/v8).
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// Print the name only.
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) fn run(context: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let store = Store::open(context.root())?;
    let options = RegistryOptions {
        docker_config: docker_config(),
        platform: args.platform,
        ..RegistryOptions::default()
    };
    let registry = Registry::new(options)?;
    let progress = Progress::new("pulling", args.quiet);
    let pulled = registry.pull(&store, &args.image, &|transfer| progress.tell(transfer));
    progress.finish();
    pulled.map_err(with_hint)?;
    anstream::println!("{}", args.image);
    Ok(ExitCode::SUCCESS)
}
