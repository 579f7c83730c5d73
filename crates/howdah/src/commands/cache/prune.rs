//! `howdah cache prune`.

use std::process::ExitCode;

use howdah_build::{Prune, prune};
use howdah_image::Store;

use super::filter;
use crate::commands::confirm::Consent;
use crate::commands::display::human_size;
use crate::commands::{CommandError, Context};

/// Remove what is in the build cache and not in use (`docker builder prune`).
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Also forget steps whose layers images have; they run again in the next build.
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    consent: Consent,
    /// Only what matches: until=TIME (unused for so long), id=ID, type=regular|exec.cachemount.
    #[arg(long = "filter", value_name = "NAME=VALUE", value_parser = filter::parse)]
    filters: Vec<filter::Filter>,
    /// Remove only until the cache is as small as this, the least recently used first.
    #[arg(long, alias = "keep-storage", value_name = "SIZE", value_parser = filter::size)]
    max_used_space: Option<u64>,
    /// Print one JSON object for each thing removed.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    let question = if args.all {
        "This will remove all build cache that is not in use."
    } else {
        "This will remove all build cache that is neither in use nor part of an image."
    };
    if !args.consent.given(question)? {
        return Ok(ExitCode::SUCCESS);
    }
    let store = Store::open(context.root())?;
    let mut request = Prune {
        all: args.all,
        keep_bytes: args.max_used_space,
        ..Prune::default()
    };
    for filter in &args.filters {
        filter.add_to(&mut request);
    }
    let now = jiff::Timestamp::now().as_millisecond();
    let pruned = prune(&store, &request, now)?;
    if args.json {
        for item in &pruned.items {
            anstream::println!("{}", serde_json::to_string(item)?);
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !pruned.items.is_empty() {
        super::ls::table(&pruned.items, now).print();
    }
    anstream::println!("Total reclaimed space: {}", human_size(pruned.bytes));
    Ok(ExitCode::SUCCESS)
}
