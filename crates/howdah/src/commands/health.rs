//! `howdah health`: asks a running `howdah supervise` whether its programs are well; an image's HEALTHCHECK.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use howdah_init::control::{ControlError, ProcessReport, Report, client_paths, query};
use howdah_init::probe::{Address, ask};

use super::{CommandError, Context};

/// Exit with 0 when every essential program is up and answers its health check, with 1 otherwise.
///
/// Prints one line per process: its state, process id, how long it has been so, and what is wrong. While the supervisor
/// stops, it is not healthy.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Ask about this program or process only, essential or not.
    program: Option<String>,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
    /// Where the supervisor listens [default: where `howdah supervise` does by default].
    #[arg(
        long,
        value_name = "PATH",
        env = "HOWDAH_SUPERVISE_SOCKET",
        hide_env_values = true
    )]
    socket: Option<PathBuf>,
    /// Ask an http:// or tcp:// address instead of a supervisor.
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["program", "socket", "json"])]
    probe: Option<String>,
    /// Seconds to wait for the answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
}

pub(crate) fn run(_context: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let timeout = Duration::from_secs(args.timeout.into());
    if let Some(address) = &args.probe {
        let address = Address::parse(address)
            .map_err(|reason| CommandError::new(format!("--probe {reason}")).code(2))?;
        ask(&address, timeout)?;
        return Ok(ExitCode::SUCCESS);
    }
    let paths = args.socket.map_or_else(client_paths, |path| vec![path]);
    let report = query(&paths, args.program.as_deref(), timeout).map_err(unanswered)?;
    if report.processes.is_empty() {
        let name = args.program.unwrap_or_default();
        return Err(CommandError::new(format!(
            "no program or process is named `{name}`"
        )));
    }
    print(&report, args.json)?;
    Ok(if report.healthy {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn unanswered(error: ControlError) -> CommandError {
    let nobody = matches!(error, ControlError::Connect { .. });
    let told = CommandError::from(error);
    if nobody {
        told.hint("is `howdah supervise` running here? Its --socket must be ours")
    } else {
        told
    }
}

fn print(report: &Report, json: bool) -> Result<(), CommandError> {
    if json {
        anstream::println!("{}", serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    if report.state == "stopping" {
        anstream::println!("the supervisor is stopping");
    }
    let width = report
        .processes
        .iter()
        .map(|process| process.name.chars().count())
        .max()
        .unwrap_or(0);
    for process in &report.processes {
        anstream::println!("{:width$}  {}", process.name, line(process));
    }
    Ok(())
}

/// `RUNNING   pid 12, 3 min, 1 restart`.
fn line(process: &ProcessReport) -> String {
    let mut details = Vec::new();
    details.extend(process.pid.map(|pid| format!("pid {pid}")));
    details.push(match process.seconds {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    });
    match process.restarts {
        0 => {}
        1 => details.push("1 restart".to_owned()),
        many => details.push(format!("{many} restarts")),
    }
    details.extend(process.detail.clone());
    let verdict = match (process.healthy, process.essential) {
        (true, _) => "",
        (false, true) => "  unhealthy",
        (false, false) => "  unhealthy, not essential",
    };
    format!("{:8}  {}{verdict}", process.state, details.join(", "))
}
