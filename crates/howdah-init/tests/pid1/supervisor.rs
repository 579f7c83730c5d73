//! The smallest supervisor: `pid1 CONFIG SOCKET [--json]`, with `pid1 health --probe ADDRESS --timeout SECONDS` for
//! its health checks. The end-to-end tests run it as PID 1 of a namespace.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use howdah_init::probe::{Address, ask};
use howdah_init::supervisor::{LogFormat, Options, supervise};
use howdah_init::{Config, Surroundings};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<ExitCode, Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["health", "--probe", address, "--timeout", seconds] => {
            ask(
                &Address::parse(address)?,
                Duration::from_secs(seconds.parse()?),
            )?;
            Ok(ExitCode::SUCCESS)
        }
        [config, socket] => run(config, socket, LogFormat::Plain),
        [config, socket, "--json"] => run(config, socket, LogFormat::Json),
        _ => Err("usage: pid1 CONFIG SOCKET [--json]".into()),
    }
}

fn run(config: &str, socket: &str, log_format: LogFormat) -> Result<ExitCode, Failure> {
    let surroundings = Surroundings {
        directory: std::env::current_dir()?,
        environment: std::env::vars().collect(),
        host_name: "example".to_owned(),
        user: nix::unistd::Uid::effective(),
    };
    let config = Config::read(Path::new(config), &surroundings)?;
    let options = Options {
        sockets: vec![PathBuf::from(socket)],
        log_format,
        drain_delay: Duration::ZERO,
        executable: std::env::current_exe()?,
        terminal: false,
    };
    Ok(ExitCode::from(supervise(config, options)?))
}
