//! `howdah image rm`.

use std::process::ExitCode;

use howdah_image::{Image, Pin, Reference, Store};

use super::find_all;
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
        match find_all(&store, name) {
            Ok(images) => remove(&store, &images, name, args.force, &pins)?,
            Err(_) if args.force => {}
            Err(error) => return Err(error),
        }
    }
    howdah_build::collect(&store)?;
    Ok(ExitCode::SUCCESS)
}

/// As Docker: a name is taken away, and the images that it stands for, one for each platform, go with their last one.
fn remove(
    store: &Store,
    images: &[Image],
    name: &str,
    force: bool,
    pins: &[Pin],
) -> Result<(), CommandError> {
    let plans = images
        .iter()
        .map(|image| Plan::new(store, image, name, force, pins))
        .collect::<Result<Vec<_>, _>>()?;
    for plan in plans {
        for reference in &plan.gone {
            if store.untag(reference)? {
                anstream::println!("Untagged: {}", reference.familiar());
            }
        }
        if plan.deletes {
            store.remove_image(&plan.image.id)?;
            anstream::println!("Deleted: {}", plan.image.id);
        }
    }
    Ok(())
}

/// What becomes of an image.
struct Plan<'a> {
    image: &'a Image,
    gone: Vec<Reference>,
    deletes: bool,
}

impl<'a> Plan<'a> {
    /// An id takes all names, if it is only one or with force. What a container is made of stays; with force it only loses its
    /// names.
    fn new(
        store: &Store,
        image: &'a Image,
        name: &str,
        force: bool,
        pins: &[Pin],
    ) -> Result<Self, CommandError> {
        let (names, _) = store.names(&image.id)?;
        let asked_for: Option<Reference> = name
            .parse()
            .ok()
            .filter(|reference| names.contains(reference));
        let (gone, kept): (Vec<Reference>, Vec<Reference>) = match &asked_for {
            Some(asked_for) => names
                .into_iter()
                .partition(|reference| reference == asked_for),
            None if names.len() > 1 && !force => {
                let names: Vec<String> = names.iter().map(Reference::familiar).collect();
                return Err(CommandError::new(format!(
                    "image {} has several names: {}",
                    image.id.short(),
                    names.join(", ")
                ))
                .hint("remove them one by one, or all with --force"));
            }
            None => (names, Vec::new()),
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
        Ok(Plan {
            image,
            gone,
            deletes: kept.is_empty() && container.is_none(),
        })
    }
}
