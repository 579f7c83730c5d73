//! What is told a running server, by its admin API.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use super::super::CommandError;
use super::source;

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
            (None, Some(_)) => usual_or(self.source.load()?.options.admin),
        };
        ask(&address, &["POST /stop HTTP/1.1"], "")?;
        Ok(ExitCode::SUCCESS)
    }
}

impl ReloadArgs {
    /// Sends the Caddyfile; the server reads it again, with what it imports.
    pub(super) fn run(&self) -> Result<ExitCode, CommandError> {
        let file = self.source.read()?;
        let caddyfile = self.source.parse(&file)?;
        let address = self.address.clone();
        let address = address.unwrap_or_else(|| usual_or(caddyfile.options.admin));
        let path = self.source.path()?;
        let path = std::path::absolute(&path).unwrap_or(path);
        let source = format!("Caddy-Config-Source-File: {}", path.display());
        let head = [
            "POST /load HTTP/1.1",
            "Content-Type: text/caddyfile",
            &source,
        ];
        ask(&address, &head, &file.text)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn usual_or(address: Option<String>) -> String {
    address.unwrap_or_else(|| USUAL.to_owned())
}

/// One request, by its first lines; what is not a success is an error with the server's words.
fn ask(address: &str, head: &[&str], body: &str) -> Result<String, CommandError> {
    let answer = exchange(address, head, body).map_err(|error| {
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

fn exchange(address: &str, head: &[&str], body: &str) -> std::io::Result<String> {
    if let Some(path) = address.strip_prefix("unix/") {
        let path = path.split('|').next().unwrap_or_default();
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        return told(stream, "localhost", head, body);
    }
    // All addresses of the machine are this one, too.
    let address = match address.strip_prefix(':') {
        Some(port) => &format!("localhost:{port}"),
        None => address,
    };
    let mut tried = std::io::ErrorKind::AddrNotAvailable.into();
    for candidate in address.to_socket_addrs()? {
        match TcpStream::connect(candidate) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                return told(stream, address, head, body);
            }
            Err(error) => tried = error,
        }
    }
    Err(tried)
}

fn told(
    mut stream: impl Read + Write,
    host: &str,
    head: &[&str],
    body: &str,
) -> std::io::Result<String> {
    let (head, length) = (head.join("\r\n"), body.len());
    write!(
        stream,
        "{head}\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
