//! `howdah image rm`.

use std::process::ExitCode;

use howdah_image::{Image, Pin, Reference, Store};

use super::find;
use crate::commands::{CommandError, Context};

/// Take names away from images, and remove those without a name, with all that only they need.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Names or ids of the images.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Take all names away when an id is given; no error for an image that is not there.
    #[arg(short, long)]
    force: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    let store = Store::open(context.root())?;
    let pins = store.pins()?;
    for name in &args.images {
        match find(&store, name) {
            Ok(image) => remove(&store, &image, name, args.force, &pins)?,
            Err(_) if args.force => {}
            Err(error) => return Err(error),
        }
    }
    howdah_build::collect(&store)?;
    Ok(ExitCode::SUCCESS)
}

/// As Docker: a name is taken away, and the image goes with its last one; an id takes all names, if it is only one or with
/// force. What a container is made of stays; with force it only loses its names.
fn remove(
    store: &Store,
    image: &Image,
    name: &str,
    force: bool,
    pins: &[Pin],
) -> Result<(), CommandError> {
    let (names, _) = store.names(&image.id)?;
    let asked_for: Option<Reference> = name
        .parse()
        .ok()
        .filter(|reference| names.contains(reference));
    let (gone, kept): (Vec<&Reference>, Vec<&Reference>) = match &asked_for {
        Some(asked_for) => names.iter().partition(|reference| *reference == asked_for),
        None if names.len() > 1 && !force => {
            let names: Vec<String> = names.iter().map(Reference::familiar).collect();
            return Err(CommandError::new(format!(
                "image {} has several names: {}",
                image.id.short(),
                names.join(", ")
            ))
            .hint("remove them one by one, or all with --force"));
        }
        None => (names.iter().collect(), Vec::new()),
    };
    let container = pins.iter().find(|pin| pin.image == image.id);
    if let Some(pin) = container.filter(|_| kept.is_empty() && !force) {
        let error = CommandError::new(format!(
            "image {name} is used by container {}",
            &pin.container
        ));
        return Err(error.hint(
            "`howdah down` removes a stack's containers; --force takes only the names away",
        ));
    }
    for reference in gone {
        store.untag(reference)?;
        anstream::println!("Untagged: {}", reference.familiar());
    }
    if kept.is_empty() && container.is_none() {
        store.remove_image(&image.id)?;
        anstream::println!("Deleted: {}", image.id);
    }
    Ok(())
}
