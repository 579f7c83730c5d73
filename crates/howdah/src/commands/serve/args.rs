//! The flags of `howdah serve`, and the configuration they make.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use howdah_serve::ServeConfig;
use howdah_serve::config::{AdminAddress, Listener, WebSocketRoute};
use howdah_serve::tls::Certificates;
use ipnet::IpNet;

use crate::commands::{CommandError, Context};

/// Serve an application over HTTP: files of its document root directly, everything else by PHP.
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one switch of the command line"
)]
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
    /// Where HTTP is served: `PORT` on 127.0.0.1, or `ADDRESS:PORT`; may be repeated. 8000 if nothing else is listened at.
    #[arg(short, long, value_name = "ADDRESS", env = "HOWDAH_LISTEN", value_delimiter = ',', value_parser = address)]
    listen: Vec<SocketAddr>,
    /// Where HTTPS is served.
    #[arg(long, value_name = "ADDRESS", env = "HOWDAH_LISTEN_TLS", value_delimiter = ',', value_parser = address)]
    listen_tls: Vec<SocketAddr>,
    /// The certificate and what leads to its authority, PEM. Without it HTTPS uses an authority of its own, for development.
    #[arg(
        long,
        value_name = "FILE",
        env = "HOWDAH_TLS_CERTIFICATE",
        hide_env_values = true
    )]
    tls_certificate: Option<PathBuf>,
    /// The certificate's private key, PEM.
    #[arg(
        long,
        value_name = "FILE",
        env = "HOWDAH_TLS_KEY",
        hide_env_values = true
    )]
    tls_key: Option<PathBuf>,
    /// Names of the certificate for development, besides localhost and the loopback addresses.
    #[arg(
        long,
        value_name = "NAME",
        env = "HOWDAH_TLS_NAMES",
        value_delimiter = ','
    )]
    tls_name: Vec<String>,
    /// Serve HTTP/3 too, at the UDP ports of --listen-tls.
    #[arg(long, env = "HOWDAH_HTTP3", value_parser = FalseyValueParser::new())]
    http3: bool,
    /// A WebSocket at a path and below it is one of another server, e.g. `/app=127.0.0.1:8080` for Laravel Reverb; may be repeated.
    #[arg(long, value_name = "PATH=HOST:PORT", env = "HOWDAH_WEBSOCKETS", value_delimiter = ',', value_parser = websocket)]
    websocket: Vec<WebSocketRoute>,
    /// Connections begin with a header of the PROXY protocol, version 1 or 2.
    #[arg(long, env = "HOWDAH_PROXY_PROTOCOL", value_parser = FalseyValueParser::new())]
    proxy_protocol: bool,
    /// Networks, or addresses, whose `Forwarded` and `X-Forwarded-*` are believed, e.g. `10.0.0.0/8`.
    #[arg(
        long,
        value_name = "NETWORK",
        env = "HOWDAH_TRUSTED_PROXIES",
        value_delimiter = ',',
        value_parser = network
    )]
    trusted_proxy: Vec<IpNet>,
    /// Where `/livez`, `/readyz`, `/metrics` and `/status` are asked for, and `/reload` and `/drain` are ordered by POST: a port,
    /// an address, or the path of a socket that only this user can open.
    #[arg(long, value_name = "ADDRESS|PATH", env = "HOWDAH_ADMIN", value_parser = admin_address)]
    admin: Option<AdminAddress>,
    /// For development: have PHP read the code anew when a file of the application changes (*.php, *.twig, *.yaml, *.yml, .env*),
    /// but for `storage`, `var` and `node_modules`.
    #[arg(long, env = "HOWDAH_WATCH", value_parser = FalseyValueParser::new())]
    watch: bool,
    /// The most bytes of a request's body; more is a 413.
    #[arg(
        long,
        value_name = "BYTES",
        env = "HOWDAH_MAX_BODY",
        default_value_t = 64 << 20
    )]
    max_body: u64,
    /// No line of the log for each request.
    #[arg(long, env = "HOWDAH_NO_ACCESS_LOG", value_parser = FalseyValueParser::new())]
    no_access_log: bool,
    /// Do not compress.
    #[arg(long, env = "HOWDAH_NO_COMPRESSION", value_parser = FalseyValueParser::new())]
    no_compression: bool,
    /// Add header fields that restrict browsers, where the application did not.
    #[arg(long, env = "HOWDAH_SECURITY_HEADERS", value_parser = FalseyValueParser::new())]
    security_headers: bool,
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
    #[command(flatten)]
    acme: super::acme::AcmeArgs,
    #[command(flatten)]
    pub(super) php: super::php::PhpArgs,
}

const HELP: &str = "\
Paths are looked up as a file, a directory with index.php or index.html, a script with something behind its name, and at last
/index.php. Hidden files (but /.well-known) are not there, and PHP's source is never shown. Files *.br, *.zst and *.gz beside a
file are served instead of it to clients that take them.

Signals:
  TERM, INT    readiness fails; after --drain-delay no more connections are taken, and what is in flight finishes;
               a second INT ends it at once
  HUP, USR1    certificates are read anew, and PHP's workers are replaced without a pause

Exit codes:
  0    everything in flight was answered
  1    the server could not start
  3    requests were cut off because they outlived --drain-timeout";

