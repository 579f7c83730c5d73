//! `howdah image history`.

use std::process::ExitCode;

use howdah_image::{History, Image, Store};
use serde_json::json;

use super::find;
use crate::commands::display::{ListFormat, Table, age, human_size, shorten};
use crate::commands::{CommandError, Context};

/// Show the steps that made an image, newest first.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name or id of the image.
    image: String,
    /// Print whole ids and instructions.
    #[arg(long)]
    no_trunc: bool,
    /// Print ids only.
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    format: ListFormat,
}

/// A step with what its layer adds.
struct Step<'a> {
    id: String,
    history: &'a History,
    size: u64,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    let store = Store::open(context.root())?;
    let image = find(&store, &args.image)?;
    let steps = steps(&store, &image, args.no_trunc)?;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    if args.quiet {
        for step in &steps {
            anstream::println!("{}", step.id);
        }
    } else if args.format.is_json() {
        for Step { id, history, size } in &steps {
            let line = json!({
                "ID": id, "CreatedAt": text(&history.created), "CreatedSince": age(history.created.as_deref()),
                "CreatedBy": text(&history.created_by), "Size": human_size(*size), "Comment": text(&history.comment),
            });
            anstream::println!("{line}");
        }
    } else {
        let mut table = Table::new(["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"]);
        for Step { id, history, size } in &steps {
            let by = text(&history.created_by).replace(['\t', '\n'], " ");
            let by = if args.no_trunc { by } else { shorten(&by, 45) };
            table.row([
                id.clone(),
                age(history.created.as_deref()),
                by,
                human_size(*size),
                text(&history.comment),
            ]);
        }
        table.print();
    }
    Ok(ExitCode::SUCCESS)
}

fn steps<'a>(
    store: &Store,
    image: &'a Image,
    whole_ids: bool,
) -> Result<Vec<Step<'a>>, CommandError> {
    let mut layers = image.layers.iter();
    let mut steps = Vec::new();
    for history in &image.config.history {
        let layer = if history.empty_layer {
            None
        } else {
            layers.next()
        };
        let size = layer.map_or(Ok(0), |layer| store.layer_size(layer))?;
        steps.push(Step {
            id: "<missing>".to_owned(),
            history,
            size,
        });
    }
    steps.reverse();
    if let Some(newest) = steps.first_mut() {
        newest.id = if whole_ids {
            image.id.to_string()
        } else {
            image.id.short()
        };
    }
    Ok(steps)
}
