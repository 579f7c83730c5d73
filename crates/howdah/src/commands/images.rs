//! `howdah images`.

use std::process::ExitCode;

use howdah_image::{ImageSummary, Platform, Reference, Store};
use serde_json::json;

use super::display::{ListFormat, Table, age, human_size};
use super::{CommandError, Context};

const NONE: &str = "<none>";

/// List the images in the store.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this repository, or this repository and tag.
    #[arg(value_name = "REPOSITORY[:TAG]")]
    name: Option<String>,
    /// Accepted as Docker has it; no image is hidden here.
    #[arg(short, long)]
    all: bool,
    /// Print ids only.
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    columns: Columns,
    #[command(flatten)]
    format: ListFormat,
}

#[derive(Debug, clap::Args)]
struct Columns {
    /// Print whole ids.
    #[arg(long)]
    no_trunc: bool,
    /// Show the digests under which registries have the images.
    #[arg(long)]
    digests: bool,
}

/// One name of one image.
struct Row {
    repository: String,
    tag: String,
    digest: String,
    id: String,
    platform: Platform,
    created: Option<String>,
    size: u64,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    let store = Store::open(context.root())?;
    let mut rows: Vec<Row> = store
        .images()?
        .iter()
        .flat_map(|image| rows(image, args.columns.no_trunc))
        .collect();
    if let Some(name) = &args.name {
        let wanted: Reference = name.parse()?;
        let whole = wanted.familiar() == *name || wanted.to_string() == *name;
        rows.retain(|row| {
            row.repository == wanted.familiar_name()
                && (!whole || Some(row.tag.as_str()) == wanted.tag())
        });
    }
    if args.quiet {
        let mut ids: Vec<&String> = rows.iter().map(|row| &row.id).collect();
        ids.dedup();
        for id in ids {
            anstream::println!("{id}");
        }
    } else if args.format.is_json() {
        for row in &rows {
            print_json(row);
        }
    } else {
        print_table(rows, args.columns.digests);
    }
    Ok(ExitCode::SUCCESS)
}

/// Docker's columns, and the platform if one image is for another than this machine's.
fn print_table(rows: Vec<Row>, has_digests: bool) {
    let host = Platform::default();
    let has_platforms = rows.iter().any(|row| host.rank(&row.platform).is_none());
    let mut table = Table::new([
        "REPOSITORY",
        "TAG",
        "DIGEST",
        "IMAGE ID",
        "PLATFORM",
        "CREATED",
        "SIZE",
    ]);
    if !has_digests {
        table.hide("DIGEST");
    }
    if !has_platforms {
        table.hide("PLATFORM");
    }
    for row in rows {
        table.row([
            row.repository,
            row.tag,
            row.digest,
            row.id,
            row.platform.to_string(),
            age(row.created.as_deref()),
            human_size(row.size),
        ]);
    }
    table.print();
}

fn rows(image: &ImageSummary, whole_ids: bool) -> Vec<Row> {
    let row = |repository: String, tag: Option<&str>| {
        let digest = image
            .digests
            .iter()
            .find(|digest| digest.familiar_name() == repository);
        Row {
            tag: tag.unwrap_or(NONE).to_owned(),
            digest: digest
                .and_then(Reference::digest)
                .map_or_else(|| NONE.to_owned(), ToString::to_string),
            id: if whole_ids {
                image.id.to_string()
            } else {
                image.id.short()
            },
            platform: image.platform.clone(),
            created: image.created.clone(),
            size: image.size,
            repository,
        }
    };
    if image.references.is_empty() {
        let repository = image
            .digests
            .first()
            .map_or_else(|| NONE.to_owned(), Reference::familiar_name);
        return vec![row(repository, None)];
    }
    image
        .references
        .iter()
        .map(|reference| row(reference.familiar_name(), reference.tag()))
        .collect()
}

/// The object that `docker images --format json` prints.
fn print_json(row: &Row) {
    let size = human_size(row.size);
    let line = json!({
        "Containers": "N/A", "CreatedAt": row.created, "CreatedSince": age(row.created.as_deref()), "Digest": row.digest,
        "ID": row.id, "Platform": row.platform.to_string(), "Repository": row.repository, "SharedSize": "N/A", "Size": size, "Tag": row.tag,
        "UniqueSize": "N/A", "VirtualSize": size,
    });
    anstream::println!("{line}");
}
