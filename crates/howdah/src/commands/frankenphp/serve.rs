//! `frankenphp run`.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;

use howdah_caddyfile::Caddyfile;
use howdah_serve::cgi::Constants;
use howdah_serve::log::{Level, Log};
use howdah_serve::pool::{Pool, PoolConfig};
use howdah_serve::routes::{Route, Routes};
use howdah_serve::{Backend, Report};
use serde_json::json;

use super::super::serve::{Signals, attend, exit_code, in_runtime};
use super::super::{CommandError, Context};
use super::logs::Filter;
use super::plan::{self, Plan};
use super::source;

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
    /// Reload when the Caddyfile changes.
    #[arg(short, long)]
    pub(super) watch: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    if args.watch {
        return Err(CommandError::new("--watch is not supported")
            .hint("`watch` of a worker reloads the application when its files change"));
    }
    if args.environ {
        for (name, value) in std::env::vars_os() {
            anstream::eprintln!("{}={}", name.to_string_lossy(), value.to_string_lossy());
        }
    }
    let caddyfile = args.source.load()?;
    if let Some(file) = &args.pidfile {
        fs_err::write(file, format!("{}\n", std::process::id()))?;
    }
    let outcome = caddyfile_served(context, caddyfile, args.pingback);
    if let Some(file) = &args.pidfile {
        // The next one overwrites it.
        fs_err::remove_file(file).ok();
    }
    outcome
}

/// Serves until it is told to stop.
pub(super) fn caddyfile_served(
    context: &Context,
    caddyfile: Caddyfile,
    pingback: Option<SocketAddr>,
) -> Result<ExitCode, CommandError> {
    let program = super::howdah_php()?;
    let directory = std::env::current_dir()?;
    let plan = plan::plan(&caddyfile, context, &directory, &program)?;
    let filter = Filter::new(&caddyfile);
    let report = in_runtime(move |log| async move {
        let log = log.filtered(move |line| filter.pass(line));
        for warning in &caddyfile.warnings {
            let fields = json!({ "file": &*warning.place.file, "line": warning.place.line });
            log.line(Level::Warn, "caddyfile", warning.message.clone(), fields);
        }
        serve(plan, log, pingback).await
    })?;
    Ok(exit_code(report))
}

async fn serve(plan: Plan, log: Log, pingback: Option<SocketAddr>) -> Result<Report, CommandError> {
    // What comes while PHP starts counts, too.
    let signals = Signals::new()?;
    let root = plan.server.site.root.clone();
    let start = |config: PoolConfig| {
        let constants = Constants::new(&root, std::env::vars_os(), &config.environment);
        let log = log.clone();
        async move {
            Pool::start(config, constants, log)
                .await
                .map_err(|error| CommandError::new(error.to_string()))
        }
    };
    let mut workers = Vec::new();
    for config in plan.workers {
        workers.push(Route {
            paths: Vec::new(),
            backend: Backend::Pool(start(config).await?),
        });
    }
    let scripts = Backend::Pool(start(plan.scripts).await?);
    let backend = Backend::Routes(Routes::new(workers, scripts).into());
    let report = attend(
        plan.server,
        Some(backend),
        signals,
        log.clone(),
        move || {
            if let Some(address) = pingback {
                // Who waits may have gone.
                TcpStream::connect(address).ok();
            }
        },
    )
    .await?;
    let fields = json!({
        "in_flight": report.in_flight, "finished": report.finished, "lost": report.lost(),
    });
    log.line(Level::Info, "frankenphp", "FrankenPHP stopped", fields);
    Ok(report)
}
