//! `frankenphp php-server`: a directory without a Caddyfile.

use std::process::ExitCode;

use howdah_caddyfile::{
    Address, Caddyfile, Handler, LogOptions, Options, Place, Route, Site, Worker,
};

use super::super::{CommandError, Context};
use super::serve;

/// FrankenPHP's flags.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one switch of the command line"
)]
pub(super) struct Args {
    /// The name that is served, by HTTPS.
    #[arg(short, long, value_name = "NAME")]
    domain: Option<String>,
    /// The document root; without it the current directory.
    #[arg(short, long, value_name = "DIR")]
    root: Option<String>,
    /// The address; without it port 80, or 443 for a domain.
    #[arg(short, long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// A worker script, and how many processes it has.
    #[arg(short, long, value_name = "FILE[,COUNT]")]
    worker: Vec<String>,
    /// Reload the first worker when files change that this pattern describes.
    #[arg(long, value_name = "PATTERN", num_args = 0..=1, require_equals = true, default_missing_value = "./**/*.{env,php,twig,yaml,yml}")]
    watch: Vec<String>,
    /// A line of the log for each request.
    #[arg(short, long)]
    access_log: bool,
    /// Log everything.
    #[arg(short = 'v', long)]
    debug: bool,
    /// Refused: there is no Mercure hub.
    #[arg(short, long)]
    mercure: bool,
    /// Do not compress.
    #[arg(long)]
    no_compress: bool,
}

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CommandError> {
    serve::caddyfile_served(context, args.caddyfile()?, (None, false), None)
}

impl Args {
    fn caddyfile(self) -> Result<Caddyfile, CommandError> {
        if self.mercure {
            return Err(CommandError::new("no Mercure hub is built in")
                .hint("run the hub as a service of its own, and leave --mercure out"));
        }
        let mut options = Options {
            admin: None,
            debug: self.debug,
            ..Options::default()
        };
        for worker in &self.worker {
            options.php.workers.push(read_worker(worker)?);
        }
        match options.php.workers.first_mut() {
            Some(first) => first.watch.clone_from(&self.watch),
            None if self.watch.is_empty() => {}
            None => return Err(CommandError::new("--watch needs a --worker").code(2)),
        }
        let (bind, port) = match &self.listen {
            None => (None, None),
            Some(listen) => address(listen)?,
        };
        let routes = self.routes();
        let site = Site {
            addresses: vec![Address {
                is_https: Some(self.domain.is_some()),
                host: self.domain.unwrap_or_default().to_lowercase(),
                port,
            }],
            bind: bind.into_iter().collect(),
            tls: None,
            log: self.access_log.then(LogOptions::default),
            routes,
            errors: Vec::new(),
            place: Place {
                file: "php-server".into(),
                line: 1,
            },
        };
        Ok(Caddyfile {
            options,
            sites: vec![site],
            warnings: Vec::new(),
        })
    }

    fn routes(&self) -> Vec<Route> {
        let mut handlers = Vec::new();
        if let Some(root) = &self.root {
            handlers.push(Handler::Root(howdah_caddyfile::Template::text(root)));
        }
        if !self.no_compress {
            handlers.push(Handler::Encode);
        }
        handlers.push(Handler::Subroute(howdah_caddyfile::php_server()));
        let routes = handlers.into_iter().map(|handler| Route {
            matcher: None,
            group: None,
            handler,
        });
        routes.collect()
    }
}

/// `FILE` or `FILE,COUNT`.
fn read_worker(text: &str) -> Result<Worker, CommandError> {
    let (file, count) = match text.split_once(',') {
        Some((file, count)) => (file, Some(count)),
        None => (text, None),
    };
    let fault = || CommandError::new(format!("`{text}` is no FILE,COUNT")).code(2);
    let num = count.map(str::parse).transpose().map_err(|_| fault())?;
    Ok(Worker {
        file_name: file.to_owned(),
        num: num.filter(|count| *count > 0),
        ..Worker::default()
    })
}

/// `:8000`, `127.0.0.1:8000`, `[::1]:8000`.
fn address(text: &str) -> Result<(Option<String>, Option<u16>), CommandError> {
    let fault = || CommandError::new(format!("`{text}` is no address such as :8000")).code(2);
    let (host, port) = text.rsplit_once(':').ok_or_else(fault)?;
    let port = port.parse().map_err(|_| fault())?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok((
        Some(host.to_owned()).filter(|host| !host.is_empty()),
        Some(port),
    ))
}
