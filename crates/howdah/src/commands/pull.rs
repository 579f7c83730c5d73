//! `howdah pull`.

use std::process::ExitCode;

use howdah_image::{Platform, Reference, Registry, RegistryOptions, Store};

use super::transfer::{Progress, registry_options, with_hint};
use super::{CommandError, Context, platform};

/// Fetch an image from a registry.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the image.
    image: Reference,
    /// Of an image for several platforms, which one (linux/amd64, linux/arm64/v8).
    #[arg(long, value_name = "PLATFORM", value_parser = platform::parse)]
    platform: Option<Platform>,
    /// Print the name only.
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) fn run(context: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let store = Store::open(context.root())?;
    let options = RegistryOptions {
        platform: match args.platform {
            Some(platform) => Some(platform),
            None => platform::default()?,
        },
        ..registry_options()
    };
    let registry = Registry::new(options)?;
    let progress = Progress::new(format!("pulling {}", args.image.familiar()), args.quiet);
    let pulled = registry.pull(&store, &args.image, &|notice| progress.tell(notice));
    progress.finish();
    pulled.map_err(with_hint)?;
    anstream::println!("{}", args.image);
    Ok(ExitCode::SUCCESS)
}
