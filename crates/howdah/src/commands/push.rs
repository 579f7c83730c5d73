//! `howdah push`.

use std::process::ExitCode;

use howdah_image::layer::PackOptions;
use howdah_image::{Reference, Registry, RegistryOptions, Store};

use super::transfer::{Progress, registry_options, with_hint};
use super::{CommandError, Context, image};

/// Send an image to the registry that its name says.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the image.
    image: Reference,
    /// Print the digest only.
    #[arg(short, long)]
    quiet: bool,
    /// No file in layers packed now is younger than this, in seconds since 1970.
    #[arg(
        long,
        env = "SOURCE_DATE_EPOCH",
        value_name = "SECONDS",
        hide_env_values = true
    )]
    source_date_epoch: Option<i64>,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    let store = Store::open(context.root())?;
    let image = image::find(&store, &args.image.familiar())?;
    let pack = PackOptions {
        epoch: args.source_date_epoch,
    };
    let options = RegistryOptions {
        pack,
        ..registry_options()
    };
    let registry = Registry::new(options)?;
    let progress = Progress::new(format!("pushing {}", args.image.familiar()), args.quiet);
    let pushed = registry.push(&store, &image, &args.image, &|notice| progress.tell(notice));
    progress.finish();
    let digest = pushed.map_err(with_hint)?;
    anstream::println!("{}@{digest}", args.image.familiar_name());
    Ok(ExitCode::SUCCESS)
}
