//! What is told a running server, by its admin API.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::process::ExitCode;
use std::time::Duration;

use super::super::CommandError;
use super::{plan, source};

/// For a server to stop or to have new workers: as long as its requests may take.
const PATIENCE: Duration = Duration::from_mins(5);
const USUAL: &str = "localhost:2019";

/// Which server.
#[derive(Debug, clap::Args)]
pub(super) struct StopArgs {
    #[command(flatten)]
    source: source::Source,
    /// The admin API's address; without it that of the Caddyfile.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
}

/// Which server, and whether it reloads what has not changed.
#[derive(Debug, clap::Args)]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    source: source::Source,
    /// The admin API's address; without it that of the Caddyfile.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// Reload what has not changed, too; that is always done.
    #[arg(short, long)]
    force: bool,
}

impl StopArgs {
    pub(super) fn run(&self) -> Result<ExitCode, CommandError> {
        let address = match (&self.address, &self.source.config) {
            (Some(address), _) => address.clone(),
            (None, None) => USUAL.to_owned(),
            (None, Some(_)) => self
                .source
                .load()?
                .options
                .admin
                .unwrap_or_else(|| USUAL.into()),
        };
        ask(&address, "POST", "/stop", "")?;
        Ok(ExitCode::SUCCESS)
    }
}

impl ReloadArgs {
    pub(super) fn run(&self) -> Result<ExitCode, CommandError> {
        let caddyfile = self.source.load()?;
        let address = self
            .address
            .clone()
            .or_else(|| caddyfile.options.admin.clone());
        let config = plan::adapted(&caddyfile).to_string();
        ask(
            address.as_deref().unwrap_or(USUAL),
            "POST",
            "/load",
            &config,
        )?;
        Ok(ExitCode::SUCCESS)
    }
}

/// One request; what is not a success is an error with the server's words.
fn ask(address: &str, method: &str, path: &str, body: &str) -> Result<String, CommandError> {
    let answer = exchange(address, method, path, body).map_err(|error| {
        CommandError::from(error)
            .about(format!("no server answers at `{address}`"))
            .hint("name its admin API with --address HOST:PORT")
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split(' ').nth(1) {
        Some(status) if status.starts_with('2') => Ok(body.to_owned()),
        _ => Err(CommandError::new(format!(
            "the server refused: {}",
            body.trim()
        ))),
    }
}

fn exchange(address: &str, method: &str, path: &str, body: &str) -> std::io::Result<String> {
    let mut tried = std::io::ErrorKind::AddrNotAvailable.into();
    for candidate in address.to_socket_addrs()? {
        let mut stream = match TcpStream::connect(candidate) {
            Ok(stream) => stream,
            Err(error) => {
                tried = error;
                continue;
            }
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        return Ok(answer);
    }
    Err(tried)
}
