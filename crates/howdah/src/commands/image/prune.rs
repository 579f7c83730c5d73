//! `howdah image prune`.

use std::collections::HashSet;
use std::process::ExitCode;

use howdah_image::{ImageId, ImageSummary, Reference, Store};

use crate::commands::cache::filter;
use crate::commands::confirm::Consent;
use crate::commands::display::human_size;
use crate::commands::{CommandError, Context};

/// Remove images without a name.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Remove all images that no container uses.
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    consent: Consent,
    /// Only those made longer ago: until=TIME.
    #[arg(long = "filter", value_name = "until=TIME", value_parser = until)]
    until: Option<i64>,
}

fn until(text: &str) -> Result<i64, String> {
    let time = text.strip_prefix("until=").ok_or("the filter is until")?;
    filter::duration(time)
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    let question = if args.all {
        "This will remove all images without at least one container associated to them."
    } else {
        "This will remove all dangling images."
    };
    if !args.consent.given(question)? {
        return Ok(ExitCode::SUCCESS);
    }
    let store = Store::open(context.root())?;
    let _room = store.make_room();
    let used: HashSet<ImageId> = store.pins()?.into_iter().map(|pin| pin.image).collect();
    let now = jiff::Timestamp::now().as_millisecond();
    let goes = |image: &ImageSummary| {
        let created = image
            .created
            .as_deref()
            .and_then(|time| time.parse::<jiff::Timestamp>().ok());
        let age = created.map_or(i64::MAX, |created| now - created.as_millisecond());
        !used.contains(&image.id)
            && (args.all || image.references.is_empty())
            && args.until.is_none_or(|least| age > least)
    };
    for image in store.images()?.iter().filter(|image| goes(image)) {
        for reference in &image.references {
            anstream::println!("Untagged: {}", reference.familiar());
        }
        for digest in image.digests.iter().filter_map(Reference::digest) {
            anstream::println!("Untagged: {digest}");
        }
        store.remove_image(&image.id)?;
        anstream::println!("Deleted: {}", image.id);
    }
    let bytes = howdah_build::collect(&store)?;
    anstream::println!("Total reclaimed space: {}", human_size(bytes));
    Ok(ExitCode::SUCCESS)
}
