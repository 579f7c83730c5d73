//! `howdah supervise`: runs an application's programs, as PID 1 of an image or alone anywhere.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use howdah_init::control::socket_paths;
use howdah_init::supervisor::{LogFormat, Options, SocketError, SuperviseError, supervise};
use howdah_init::{Config, ConfigError, Surroundings};
use nix::unistd::{Uid, gethostname};

use super::{CommandError, Context};

/// Run the programs of howdah.toml, a Procfile or a supervisord.conf, as PID 1 or alone.
///
/// Programs start in order of `priority`, each level once the one before it is up for its `startsecs`, and stop in
/// reverse order. Everything they leave behind is reaped.
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// The file to read; its name tells the format (*.toml, Procfile*, anything else is a supervisord.conf).
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where `howdah health` is answered (default `/run/howdah/supervise.sock`, else `/tmp/howdah-UID/supervise.sock`).
    #[arg(
        long,
        value_name = "PATH",
        env = "HOWDAH_SUPERVISE_SOCKET",
        hide_env_values = true
    )]
    socket: Option<PathBuf>,
    /// How lines of output look.
    #[arg(long, value_enum, default_value_t = Format::Plain)]
    log_format: Format,
    /// Seconds between the moment `howdah health` fails and the first stop signal.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    drain_delay: u32,
    /// Read and check the configuration, and print nothing but its faults and warnings.
    #[arg(long)]
    check: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// `name | line`; a single program writes to our streams itself.
    Plain,
    /// One JSON object a line.
    Json,
}

const HELP: &str = "\
Files, the first that exists (a howdah.toml counts when it has [programs]):
  ./howdah.toml, ./Procfile, ./supervisord.conf, ./etc/supervisord.conf,
  /etc/howdah/howdah.toml, /etc/supervisord.conf, /etc/supervisor/supervisord.conf

Keys of a program, with supervisord's meaning and defaults:
  command, process_name, numprocs, numprocs_start, directory, user, umask, environment, priority,
  autostart, autorestart (unexpected), exitcodes (0), startsecs (1), startretries (3), stopsignal,
  stopwaitsecs, stopasgroup, killasgroup, redirect_stderr, stdout_logfile, stderr_logfile
Otherwise than there:
  stopsignal      QUIT for php-fpm and nginx, WINCH for Apache, TERM for all others
  stopwaitsecs    60 for queue programs (queue:work, queue:listen, horizon, messenger:consume), else 10
  killasgroup     true: what must be killed is killed with its whole process group
  autorestart     false: an exit with an expected code means that a one-shot did its work;
                  a Procfile's programs are always started again
Ours:
  essential       true: when the program is lost for good (its starts failed `startretries` times, or it
                  ended and is not started again), everything stops and its exit code becomes ours
  health          a command, or an http:// or tcp:// address, asked by `howdah health`
  health_timeout  5: seconds for its answer

Signals:
  TERM, INT, QUIT            graceful stop; so is WINCH without a terminal (Apache images stop with it)
  a second TERM              changes nothing; a second Ctrl-C at a terminal kills what is left
  HUP, USR1, USR2, CONT      passed on to every program's main process

Exit codes:
  0    everything stopped when asked, or every program finished its work
  137  something was killed because it outlived its stopwaitsecs
  2    the configuration is wrong
  n    of the essential program that was lost: its own, 128 + its signal, 127 when it cannot be executed";

pub(crate) fn run(_context: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let surroundings = surroundings()?;
    let config = match &args.config {
        Some(file) => Config::read(file, &surroundings),
        None => Config::find(&surroundings),
    };
    let config = config.map_err(wrong_configuration)?;
    if args.check {
        for warning in &config.warnings {
            anstream::eprintln!("warning: {warning}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let options = Options {
        sockets: args
            .socket
            .map_or_else(|| socket_paths(Uid::effective()), |path| vec![path]),
        log_format: match args.log_format {
            Format::Plain => LogFormat::Plain,
            Format::Json => LogFormat::Json,
        },
        drain_delay: Duration::from_secs(args.drain_delay.into()),
        executable: std::env::current_exe()?,
        terminal: std::io::stdin().is_terminal() || std::io::stderr().is_terminal(),
    };
    match supervise(config, options) {
        Ok(code) => Ok(ExitCode::from(code)),
        Err(error) => {
            let taken = matches!(
                &error,
                SuperviseError::Socket {
                    source: SocketError::InUse { .. }
                }
            );
            let told = CommandError::from(error);
            Err(if taken {
                told.hint("give this one its own place with --socket PATH")
            } else {
                told
            })
        }
    }
}

fn surroundings() -> Result<Surroundings, CommandError> {
    let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
    Ok(Surroundings {
        directory: std::env::current_dir()?,
        environment: std::env::vars_os()
            .map(|(key, value)| (text(key), text(value)))
            .collect(),
        host_name: text(gethostname()?),
        user: Uid::effective(),
    })
}

fn wrong_configuration(error: ConfigError) -> CommandError {
    let missing = matches!(error, ConfigError::NotFound { .. });
    let told = CommandError::from(error).code(2);
    if missing {
        told.hint("name the file with --config FILE")
    } else {
        told
    }
}
