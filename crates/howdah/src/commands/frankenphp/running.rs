//! A server by a Caddyfile, and the one by another Caddyfile that takes its place while it runs.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use howdah_caddyfile::{Caddyfile, File};
use howdah_serve::cgi::Constants;
use howdah_serve::config::Load;
use howdah_serve::log::{Level, Log};
use howdah_serve::pool::{Pool, PoolConfig};
use howdah_serve::routes::{Route, Routes};
use howdah_serve::{Backend, Order, Report, Server, Sockets};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::super::serve::{Signals, refused, tell_addresses};
use super::super::{CommandError, Context};
use super::logs::Filter;
use super::plan::{self, Plan};
use super::source::Source;

/// As often as Caddy looks whether its file has changed.
const WATCH: Duration = Duration::from_secs(1);

/// What all servers of this process have in common.
pub(super) struct Place<'a> {
    pub(super) context: &'a Context,
    pub(super) program: PathBuf,
    /// What relative paths are relative to.
    pub(super) directory: PathBuf,
    /// Where the Caddyfile is, and its environment; none if it was made by flags.
    pub(super) source: Option<&'a Source>,
    /// A server is to be loaded when the file changes.
    pub(super) watches: bool,
    /// Who is connected to when the first server serves.
    pub(super) pingback: Option<SocketAddr>,
    pub(super) log: Log,
}

/// A server that serves.
struct Running {
    task: JoinHandle<Report>,
    orders: mpsc::Sender<Order>,
    sockets: Sockets,
    log: Log,
}

impl Place<'_> {
    /// Serves until a signal or the admin API ends it.
    pub(super) async fn serve(&self, caddyfile: Caddyfile) -> Result<Report, CommandError> {
        // What comes while PHP starts counts, too.
        let mut signals = Signals::new()?;
        let (sender, mut loads) = mpsc::channel(1);
        let mut current = self.start(&caddyfile, Sockets::default(), &sender).await?;
        if let Some(address) = self.pingback {
            // Who waits may have gone.
            TcpStream::connect(address).ok();
        }
        let mut watch = tokio::time::interval(WATCH);
        let mut seen = self.watched();
        let mut replaced = JoinSet::new();
        let last = loop {
            tokio::select! {
                report = &mut current.task => break report.unwrap_or_default(),
                // The server takes orders until it drains; after that there is nothing more to tell it.
                order = signals.next() => drop(current.orders.try_send(order)),
                Some(load) = loads.recv() => {
                    let caddyfile = self.read(&load);
                    let loaded = self.replace(&mut current, &mut replaced, caddyfile, &sender).await;
                    // Who asked may have gone.
                    load.answer.send(loaded).ok();
                }
                _ = watch.tick(), if self.watches => {
                    let now = self.watched();
                    if now != seen {
                        seen = now;
                        let caddyfile = self.source.map_or_else(
                            || Err(CommandError::new("there is no file")),
                            Source::load,
                        );
                        self.replace(&mut current, &mut replaced, caddyfile, &sender).await.ok();
                    }
                }
            }
        };
        let mut report = last;
        while let Some(one) = replaced.join_next().await {
            let one: Report = one.unwrap_or_default();
            report.in_flight += one.in_flight;
            report.finished += one.finished;
        }
        let fields = json!({
            "in_flight": report.in_flight, "finished": report.finished, "lost": report.lost(),
        });
        let message = "FrankenPHP stopped";
        current.log.line(Level::Info, "frankenphp", message, fields);
        Ok(report)
    }

    fn watched(&self) -> Option<String> {
        let path = self.source?.path().ok()?;
        fs_err::read_to_string(path).ok()
    }

    fn read(&self, load: &Load) -> Result<Caddyfile, CommandError> {
        let name = load
            .source
            .clone()
            .unwrap_or_else(|| self.directory.join("Caddyfile"));
        let file = File {
            name: name.display().to_string(),
            text: load.text.clone(),
        };
        self.source.cloned().unwrap_or_default().parse(&file)
    }

    /// Has another server take the place of the current one, which finishes what it has begun. If that cannot be, the current
    /// one goes on.
    async fn replace(
        &self,
        current: &mut Running,
        replaced: &mut JoinSet<Report>,
        caddyfile: Result<Caddyfile, CommandError>,
        loads: &mpsc::Sender<Load>,
    ) -> Result<(), String> {
        let sockets = current.sockets.clone();
        let started = match caddyfile {
            Ok(caddyfile) => self.start(&caddyfile, sockets, loads).await,
            Err(error) => Err(error),
        };
        match started {
            Ok(next) => {
                let mut before = std::mem::replace(current, next);
                // If there is no room for the order, it has been told to end before.
                before.orders.try_send(Order::Leave).ok();
                before.sockets.closed().await;
                replaced.spawn(async move { before.task.await.unwrap_or_default() });
                current
                    .log
                    .line(Level::Info, "admin", "configuration loaded", json!({}));
                Ok(())
            }
            Err(error) => {
                let message = "the configuration is not loaded, the one from before stays";
                let fields = json!({ "error": error.line() });
                current.log.line(Level::Error, "admin", message, fields);
                Err(error.line())
            }
        }
    }

    async fn start(
        &self,
        caddyfile: &Caddyfile,
        sockets: Sockets,
        loads: &mpsc::Sender<Load>,
    ) -> Result<Running, CommandError> {
        let Plan {
            server: config,
            workers,
            scripts,
        } = plan::plan(
            caddyfile,
            self.context,
            (&self.directory, &self.program),
            loads,
        )?;
        let filter = Filter::new(caddyfile);
        let log = self.log.clone().filtered(move |line| filter.pass(line));
        for warning in &caddyfile.warnings {
            let fields = json!({ "file": &*warning.place.file, "line": warning.place.line });
            log.line(Level::Warn, "caddyfile", warning.message.clone(), fields);
        }
        let pools = start_pools(&config.site.root, (workers, scripts), &log).await?;
        let backend = Backend::Routes(pools.into());
        let server = match Server::bind_after(sockets, config, Some(backend.clone()), log.clone()) {
            Ok(server) => server,
            Err(error) => {
                backend.stop(Instant::now()).await;
                return Err(refused(error));
            }
        };
        tell_addresses(&server, &log);
        let (orders, receiver) = mpsc::channel(1);
        Ok(Running {
            sockets: server.sockets(),
            task: tokio::spawn(server.run(receiver)),
            orders,
            log,
        })
    }
}

/// All pools, or none.
async fn start_pools(
    root: &std::path::Path,
    (workers, scripts): (Vec<PoolConfig>, PoolConfig),
    log: &Log,
) -> Result<Routes, CommandError> {
    let mut started: Vec<Pool> = Vec::new();
    for config in workers.into_iter().chain([scripts]) {
        let constants = Constants::new(root, &config.environment);
        match Pool::start(config, constants, log.clone()).await {
            Ok(pool) => started.push(pool),
            Err(error) => {
                for pool in started {
                    pool.stop(Instant::now()).await;
                }
                return Err(CommandError::new(error.to_string()));
            }
        }
    }
    match started.pop() {
        Some(scripts) => {
            let workers = started.into_iter().map(|worker| Route {
                paths: Vec::new(),
                backend: Backend::Pool(worker),
            });
            Ok(Routes::new(workers.collect(), Backend::Pool(scripts)))
        }
        None => Err(CommandError::new("there is no PHP")),
    }
}
