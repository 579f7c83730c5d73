//! `howdah cache ls`.

use std::process::ExitCode;

use howdah_build::{Item, items};
use howdah_image::Store;

use super::filter;
use crate::commands::display::{ListFormat, Table, human_duration, human_size, printable, shorten};
use crate::commands::{CommandError, Context};

/// List what is in the build cache, the least recently used first (`docker buildx du`).
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only what matches: until=TIME, id=ID, type=regular|exec.cachemount.
    #[arg(long = "filter", value_name = "NAME=VALUE", value_parser = filter::parse)]
    filters: Vec<filter::Filter>,
    #[command(flatten)]
    format: ListFormat,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    let store = Store::open(context.root())?;
    let now = jiff::Timestamp::now().as_millisecond();
    let mut items = items(&store)?;
    items.retain(|item| args.filters.iter().all(|filter| filter.matches(item, now)));
    if args.format.is_json() {
        for item in &items {
            anstream::println!("{}", serde_json::to_string(item)?);
        }
        return Ok(ExitCode::SUCCESS);
    }
    table(&items, now).print();
    let sum = |wanted: fn(&Item) -> bool| -> u64 {
        items
            .iter()
            .filter(|item| wanted(item))
            .map(|item| item.bytes)
            .sum()
    };
    anstream::println!("\nShared:      {}", human_size(sum(|item| item.shared)));
    anstream::println!("Private:     {}", human_size(sum(|item| !item.shared)));
    anstream::println!(
        "Reclaimable: {}",
        human_size(sum(|item| !item.shared && !item.in_use))
    );
    anstream::println!("Total:       {}", human_size(sum(|_| true)));
    Ok(ExitCode::SUCCESS)
}

/// The list, as a prune shows it too.
pub(super) fn table(items: &[Item], now: i64) -> Table<7> {
    let mut table = Table::new([
        "ID",
        "TYPE",
        "SIZE",
        "LAST USED",
        "USES",
        "STATE",
        "DESCRIPTION",
    ]);
    for item in items {
        table.row(row(item, now));
    }
    table
}

fn row(item: &Item, now: i64) -> [String; 7] {
    let kind = serde_json::to_value(item.kind).ok();
    let kind = kind
        .as_ref()
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default();
    let age = u64::try_from((now - item.last_used) / 1000).unwrap_or_default();
    let state = match (item.in_use, item.shared) {
        (true, _) => "in use",
        (false, true) => "shared",
        (false, false) => "",
    };
    [
        item.id.clone(),
        kind.to_owned(),
        human_size(item.bytes),
        format!("{} ago", human_duration(age)),
        item.uses.to_string(),
        state.to_owned(),
        shorten(&printable(&item.description), 60),
    ]
}
