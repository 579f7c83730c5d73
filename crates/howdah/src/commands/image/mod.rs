//! `howdah image`: looks at images, names, removes, moves and makes them.

mod bootstrap;
mod history;
mod inspect;
mod load;
mod prune;
mod rm;
mod save;
mod tag;

use std::process::ExitCode;

use clap::Subcommand;
use howdah_image::{Image, Platform, Reference, Store};

use super::{CommandError, Context};

/// Look at images, name, remove, move and make them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Bootstrap(bootstrap::Args),
    History(history::Args),
    Inspect(inspect::Args),
    Load(load::Args),
    #[command(visible_alias = "list")]
    Ls(super::images::Args),
    Prune(prune::Args),
    Pull(super::pull::Args),
    Push(super::push::Args),
    #[command(visible_alias = "remove")]
    Rm(rm::Args),
    Save(save::Args),
    Tag(tag::Args),
}

pub(crate) fn run(context: &Context, args: Args) -> Result<ExitCode, CommandError> {
    match args.command {
        Command::Bootstrap(args) => bootstrap::run(context, &args),
        Command::History(args) => history::run(context, &args),
        Command::Inspect(args) => inspect::run(context, &args),
        Command::Load(args) => load::run(context, &args),
        Command::Ls(args) => super::images::run(context, &args),
        Command::Prune(args) => prune::run(context, &args),
        Command::Pull(args) => super::pull::run(context, args),
        Command::Push(args) => super::push::run(context, &args),
        Command::Rm(args) => rm::run(context, &args),
        Command::Save(args) => save::run(context, &args),
        Command::Tag(args) => tag::run(context, &args),
    }
}

/// The images of a name, one for each platform, or the one of an id.
pub(super) fn find_all(store: &Store, name: &str) -> Result<Vec<Image>, CommandError> {
    let images = match name.parse::<Reference>() {
        Ok(reference) => store.images_of(&reference)?,
        Err(_) => Vec::new(),
    };
    if images.is_empty() {
        return find(store, name).map(|image| vec![image]);
    }
    Ok(images)
}

/// The image that a person names, for a platform if one is given.
pub(super) fn find_for(
    store: &Store,
    name: &str,
    platform: Option<&Platform>,
) -> Result<Image, CommandError> {
    let Some(platform) = platform else {
        return find(store, name);
    };
    store.find_image_for(name, platform)?.ok_or_else(|| {
        CommandError::new(format!("no such image for {platform}: {name}")).hint(format!(
            "`howdah pull --platform {platform} {name}` fetches one"
        ))
    })
}

/// The image that a person names, or an error that says what there is to do.
pub(crate) fn find(store: &Store, name: &str) -> Result<Image, CommandError> {
    store.find_image(name)?.ok_or_else(|| {
        CommandError::new(format!("no such image: {name}"))
            .hint("`howdah images` lists the images here, `howdah pull` fetches one")
    })
}
