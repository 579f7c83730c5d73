//! `howdah system df`.

use std::collections::HashSet;
use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use howdah_build::items;
use howdah_image::{ImageId, SnapshotId, Store};
use serde_json::json;

use super::display::{ListFormat, Table, human_size};
use super::{CommandError, Context};

/// Look at the store as a whole.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Df(DfArgs),
}

/// Show what the disk is used for: images, containers, volumes, build cache.
#[derive(Debug, clap::Args)]
struct DfArgs {
    #[command(flatten)]
    format: ListFormat,
}

/// A line of the table.
struct Row {
    name: &'static str,
    total: usize,
    active: usize,
    bytes: u64,
    reclaimable: u64,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    let Command::Df(args) = &args.command;
    let store = Store::open(context.root())?;
    let rows = [
        images(&store)?,
        containers(&store)?,
        volumes(&store)?,
        cache(&store)?,
    ];
    if args.format.is_json() {
        for row in &rows {
            let line = json!({
                "Type": row.name, "TotalCount": row.total, "Active": row.active, "Size": human_size(row.bytes),
                "Reclaimable": reclaimable(row),
            });
            anstream::println!("{line}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]);
    for row in &rows {
        table.row([
            row.name.to_owned(),
            row.total.to_string(),
            row.active.to_string(),
            human_size(row.bytes),
            reclaimable(row),
        ]);
    }
    table.print();
    Ok(ExitCode::SUCCESS)
}

/// `1.2GB (34%)`, as Docker.
fn reclaimable(row: &Row) -> String {
    match (row.reclaimable * 100).checked_div(row.bytes) {
        Some(percent) => format!("{} ({percent}%)", human_size(row.reclaimable)),
        None => human_size(row.reclaimable),
    }
}

/// Layers that several images share count once.
fn images(store: &Store) -> Result<Row, CommandError> {
    let used: HashSet<ImageId> = store.pins()?.into_iter().map(|pin| pin.image).collect();
    let images = store.images()?;
    let snapshots_of = |active: bool| -> Result<HashSet<SnapshotId>, CommandError> {
        let mut snapshots = HashSet::new();
        for summary in images
            .iter()
            .filter(|image| !active || used.contains(&image.id))
        {
            let image = store.find_image(&summary.id.hex())?;
            snapshots.extend(
                image
                    .into_iter()
                    .flat_map(|image| image.layers)
                    .flat_map(|layer| layer.snapshots),
            );
        }
        Ok(snapshots)
    };
    let (all, active) = (snapshots_of(false)?, snapshots_of(true)?);
    let size = |snapshots: &mut dyn Iterator<Item = &SnapshotId>| -> Result<u64, CommandError> {
        let sizes = snapshots.map(|snapshot| store.snapshot_size(snapshot));
        Ok(sizes.sum::<Result<u64, _>>()?)
    };
    Ok(Row {
        name: "Images",
        total: images.len(),
        active: images
            .iter()
            .filter(|image| used.contains(&image.id))
            .count(),
        bytes: size(&mut all.iter())?,
        reclaimable: size(&mut all.difference(&active))?,
    })
}

/// What containers wrote. All are of stacks that exist, so nothing of it is reclaimable before `down`.
fn containers(store: &Store) -> Result<Row, CommandError> {
    let (total, bytes) = directories(&store.root().join("containers"))?;
    Ok(Row {
        name: "Containers",
        total,
        active: store.pins()?.len(),
        bytes,
        reclaimable: 0,
    })
}

fn volumes(store: &Store) -> Result<Row, CommandError> {
    let (total, bytes) = directories(&store.root().join("volumes"))?;
    Ok(Row {
        name: "Local Volumes",
        total,
        active: total,
        bytes,
        reclaimable: 0,
    })
}

fn cache(store: &Store) -> Result<Row, CommandError> {
    let items = items(store)?;
    let private = || items.iter().filter(|item| !item.shared);
    Ok(Row {
        name: "Build Cache",
        total: items.len(),
        active: items.iter().filter(|item| item.in_use).count(),
        bytes: private().map(|item| item.bytes).sum(),
        reclaimable: private()
            .filter(|item| !item.in_use)
            .map(|item| item.bytes)
            .sum(),
    })
}

/// How many directories are in one, and the sizes of all files in them.
fn directories(path: &Path) -> Result<(usize, u64), CommandError> {
    if !path.is_dir() {
        return Ok((0, 0));
    }
    let mut count = 0;
    for entry in fs_err::read_dir(path)? {
        count += usize::from(entry?.path().is_dir());
    }
    Ok((count, howdah_build::directory_size(path)?))
}
