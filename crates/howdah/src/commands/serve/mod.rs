//! `howdah serve`: an application's HTTP server.

mod acme;
mod args;
pub(crate) mod file;
mod mode;
mod output;
mod php;

use std::io;
use std::process::ExitCode;

use howdah_serve::log::{Level, Log};
use howdah_serve::tls::TlsError;
use howdah_serve::{Backend, Order, Report, ServeConfig, ServeError, Server};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::{CommandError, Context};
pub(super) use acme::name as name_of_dns;
pub(crate) use args::{Args, admin_address};
pub(super) use php::PhpArgs;
pub(crate) use php::find_php;

/// Requests were cut off.
const LOST: u8 = 3;

pub(crate) fn run(context: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let php = args.php.clone();
    let pools = file::pools()?;
    let config = args.config(context)?;
    let report = in_runtime(|log| serve(config, (php, pools), log))?;
    anstream::eprintln!(
        "in flight {}, finished {}, lost {}",
        report.in_flight,
        report.finished,
        report.lost()
    );
    Ok(exit_code(report))
}

/// Runs a server, and gives it a log, which is written to its end.
pub(super) fn in_runtime<F>(serve: impl FnOnce(Log) -> F) -> Result<Report, CommandError>
where
    F: Future<Output = Result<Report, CommandError>>,
{
    raise_descriptor_limit();
    let output = output::Output::start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(serve(output.log()));
    // With its tasks their logs end.
    drop(runtime);
    output.finish();
    report
}

/// To the most that is allowed: the usual limit of open files, 1024, is that of programs that call select(2).
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // Without it there are fewer connections at a time, and the log says so.
    setrlimit(Resource::Nofile, raised).ok();
}

/// Were requests cut off?
pub(super) fn exit_code(report: Report) -> ExitCode {
    ExitCode::from(if report.lost() == 0 { 0 } else { LOST })
}

async fn serve(
    config: ServeConfig,
    (php, pools): (php::PhpArgs, Vec<file::PoolSection>),
    log: Log,
) -> Result<Report, CommandError> {
    let signals = Signals::new()?;
    let backend = php::start(php, pools, &config, &log).await?;
    attend(config, backend, signals, log).await
}

/// Serves until a signal or the administration ends it.
async fn attend(
    config: ServeConfig,
    backend: Option<Backend>,
    mut signals: Signals,
    log: Log,
) -> Result<Report, CommandError> {
    let server = Server::bind(config, backend, log.clone()).map_err(refused)?;
    tell_addresses(&server, &log);
    let (sender, orders) = mpsc::channel(1);
    let mut running = std::pin::pin!(server.run(orders));
    loop {
        tokio::select! {
            report = &mut running => return Ok(report),
            // The server takes orders until it drains; after that there is nothing more to tell it.
            order = signals.next() => drop(sender.try_send(order)),
        }
    }
}

/// Where a server listens.
pub(super) fn tell_addresses(server: &Server, log: &Log) {
    for address in server.addresses() {
        let fields = json!({ "address": address.to_string() });
        log.line(Level::Info, "http", "listening", fields);
    }
    for address in server.http3_addresses() {
        let fields = json!({ "address": address.to_string() });
        log.line(Level::Info, "http3", "listening", fields);
    }
    if let Some(address) = server.admin_address() {
        let fields = json!({ "address": address.to_string() });
        log.line(Level::Info, "admin", "listening", fields);
    }
}

/// Says what to do about it.
pub(super) fn refused(error: ServeError) -> CommandError {
    use io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};
    let hint = match &error {
        ServeError::Listen { source, .. } => match source.kind() {
            AddrInUse => Some(
                "another program listens there, which `ss -ltnp` names: stop it, or choose another address",
            ),
            AddrNotAvailable => {
                Some("no interface has this address; 0.0.0.0 stands for all of them")
            }
            PermissionDenied => {
                Some("ports below 1024 need root, or the capability CAP_NET_BIND_SERVICE")
            }
            _ => None,
        },
        ServeError::Tls(TlsError::Read { .. } | TlsError::Unfit { .. }) => Some(
            "--tls-certificate names a PEM file with the certificate and its chain, --tls-key one with its private key",
        ),
        _ => None,
    };
    let error = CommandError::from(error);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// What signals tell the server.
pub(super) struct Signals {
    stop: [Signal; 2],
    reload: [Signal; 2],
    is_interrupted: bool,
}

impl Signals {
    pub(super) fn new() -> Result<Self, CommandError> {
        Ok(Self {
            stop: [
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
            ],
            reload: [
                signal(SignalKind::hangup())?,
                signal(SignalKind::user_defined1())?,
            ],
            is_interrupted: false,
        })
    }

    pub(super) async fn next(&mut self) -> Order {
        let ([terminate, interrupt], [hangup, user]) = (&mut self.stop, &mut self.reload);
        tokio::select! {
            _ = terminate.recv() => Order::Drain,
            // Somebody at a terminal, who may ask again; supervisors repeat SIGTERM without meaning more by it.
            _ = interrupt.recv() => {
                if std::mem::replace(&mut self.is_interrupted, true) {
                    Order::End
                } else {
                    Order::Drain
                }
            }
            _ = hangup.recv() => Order::Reload,
            _ = user.recv() => Order::Reload,
        }
    }
}
