//! `howdah image load`.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;

use howdah_image::{Store, archive};

use crate::commands::{CommandError, Context};

/// Read images from an archive that Docker, Podman, skopeo or Howdah wrote.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The archive, compressed or not, or the directory of an OCI layout; without it the standard input.
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Print nothing.
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    let store = Store::open(context.root())?;
    let loaded = match &args.input {
        Some(path) if path.is_dir() => archive::load_directory(&store, path)?,
        Some(path) => archive::load(&store, fs_err::File::open(path)?)?,
        None if io::stdin().is_terminal() => {
            return Err(CommandError::new("no archive to load")
                .hint("name a file with -i, or redirect the input")
                .code(2));
        }
        None => archive::load(&store, io::stdin().lock())?,
    };
    for named in loaded.iter().filter(|_| !args.quiet) {
        for reference in &named.references {
            anstream::println!("Loaded image: {}", reference.familiar());
        }
        if named.references.is_empty() {
            for image in &named.images {
                anstream::println!("Loaded image ID: {}", image.id);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
