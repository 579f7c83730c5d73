//! Sites: addresses, and what stands in their blocks besides routes.

use std::collections::BTreeMap;

use crate::error::{CaddyfileError, Fault};
use crate::matchers::MatcherSet;
use crate::model::{
    Address, Caddyfile, ErrorRoutes, LogOptions, Options, PhpOptions, Site, Tls, Warning,
};
use crate::options;
use crate::routes::ORDER;
use crate::template::Template;
use crate::tree::{Block, Directive};

/// What is gathered while the blocks are read.
pub(crate) struct Compiler<'a> {
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) php: PhpOptions,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) faults: Vec<CaddyfileError>,
    pub(crate) site: SiteParts,
    /// Numbers that were given to groups of routes.
    pub(crate) groups: u32,
    /// In which directives of a block come.
    pub(crate) order: Vec<String>,
}

/// What a site has besides its routes, wherever in its blocks it stands.
#[derive(Default)]
pub(crate) struct SiteParts {
    pub(crate) matchers: BTreeMap<String, MatcherSet>,
    pub(crate) errors: Vec<ErrorRoutes>,
    bind: Vec<String>,
    tls: Option<Tls>,
    log: Option<LogOptions>,
}

/// All blocks of a file; every directive with a fault is told.
pub(crate) fn compile(
    blocks: Vec<Block>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Caddyfile, Vec<CaddyfileError>> {
    let mut compiler = Compiler {
        variable,
        php: PhpOptions::default(),
        warnings: Vec::new(),
        faults: Vec::new(),
        site: SiteParts::default(),
        groups: 0,
        order: ORDER.map(str::to_owned).to_vec(),
    };
    let mut options = Options::default();
    let mut sites = Vec::new();
    for block in blocks {
        if block.keys.is_empty() {
            for directive in &block.directives {
                if let Err(fault) = options::option(&mut compiler, &mut options, directive) {
                    compiler.faults.push(fault);
                }
            }
        } else if let Some(site) = compiler.site(block) {
            sites.push(site);
        }
    }
    options.php = compiler.php;
    if compiler.faults.is_empty() {
        Ok(Caddyfile {
            options,
            sites,
            warnings: compiler.warnings,
        })
    } else {
        Err(compiler.faults)
    }
}

impl Compiler<'_> {
    pub(crate) fn template(&self, text: &str) -> Template {
        Template::parse(text, self.variable)
    }

    pub(crate) fn warn(&mut self, directive: &Directive, message: &str) {
        self.warnings.push(Warning {
            place: directive.place.clone(),
            message: format!("`{}`: {message}", directive.name),
        });
    }

    fn site(&mut self, block: Block) -> Option<Site> {
        self.site = SiteParts::default();
        let mut addresses = Vec::new();
        for key in &block.keys {
            match address(key) {
                Ok(address) => addresses.push(address),
                Err(fault) => self.faults.push(fault.at(&block.place)),
            }
        }
        let routes = self.routes(&block.directives, true);
        let parts = std::mem::take(&mut self.site);
        (!addresses.is_empty()).then_some(Site {
            addresses,
            bind: parts.bind,
            tls: parts.tls,
            log: parts.log,
            routes,
            errors: parts.errors,
            place: block.place,
        })
    }

    /// What is no step of a route. Is it such a directive?
    pub(crate) fn site_directive(&mut self, directive: &Directive) -> Result<bool, CaddyfileError> {
        match directive.name.as_str() {
            "bind" => self.site.bind.extend(directive.arguments.iter().cloned()),
            "tls" => self.site.tls = self.tls(directive)?,
            "log" => self.site.log = Some(options::log(self, directive)?),
            "handle_errors" => self.handle_errors(directive)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn tls(&mut self, directive: &Directive) -> Result<Option<Tls>, CaddyfileError> {
        const KNOWN: &str = "protocols, ciphers, curves, alpn, ca, issuer and on_demand";
        let mut tls = match directive.words().as_slice() {
            [] => None,
            ["internal"] => Some(Tls::Internal),
            [email] if email.contains('@') => Some(Tls::Acme((*email).to_owned())),
            [chain, key] => Some(Tls::Files {
                chain: (*chain).to_owned(),
                key: (*key).to_owned(),
            }),
            _ => return Err(directive.usage("tls internal|EMAIL|CERTIFICATE KEY")),
        };
        for option in directive.inner() {
            match (option.name.as_str(), option.words().as_slice()) {
                ("issuer", ["internal"]) => tls = Some(Tls::Internal),
                ("protocols", ["tls1.2" | "tls1.3", ..]) | ("alpn", _) => {}
                ("ciphers" | "curves", _) => {
                    self.warn(option, "TLS has the safe ones, and no others");
                }
                ("on_demand" | "ca" | "issuer" | "dns" | "client_auth" | "protocols", _) => {
                    return Err(option
                        .unsupported("use `tls internal`, `tls EMAIL` or `tls CERTIFICATE KEY`"));
                }
                _ => return Err(option.unknown("tls", KNOWN)),
            }
        }
        Ok(tls)
    }

    /// `handle_errors [STATUS...] { ... }`; `5xx` is a whole class.
    fn handle_errors(&mut self, directive: &Directive) -> Result<(), CaddyfileError> {
        let statuses = directive
            .arguments
            .iter()
            .map(|status| {
                statuses(status).ok_or_else(|| {
                    directive.fault(Fault::value(status, "a status such as 404 or 5xx"))
                })
            })
            .collect::<Result<_, _>>()?;
        let routes = self.routes(directive.inner(), true);
        self.site.errors.push(ErrorRoutes { statuses, routes });
        Ok(())
    }
}

/// `404` or `4xx`: from and to.
pub(crate) fn statuses(text: &str) -> Option<(u16, u16)> {
    if let Some(class) = text.strip_suffix("xx") {
        let class: u16 = class.parse().ok().filter(|class| (1..=9).contains(class))?;
        return Some((class * 100, class * 100 + 99));
    }
    let status = text
        .parse()
        .ok()
        .filter(|status| (100..1000).contains(status))?;
    Some((status, status))
}

/// `https://example.org:8443`, `example.org`, `:8080`, `http://`, `[::1]:80`.
fn address(key: &str) -> Result<Address, Fault> {
    let fault = || {
        Fault::value(
            key,
            "an address such as example.org, :8000 or http://localhost:8000",
        )
    };
    let (is_https, rest) = match key.split_once("://") {
        Some(("http", rest)) => (Some(false), rest),
        Some(("https", rest)) => (Some(true), rest),
        Some(_) => return Err(fault()),
        None => (None, key),
    };
    if rest.trim_end_matches('/').contains('/') {
        return Err(Fault::Unsupported {
            name: key.to_owned(),
            instead: "an address has no path: write `handle /path/* { ... }` in the site",
        });
    }
    let rest = rest.trim_end_matches('/');
    // The colons of an IPv6 address are within brackets.
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let port = match port.filter(|port| !port.is_empty()) {
        Some(port) => Some(port.parse().map_err(|_| fault())?),
        None => None,
    };
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_lowercase();
    let is_host = |character: char| character.is_alphanumeric() || "-._:*".contains(character);
    if !host.chars().all(is_host) || host.is_empty() && port.is_none() && is_https.is_none() {
        return Err(fault());
    }
    Ok(Address {
        is_https,
        host: if host == "*" { String::new() } else { host },
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let read = |key| {
            address(key).map(|address| {
                let port = address.port.map(|port| format!(":{port}"));
                format!(
                    "{:?} {}{}",
                    address.is_https,
                    address.host,
                    port.unwrap_or_default()
                )
            })
        };
        for (key, expected) in [
            ("http://:8000", "Some(false) :8000"),
            ("https://Example.org:8443", "Some(true) example.org:8443"),
            ("localhost", "None localhost"),
            ("[::1]:81", "None ::1:81"),
            ("*.example.org", "None *.example.org"),
            (":80", "None :80"),
            ("http://", "Some(false) "),
        ] {
            assert_eq!(read(key).as_deref(), Ok(expected), "{key}");
        }
        for key in ["ftp://a", "a:b", "a b", "a/b", "{x}"] {
            assert!(address(key).is_err(), "{key}");
        }
    }
}
