//! `howdah image save`.

use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use howdah_image::archive::{self, NamedImage};
use howdah_image::export::ExportOptions;
use howdah_image::{Reference, Store};

use super::find;
use crate::commands::compression::LayerArgs;
use crate::commands::{CommandError, Context};

/// Write images to an archive that Docker, Podman and skopeo read.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Names or ids of the images.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// The file to write, instead of the standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    layers: LayerArgs,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    let store = Store::open(context.root())?;
    let images = named(&store, &args.images)?;
    let options = args.layers.options()?;
    match &args.output {
        Some(path) => save_to(&store, &images, path, &options)?,
        None if io::stdout().is_terminal() => {
            return Err(CommandError::new("an archive is not written to a terminal")
                .hint("name a file with -o, or redirect the output")
                .code(2));
        }
        None => archive::save(
            &store,
            &images,
            BufWriter::new(io::stdout().lock()),
            &options,
        )?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Each image once, with all the names under which it was asked for.
fn named(store: &Store, names: &[String]) -> Result<Vec<NamedImage>, CommandError> {
    let mut images: Vec<NamedImage> = Vec::new();
    for name in names {
        let image = find(store, name)?;
        let (tags, _) = store.names(&image.id)?;
        // An id or a digest names no tag.
        let reference: Option<Reference> = name
            .parse()
            .ok()
            .filter(|reference| tags.contains(reference));
        match images.iter_mut().find(|other| other.image.id == image.id) {
            Some(known) => known.references.extend(reference),
            None => images.push(NamedImage {
                image,
                references: reference.into_iter().collect(),
            }),
        }
    }
    Ok(images)
}

/// The file appears when it is complete.
fn save_to(
    store: &Store,
    images: &[NamedImage],
    path: &Path,
    options: &ExportOptions,
) -> Result<(), CommandError> {
    let mut name = path
        .file_name()
        .ok_or_else(|| CommandError::new(format!("`{}` names no file", path.display())).code(2))?
        .to_owned();
    name.push(format!(".part{}", std::process::id()));
    let part = path.with_file_name(name);
    let write = || -> Result<(), CommandError> {
        let mut file = BufWriter::with_capacity(256 * 1024, fs_err::File::create(&part)?);
        archive::save(store, images, &mut file, options)?;
        file.flush()?;
        file.get_ref().sync_all()?;
        Ok(fs_err::rename(&part, path)?)
    };
    write().inspect_err(|_| drop(fs_err::remove_file(&part)))
}
