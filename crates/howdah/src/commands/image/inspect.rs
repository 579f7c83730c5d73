//! `howdah image inspect`.

use std::process::ExitCode;

use howdah_image::{Image, Platform, Reference, Store};
use serde_json::{Map, Value, json};

use super::find_for;
use crate::commands::{CommandError, Context, platform};

/// Print all that is known of images, as JSON with Docker's field names.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Names or ids of the images.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Of an image for several platforms, which one.
    #[arg(long, value_name = "PLATFORM", value_parser = platform::parse)]
    platform: Option<Platform>,
    /// Only `json`, which is the default: Docker's templates are not understood.
    #[arg(short, long, value_parser = ["json"], hide_possible_values = true)]
    format: Option<String>,
    /// The same as --format json.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    let store = Store::open(context.root())?;
    let images = args
        .images
        .iter()
        .map(|name| describe(&store, &find_for(&store, name, args.platform.as_ref())?))
        .collect::<Result<Vec<_>, _>>()?;
    anstream::println!("{:#}", Value::from(images));
    Ok(ExitCode::SUCCESS)
}

fn describe(store: &Store, image: &Image) -> Result<Value, CommandError> {
    let (tags, digests) = store.names(&image.id)?;
    let digests: Vec<String> = digests.iter().map(Reference::familiar).collect();
    let mut lowers = image.lowers(store);
    let upper = lowers.pop();
    // Docker lists the highest first, as the mount option has it.
    let lower: Vec<String> = lowers
        .iter()
        .rev()
        .map(|path| path.display().to_string())
        .collect();
    let config = &image.config;
    let comment = config.history.last().and_then(|step| step.comment.clone());
    Ok(json!({
        "Id": image.id,
        "RepoTags": tags.iter().map(Reference::familiar).collect::<Vec<_>>(),
        "RepoDigests": digests,
        "Parent": "",
        "Comment": comment.unwrap_or_default(),
        "Created": config.created,
        "DockerVersion": config.extra.get("docker_version").cloned().unwrap_or_else(|| "".into()),
        "Author": config.author.clone().unwrap_or_default(),
        "Config": container_config(image)?,
        "Architecture": config.architecture,
        "Variant": config.variant.clone().unwrap_or_default(),
        "Os": config.os,
        "Size": store.image_size(image)?,
        "GraphDriver": {
            "Name": "overlay2",
            "Data": { "LowerDir": lower.join(":"), "UpperDir": upper.map(|path| path.display().to_string()) },
        },
        "RootFS": { "Type": config.rootfs.kind, "Layers": config.rootfs.diff_ids },
    }))
}

/// The container's configuration with the fields that programs expect even when they are empty.
fn container_config(image: &Image) -> Result<Value, CommandError> {
    let mut fields = Map::new();
    for name in ["User", "WorkingDir"] {
        fields.insert(name.to_owned(), "".into());
    }
    for name in ["Env", "Cmd", "Volumes", "Entrypoint", "OnBuild", "Labels"] {
        fields.insert(name.to_owned(), Value::Null);
    }
    if let Value::Object(known) = serde_json::to_value(&image.config.config)? {
        fields.extend(known);
    }
    Ok(Value::Object(fields))
}
