//! `howdah image save`.

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use howdah_image::archive::{self, NamedImage};
use howdah_image::{Platform, Reference, Store};

use super::{find_all, find_for};
use crate::commands::compression::LayerArgs;
use crate::commands::transfer::checked;
use crate::commands::{CommandError, Context, platform};

/// Write images to an archive that Docker, Podman and skopeo read.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Names or ids of the images.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// The file to write, instead of the standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Of an image for several platforms, only this one.
    #[arg(long, value_name = "PLATFORM", value_parser = platform::parse)]
    platform: Option<Platform>,
    #[command(flatten)]
    layers: LayerArgs,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    let store = Store::open(context.root())?;
    let options = args.layers.options()?;
    let images = named(&store, &args.images, args.platform.as_ref())?;
    for image in images.iter().flat_map(|named| &named.images) {
        checked(&store, image)?;
    }
    write(args, |writer| {
        Ok(archive::save(&store, &images, writer, &options)?)
    })
}

/// To the file that was named, else to the standard output.
fn write(
    args: &Args,
    save: impl FnOnce(&mut dyn Write) -> Result<(), CommandError>,
) -> Result<ExitCode, CommandError> {
    match &args.output {
        Some(path) => save_to(path, save)?,
        None if io::stdout().is_terminal() => {
            return Err(CommandError::new("an archive is not written to a terminal")
                .hint("name a file with -o, or redirect the output")
                .code(2));
        }
        None => save(&mut BufWriter::new(io::stdout().lock()))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Each image once, with all the names under which it was asked for.
fn named(
    store: &Store,
    names: &[String],
    platform: Option<&Platform>,
) -> Result<Vec<NamedImage>, CommandError> {
    let mut all: Vec<NamedImage> = Vec::new();
    for name in names {
        let images = match platform {
            Some(_) => vec![find_for(store, name, platform)?],
            None => find_all(store, name)?,
        };
        let tags = images
            .first()
            .map(|image| store.names(&image.id))
            .transpose()?;
        // An id or a digest names no tag.
        let reference: Option<Reference> = name
            .parse()
            .ok()
            .filter(|reference| tags.is_some_and(|(tags, _)| tags.contains(reference)));
        match all.iter_mut().find(|other| other.is_like(&images)) {
            Some(known) => known.references.extend(reference),
            None => all.push(NamedImage {
                images,
                references: reference.into_iter().collect(),
            }),
        }
    }
    Ok(all)
}

/// The file appears when it is complete.
fn save_to(
    path: &Path,
    save: impl FnOnce(&mut dyn Write) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let mut name = path
        .file_name()
        .ok_or_else(|| CommandError::new(format!("`{}` names no file", path.display())).code(2))?
        .to_owned();
    name.push(format!(".part{}", std::process::id()));
    let part = path.with_file_name(name);
    let written = || -> Result<(), CommandError> {
        let mut file = BufWriter::with_capacity(256 * 1024, fs_err::File::create(&part)?);
        save(&mut file)?;
        file.flush()?;
        file.get_ref().sync_all()?;
        Ok(fs_err::rename(&part, path)?)
    };
    written().inspect_err(|_| drop(fs_err::remove_file(&part)))
}
