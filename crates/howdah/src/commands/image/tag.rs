//! `howdah image tag`.

use std::process::ExitCode;

use howdah_image::{Image, Reference, Store};

use super::find_all;
use crate::commands::{CommandError, Context};

/// Give an image another name.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name or id of the image.
    source: String,
    /// The new name.
    target: Reference,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    if args.target.digest().is_some() {
        return Err(CommandError::new(format!(
            "`{}` has a digest, which no name can be given",
            args.target.familiar()
        ))
        .code(2));
    }
    let store = Store::open(context.root())?;
    let images = find_all(&store, &args.source)?;
    let together: Vec<&Image> = images.iter().collect();
    store.tag_together(&together, &args.target)?;
    Ok(ExitCode::SUCCESS)
}
