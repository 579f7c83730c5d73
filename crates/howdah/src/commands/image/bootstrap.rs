//! `howdah image bootstrap`.

use std::process::ExitCode;

use howdah_image::bootstrap::{self, BootstrapError};
use howdah_image::{Reference, Store};

use crate::commands::{CommandError, Context};

/// Make a base image without a registry: `debian:SUITE[-slim]` from this machine's mirror, or howdah with this program.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// debian:bookworm-slim, debian:trixie, howdah ...
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<Reference>,
    /// Make an image anew that exists already.
    #[arg(short, long)]
    force: bool,
    /// No file in the image is younger than this, in seconds since 1970.
    #[arg(
        long,
        env = "SOURCE_DATE_EPOCH",
        value_name = "SECONDS",
        hide_env_values = true
    )]
    source_date_epoch: Option<i64>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    let store = Store::open(context.root())?;
    for reference in &args.images {
        let name = reference.familiar();
        let image = if reference.repository() == "library/howdah" {
            // Cheap, and the one that exists may be of an older program.
            bootstrap::binary(&store, &context.executable()?, reference)?
        } else if let Some(image) = store.find_image(&name)?.filter(|_| !args.force) {
            anstream::eprintln!(
                "{name} exists already ({}); --force makes it anew",
                image.id.short()
            );
            continue;
        } else {
            let progress = |step: &str| anstream::eprintln!("{name}: {step}");
            bootstrap::debian(&store, reference, args.source_date_epoch, &progress)
                .map_err(with_hint)?
        };
        anstream::println!("{name} {}", image.id);
    }
    Ok(ExitCode::SUCCESS)
}

fn with_hint(error: BootstrapError) -> CommandError {
    let hint = match &error {
        BootstrapError::MissingPackage { package, .. } => {
            Some(format!("apt-get install {package}"))
        }
        BootstrapError::UnknownImage(_) => {
            Some("`howdah pull` fetches images from a registry".to_owned())
        }
        _ => None,
    };
    let error = CommandError::from(error);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
