//! `frankenphp run`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use howdah_caddyfile::Caddyfile;

use super::super::serve::{exit_code, in_runtime};
use super::super::{CommandError, Context};
use super::running::Place;
use super::source::{self, Source};

/// Of `run` and `start`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) source: source::Source,
    /// Where the process id is written.
    #[arg(long, value_name = "FILE")]
    pub(super) pidfile: Option<PathBuf>,
    /// Print the environment first.
    #[arg(short, long)]
    environ: bool,
    /// An address to connect to when the server serves.
    #[arg(long, value_name = "ADDRESS", hide = true)]
    pingback: Option<SocketAddr>,
    /// Serve what the Caddyfile says when it has changed.
    #[arg(short, long)]
    pub(super) watch: bool,
    /// Go on with the configuration from before; the Caddyfile is always read.
    #[arg(short, long, hide = true)]
    resume: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    if args.environ {
        for (name, value) in std::env::vars_os() {
            anstream::eprintln!("{}={}", name.to_string_lossy(), value.to_string_lossy());
        }
    }
    let caddyfile = args.source.load()?;
    if let Some(file) = &args.pidfile {
        fs_err::write(file, format!("{}\n", std::process::id()))?;
    }
    let source = (Some(&args.source), args.watch);
    let outcome = caddyfile_served(context, caddyfile, source, args.pingback);
    if let Some(file) = &args.pidfile {
        // The next one overwrites it.
        fs_err::remove_file(file).ok();
    }
    outcome
}

/// Serves until it is told to stop. `source`: where it is from, and whether that is watched.
pub(super) fn caddyfile_served(
    context: &Context,
    caddyfile: Caddyfile,
    (source, watches): (Option<&Source>, bool),
    pingback: Option<SocketAddr>,
) -> Result<ExitCode, CommandError> {
    let program = super::howdah_php()?;
    let directory = std::env::current_dir()?;
    let report = in_runtime(|log| async move {
        let place = Place {
            context,
            program,
            directory,
            source,
            watches,
            pingback,
            log,
        };
        place.serve(caddyfile).await
    })?;
    Ok(exit_code(report))
}
