//! `howdah image rm`.

use std::process::ExitCode;

use howdah_image::{Image, Reference, Store};

use super::find;
use crate::commands::{CommandError, Context};

/// Take names away from images, and forget those without a name.
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
    for name in &args.images {
        match find(&store, name) {
            Ok(image) => remove(&store, &image, name, args.force)?,
            Err(_) if args.force => {}
            Err(error) => return Err(error),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// As Docker: a name is taken away, and the image goes with its last one; an id takes all names, if it is only one or with
/// force.
fn remove(store: &Store, image: &Image, name: &str, force: bool) -> Result<(), CommandError> {
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
    for reference in gone {
        store.untag(reference)?;
        anstream::println!("Untagged: {}", reference.familiar());
    }
    if kept.is_empty() {
        store.remove_image(&image.id)?;
        anstream::println!("Deleted: {}", image.id);
    }
    Ok(())
}
