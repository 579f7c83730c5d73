//! `howdah cache export`.

use std::process::ExitCode;

use howdah_build::{CacheExport, CacheTarget};
use howdah_image::Store;

use crate::commands::build::cache;
use crate::commands::transfer::registry_options;
use crate::commands::{CommandError, Context};

/// Write what builds here remember to a cache elsewhere, without building: --cache-to for all of the last two weeks.
///
/// Takes what --cache-to of `howdah build` takes. mode=min writes only steps whose layers images here have, mounts=true
/// cache mounts too. A cache that is there already is added to.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to; may be given several times.
    #[arg(
        value_name = "type=registry,ref=NAME|type=local,dest=DIR",
        required = true
    )]
    targets: Vec<CacheTarget>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    let store = Store::open(context.root())?;
    for target in &args.targets {
        // Here the export is all that was asked for.
        let may_fail = target.ignore_error.unwrap_or(false);
        let export = CacheExport::of_store(&store, target.clone(), registry_options())?;
        cache::write(&store, &export, false, may_fail)?;
    }
    Ok(ExitCode::SUCCESS)
}
