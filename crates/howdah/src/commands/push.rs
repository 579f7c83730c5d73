//! `howdah push`.

use std::process::ExitCode;

use howdah_image::export::{Export, Variant};
use howdah_image::{Platform, Reference, Registry, Store};

use super::compression::LayerArgs;
use super::transfer::{Progress, checked, registry_options, with_hint};
use super::{CommandError, Context, image, platform};

/// Send an image to the registry that its name says.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the image.
    image: Reference,
    /// Of an image for several platforms, only this one.
    #[arg(long, value_name = "PLATFORM", value_parser = platform::parse)]
    platform: Option<Platform>,
    /// Print the digest only.
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    layers: LayerArgs,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    let store = Store::open(context.root())?;
    let name = args.image.familiar();
    let images = match &args.platform {
        Some(platform) => vec![image::find_for(&store, &name, Some(platform))?],
        None => image::find_all(&store, &name)?,
    };
    for image in &images {
        checked(&store, image)?;
    }
    let variants: Vec<Variant<'_>> = images.iter().map(Variant::from).collect();
    let export = Export {
        variants: &variants,
        names: std::slice::from_ref(&args.image),
        options: &args.layers.options()?,
    };
    let registry = Registry::new(registry_options())?;
    let progress = Progress::new(format!("pushing {}", args.image.familiar()), args.quiet);
    let pushed = registry.push_export(&store, &export, &|notice| progress.tell(notice));
    progress.finish();
    let digest = pushed.map_err(with_hint)?;
    anstream::println!("{}@{digest}", args.image.familiar_name());
    Ok(ExitCode::SUCCESS)
}
