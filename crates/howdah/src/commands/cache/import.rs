//! `howdah cache import`.

use std::process::ExitCode;

use howdah_build::{CacheSource, import_cache};
use howdah_image::Store;

use crate::commands::build::cache;
use crate::commands::display::human_size;
use crate::commands::transfer::registry_options;
use crate::commands::{CommandError, Context};

/// Fetch all that a cache elsewhere has, so that builds need neither it nor its network.
///
/// Takes what --cache-from of `howdah build` takes, which fetches only what a build uses, and cache mounts too.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where from; may be given several times.
    #[arg(
        value_name = "type=registry,ref=NAME|type=local,src=DIR",
        required = true
    )]
    sources: Vec<CacheSource>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    let store = Store::open(context.root())?;
    for source in &args.sources {
        let name = source.place.to_string();
        let complain = |error| anstream::eprintln!("{}", cache::unusable(&name, &error));
        let imported = import_cache(&store, source, &registry_options(), &complain);
        let imported = imported.map_err(|error| {
            CommandError::from(error).about(format!("cannot read the cache `{name}`"))
        })?;
        anstream::eprintln!(
            "{} steps of cache {name} are here, {} layers were fetched ({})",
            imported.steps,
            imported.fetched.layers,
            human_size(imported.fetched.bytes)
        );
        if imported.left_out > 0 {
            anstream::eprintln!(
                "{} steps are left out: a layer did not come, or they stand on an image that was built elsewhere",
                imported.left_out
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}
