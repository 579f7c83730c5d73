//! From a Caddyfile to what the server and its PHP are told.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use howdah_caddyfile::{Caddyfile, Handler, Route, Worker};
use howdah_serve::ServeConfig;
use howdah_serve::config::{CaddyApi, Load};
use howdah_serve::pool::{Mode, PoolConfig, Size, WorkerScript};
use howdah_serve::sites::Sites;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::super::{CommandError, Context};
use super::listen::{self, Listening};

/// What is to be run.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) server: ServeConfig,
    /// The worker scripts' pools, in the order of the Caddyfile.
    pub(super) workers: Vec<PoolConfig>,
    /// The pool of all other scripts.
    pub(super) scripts: PoolConfig,
}

/// Can this be served?
pub(super) fn check(caddyfile: &Caddyfile) -> Result<(), CommandError> {
    listen::plan(caddyfile, Path::new("/")).map(drop)
}

/// The whole plan. `directory` is what relative paths are relative to, `program` the `howdah-php`.
pub(super) fn plan(
    caddyfile: &Caddyfile,
    context: &Context,
    (directory, program): (&Path, &Path),
    load: &mpsc::Sender<Load>,
) -> Result<Plan, CommandError> {
    let options = &caddyfile.options;
    let Listening {
        listeners,
        bindings,
        sites,
        certificates,
        ..
    } = listen::plan(caddyfile, context.root())?;
    let root = document_root(caddyfile);
    let mut server = ServeConfig::new(directory.join(root.as_deref().unwrap_or("")));
    server.temporary = std::env::temp_dir();
    server.listeners = listeners;
    server.certificates = certificates;
    server.sites = Some(Sites {
        sites,
        bindings,
        directory: directory.to_owned(),
    });
    if let Some(admin) = &options.admin {
        server.admin = Some(listen::admin(admin)?);
        server.caddy = Some(CaddyApi {
            config: adapted(caddyfile),
            origins: options.admin_origins.clone(),
            load: load.clone(),
        });
    }
    let patterns = options.php.workers.iter().flat_map(|worker| &worker.watch);
    server.watch = patterns
        .map(|pattern| watched(directory, pattern))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    server.trusted_proxies.clone_from(&options.trusted_proxies);
    let fields = options.client_fields.iter();
    server.client_fields = fields.filter_map(|name| name.parse().ok()).collect();
    // PHP has limits of its own, and Caddy has none.
    server.limits.body_bytes = u64::MAX;
    if let Some(bytes) = options.max_header_bytes {
        server.limits.head_bytes = bytes;
    }
    server.extras.access_log = caddyfile.sites.iter().any(|site| site.log.is_some());
    // Where `encode` says so.
    server.extras.compression = false;
    let timeouts = &mut server.timeouts;
    timeouts.drain = options.grace_period.unwrap_or(timeouts.drain);
    timeouts.drain_delay = options.shutdown_delay.unwrap_or(timeouts.drain_delay);
    timeouts.head = options.head_timeout.unwrap_or(timeouts.head);
    timeouts.body = options.body_timeout.unwrap_or(timeouts.body);
    let php = Php {
        caddyfile,
        directory,
        program,
        stop_timeout: server.timeouts.drain,
    };
    Ok(Plan {
        workers: options
            .php
            .workers
            .iter()
            .map(|worker| php.worker(worker))
            .collect(),
        scripts: php.scripts(),
        server,
    })
}

/// What pools have in common.
struct Php<'a> {
    caddyfile: &'a Caddyfile,
    directory: &'a Path,
    program: &'a Path,
    stop_timeout: std::time::Duration,
}

impl Php<'_> {
    fn pool(&self, mode: Mode) -> PoolConfig {
        let options = &self.caddyfile.options.php;
        let mut pool = PoolConfig::new(mode, self.program, self.directory);
        pool.max_wait = options.max_wait_time.unwrap_or(pool.max_wait);
        pool.max_requests = options.max_requests;
        pool.stop_timeout = self.stop_timeout;
        let settings = options.php_ini.iter();
        pool.settings = settings
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pool
    }

    fn worker(&self, worker: &Worker) -> PoolConfig {
        let mut pool = self.pool(Mode::Worker);
        let script = plain(&self.directory.join(&worker.file_name));
        let name = worker.name.clone();
        pool.name = name.unwrap_or_else(|| script.display().to_string());
        pool.script = Some(WorkerScript::File(script));
        let own = worker.env.iter();
        pool.environment = own
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        pool.size = match (worker.num, worker.max_threads) {
            (Some(least), Some(most)) if most > least => Size::Between { least, most },
            (Some(count), _) => Size::Fixed(count),
            (None, _) => pool.size,
        };
        let never_gives_up = worker.max_consecutive_failures == Some(-1);
        pool.patient = never_gives_up || !worker.watch.is_empty();
        pool
    }

    /// Processes that workers do not take, at least one.
    fn scripts(&self) -> PoolConfig {
        let options = &self.caddyfile.options.php;
        let mut pool = self.pool(Mode::Classic);
        let workers: usize = options.workers.iter().filter_map(|worker| worker.num).sum();
        let most = match (options.num_threads, pool.size) {
            (Some(count), _) => count.saturating_sub(workers),
            (None, Size::Fixed(count)) => count,
            (None, Size::Between { most, .. }) => most,
        };
        let most = most.max(options.max_threads.unwrap_or(0).saturating_sub(workers));
        pool.size = Size::Between {
            least: 1,
            most: most.max(1),
        };
        pool
    }
}

/// The directory that a pattern of files is below.
fn watched(directory: &Path, pattern: &str) -> PathBuf {
    let is_plain = |part: &&str| !part.contains(['*', '?', '[', '{']);
    let parts: Vec<&str> = pattern.split('/').take_while(is_plain).collect();
    let path = plain(&directory.join(parts.join("/")));
    match path.parent() {
        Some(parent) if path.is_file() => parent.to_owned(),
        _ => path,
    }
}

/// Without `.` and `..`, so that it is equal to the path that a request leads to.
fn plain(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

/// The first one that is written: the application is there or beside it.
fn document_root(caddyfile: &Caddyfile) -> Option<String> {
    caddyfile
        .sites
        .iter()
        .find_map(|site| root_of(&site.routes))
}

fn root_of(routes: &[Route]) -> Option<String> {
    routes.iter().find_map(|route| match &route.handler {
        Handler::Root(root) => root.constant(),
        Handler::Php(php) => php.root.as_ref()?.constant(),
        Handler::FileServer(files) => files.root.as_ref()?.constant(),
        Handler::Subroute(routes) => root_of(routes),
        _ => None,
    })
}

/// The configuration as JSON: the `frankenphp` app in FrankenPHP's form, the sites in our own.
pub(super) fn adapted(caddyfile: &Caddyfile) -> Value {
    let sites = caddyfile.sites.iter().map(|site| {
        let addresses: Vec<Value> = site
            .addresses
            .iter()
            .map(|address| json!({ "host": address.host, "port": address.port, "https": address.is_https }))
            .collect();
        json!({ "addresses": addresses, "routes": site.routes, "errors": site.errors })
    });
    let sites: Vec<Value> = sites.collect();
    let admin = match &caddyfile.options.admin {
        Some(address) => json!({ "listen": address }),
        None => json!({ "disabled": true }),
    };
    json!({
        "admin": admin,
        "apps": {
            "frankenphp": caddyfile.options.php,
            "http": { "sites": sites },
        },
    })
}