impl Args {
    pub(super) fn config(self, context: &Context) -> Result<ServeConfig, CommandError> {
        let useless = self.flag_of_https().filter(|_| self.listen_tls.is_empty());
        let root = self.document_root.unwrap_or_else(|| {
            let public = PathBuf::from("public");
            if public.is_dir() { public } else { ".".into() }
        });
        let root = fs_err::canonicalize(root).map_err(|error| {
            CommandError::from(error).hint("name the document root with --document-root DIR")
        })?;
        if !root.is_dir() {
            let fault = format!("the document root `{}` is no directory", root.display());
            return Err(CommandError::new(fault).hint("name a directory with --document-root DIR"));
        }
        let mut config = ServeConfig::new(root);
        let listener = |tls| {
            move |address| Listener {
                address,
                tls,
                proxy_protocol: self.proxy_protocol,
            }
        };
        let plain = self.listen.into_iter().map(listener(false));
        config.listeners = plain
            .chain(self.listen_tls.iter().copied().map(listener(true)))
            .collect();
        if config.listeners.is_empty() {
            config.listeners = vec![listener(false)((Ipv4Addr::LOCALHOST, 8000).into())];
        }
        if self.tls_certificate.is_some() != self.tls_key.is_some() {
            return Err(
                CommandError::new("a certificate and its key belong together")
                    .hint("give both --tls-certificate and --tls-key, or neither")
                    .code(2),
            );
        }
        if let Some(flag) = useless {
            let fault = format!("{flag} is for HTTPS, which is served nowhere");
            let hint = "say where with --listen-tls ADDRESS";
            return Err(CommandError::new(fault).hint(hint).code(2));
        }
        if !self.listen_tls.is_empty() {
            let acme = self.acme.config(&context.root().join("acme"));
            config.certificates = Some(match (acme, self.tls_certificate, self.tls_key) {
                (Some(acme), ..) => Certificates::Acme(acme),
                (None, Some(chain), Some(key)) => Certificates::Files { chain, key },
                _ => Certificates::Local {
                    directory: context.root().join("authority"),
                    names: ["localhost", "127.0.0.1", "::1"]
                        .map(str::to_owned)
                        .into_iter()
                        .chain(self.tls_name)
                        .collect(),
                },
            });
        }
        config.temporary = std::env::temp_dir();
        config.http3 = self.http3;
        config.websockets = self.websocket;
        config.admin = self.admin;
        if self.watch {
            config.watch = vec![config.site.application.clone()];
        }
        config.trusted_proxies = self.trusted_proxy;
        config.limits.body_bytes = self.max_body;
        config.extras.access_log = !self.no_access_log;
        config.extras.compression = !self.no_compression;
        config.extras.security_headers = self.security_headers;
        config.timeouts.drain_delay = Duration::from_secs(self.drain_delay.into());
        config.timeouts.drain = Duration::from_secs(self.drain_timeout.into());
        Ok(config)
    }

    /// A flag that means nothing without HTTPS, if one is given.
    fn flag_of_https(&self) -> Option<&'static str> {
        let flags = [
            (self.http3, "--http3"),
            (self.tls_certificate.is_some(), "--tls-certificate"),
            (!self.tls_name.is_empty(), "--tls-name"),
            (self.acme.is_asked_for(), "--acme-name"),
        ];
        flags
            .into_iter()
            .find_map(|(is_given, flag)| is_given.then_some(flag))
    }
}

/// `10.0.0.0/8`, or `10.0.0.1` for that alone.
fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse().or_else(|_| text.parse().map(IpAddr::into));
    network.map_err(|_| format!("`{text}` is no network, as 10.0.0.0/8, and no address"))
}

/// As [`address`], or anything with a slash for a path.
pub(crate) fn admin_address(text: &str) -> Result<AdminAddress, String> {
    if text.contains('/') {
        return Ok(AdminAddress::Unix(text.into()));
    }
    match address(text) {
        Ok(address) => Ok(AdminAddress::Tcp(address)),
        Err(fault) => Err(fault + ", and no path"),
    }
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

/// `/app=127.0.0.1:8080`.
fn websocket(text: &str) -> Result<WebSocketRoute, String> {
    let route = text.split_once('=').filter(|(path, upstream)| {
        let port = upstream
            .rsplit_once(':')
            .map(|(_, port)| port.parse::<u16>());
        path.starts_with('/') && matches!(port, Some(Ok(1..)))
    });
    let (path, upstream) = route.ok_or_else(|| format!("`{text}` is no /PATH=HOST:PORT"))?;
    Ok(WebSocketRoute {
        path: path.to_owned(),
        upstream: upstream.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_a_server() {
        let route = websocket("/app=reverb:8080").unwrap();
        assert_eq!((&*route.path, &*route.upstream), ("/app", "reverb:8080"));
        for bad in ["/app", "app=a:1", "/app=a", "/app=a:x", "/app=a:0"] {
            assert!(websocket(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_network_or_an_address() {
        for (text, expected) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.1", "10.0.0.1/32"),
            ("::1", "::1/128"),
        ] {
            assert_eq!(network(text), Ok(expected.parse().unwrap()));
        }
        for bad in ["10.0.0.0/33", "localhost", ""] {
            assert!(network(bad).is_err(), "{bad}");
        }
    }

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

    #[test]
    fn an_admin_address_may_be_a_path() {
        let unix = AdminAddress::Unix("./a.sock".into());
        assert_eq!(admin_address("./a.sock"), Ok(unix));
        let tcp = AdminAddress::Tcp("127.0.0.1:80".parse().unwrap());
        assert_eq!(admin_address("80"), Ok(tcp));
        assert!(admin_address("nowhere").is_err());
    }
}
