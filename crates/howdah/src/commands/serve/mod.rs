//! `howdah serve`: an application's HTTP server.

mod output;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use howdah_serve::log::{Level, Log};
use howdah_serve::{Order, ServeConfig, Server};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::{CommandError, Context};

/// Serve an application over HTTP: files of its document root directly, everything else by PHP.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The document root; without it `public` if that exists, else the current directory.
    #[arg(
        short,
        long,
        value_name = "DIR",
        env = "HOWDAH_DOCUMENT_ROOT",
        hide_env_values = true
    )]
    document_root: Option<PathBuf>,
    /// Where requests are taken: `PORT` or `:PORT` on 127.0.0.1, or `ADDRESS:PORT`; may be repeated.
    #[arg(
        short,
        long,
        value_name = "ADDRESS",
        env = "HOWDAH_LISTEN",
        value_delimiter = ',',
        default_value = "8000",
        value_parser = address
    )]
    listen: Vec<SocketAddr>,
    /// Seconds between the moment that readiness fails and the end of the listeners.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "HOWDAH_DRAIN_DELAY",
        default_value_t = 0
    )]
    drain_delay: u32,
    /// Seconds that requests in flight have to finish when the server stops.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "HOWDAH_DRAIN_TIMEOUT",
        default_value_t = 30
    )]
    drain_timeout: u32,
}

pub(crate) fn run(_context: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let config = config(args)?;
    let log = output::log();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(serve(config, log))
}

fn config(args: Args) -> Result<ServeConfig, CommandError> {
    let root = match args.document_root {
        Some(root) => root,
        None => ["public", "."]
            .into_iter()
            .map(PathBuf::from)
            .find(|root| root.is_dir())
            .unwrap_or_default(),
    };
    let root = fs_err::canonicalize(root).map_err(|error| {
        CommandError::from(error).hint("name the document root with --document-root DIR")
    })?;
    let mut config = ServeConfig::new(root);
    config.listeners = args.listen;
    config.timeouts.drain_delay = Duration::from_secs(args.drain_delay.into());
    config.timeouts.drain = Duration::from_secs(args.drain_timeout.into());
    Ok(config)
}

async fn serve(config: ServeConfig, log: Log) -> Result<ExitCode, CommandError> {
    let server = Server::bind(config, log.clone()).await?;
    for address in server.addresses() {
        let fields = json!({ "address": address.to_string() });
        log.line(Level::Info, "http", "listening", fields);
    }
    let (sender, orders) = mpsc::channel(1);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let running = tokio::spawn(server.run(orders));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    // The server has ended by itself if nobody takes the order.
    sender.send(Order::Drain).await.ok();
    let report = running.await?;
    let fields = json!({ "cut": report.cut });
    log.line(Level::Info, "http", "stopped", fields);
    Ok(ExitCode::SUCCESS)
}

/// `8000`, `:8000`, `0.0.0.0:8000`, `[::]:8000`. A port alone is one of the loopback device: nothing is offered to a network
/// that was not asked for.
fn address(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix(':').unwrap_or(text);
    if let Ok(port) = port.parse::<u16>() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    text.parse()
        .map_err(|_| format!("`{text}` is no PORT and no ADDRESS:PORT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_local() {
        for (text, expected) in [
            ("8000", "127.0.0.1:8000"),
            (":80", "127.0.0.1:80"),
            ("0.0.0.0:1", "0.0.0.0:1"),
            ("[::1]:1", "[::1]:1"),
        ] {
            assert_eq!(address(text), Ok(expected.parse().unwrap()));
        }
        assert!(address("localhost").is_err());
    }
}
