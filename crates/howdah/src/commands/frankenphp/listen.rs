//! Which addresses the sites are at, and with which certificates: Caddy's rules of automatic HTTPS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::path::Path;

use howdah_caddyfile::{Address, AutoHttps, Caddyfile, Options, Site};
use howdah_serve::config::{AdminAddress, Listener};
use howdah_serve::sites::Binding;
use howdah_serve::tls::Certificates;

use super::super::CommandError;
use super::names::Names;

/// What the sites need.
pub(super) struct Listening {
    pub(super) listeners: Vec<Listener>,
    pub(super) bindings: Vec<Binding>,
    /// Those of the Caddyfile, and perhaps one that leads to HTTPS.
    pub(super) sites: Vec<Site>,
    pub(super) certificates: Option<Certificates>,
    default_bind: Vec<String>,
}

/// `store`: where authorities' keys and certificates are kept.
pub(super) fn plan(caddyfile: &Caddyfile, store: &Path) -> Result<Listening, CommandError> {
    let options = &caddyfile.options;
    let mut listening = Listening {
        listeners: Vec::new(),
        bindings: Vec::new(),
        sites: caddyfile.sites.clone(),
        certificates: None,
        default_bind: options.default_bind.clone(),
    };
    let mut names = Names::default();
    let mut redirected = Vec::new();
    for (index, site) in caddyfile.sites.iter().enumerate() {
        for address in &site.addresses {
            let is_https = is_https(address, site, options);
            let usual = if is_https {
                options.https_port
            } else {
                options.http_port
            };
            let port = address.port.unwrap_or(usual);
            listening.add(site, port, is_https, &address.host, index)?;
            if is_https {
                names.add(address, site, options)?;
                if !address.host.is_empty() {
                    redirected.push((site, address.host.clone(), port));
                }
            }
        }
    }
    if options.auto_https == AutoHttps::On {
        for (site, host, port) in redirected {
            listening.lead_to_https(site, &host, port, options.http_port)?;
        }
    }
    listening.certificates = names.certificates(options, store);
    if listening.listeners.is_empty() {
        return Err(CommandError::new("the Caddyfile has no site")
            .hint("write `localhost { ... }`, for example"));
    }
    Ok(listening)
}

/// A scheme says it, then the port; a named site has HTTPS unless that is off.
fn is_https(address: &Address, site: &Site, options: &Options) -> bool {
    match address.is_https {
        Some(is_https) => is_https,
        None if address.port == Some(options.http_port) => false,
        None if address.port == Some(options.https_port) || site.tls.is_some() => true,
        None => !address.host.is_empty() && options.auto_https != AutoHttps::Off,
    }
}

impl Listening {
    fn add(
        &mut self,
        site: &Site,
        port: u16,
        tls: bool,
        host: &str,
        index: usize,
    ) -> Result<(), CommandError> {
        for address in addresses(site, &self.default_bind)? {
            let listener = self.listener(SocketAddr::new(address, port), tls)?;
            let binding = Binding {
                listener,
                host: host.to_owned(),
                site: index,
            };
            let is_taken = |other: &&Binding| other.listener == listener && other.host == host;
            match self.bindings.iter().find(is_taken) {
                Some(other) if other.site != index => {
                    let (one, two) = (&self.sites[other.site].place, &site.place);
                    return Err(CommandError::new(format!(
                        "{one} and {two} have the same address"
                    )));
                }
                Some(_) => {}
                None => self.bindings.push(binding),
            }
        }
        Ok(())
    }

    /// Of several that are equal the first; the kernel chooses ports 0 once for all.
    fn listener(&mut self, address: SocketAddr, tls: bool) -> Result<usize, CommandError> {
        let known = self
            .listeners
            .iter()
            .position(|listener| listener.address == address);
        match known {
            Some(known) if self.listeners[known].tls == tls => Ok(known),
            Some(_) if address.port() != 0 => Err(CommandError::new(format!(
                "port {} cannot be one of http and of https",
                address.port()
            ))),
            _ => {
                self.listeners.push(Listener {
                    tls,
                    ..Listener::plain(address)
                });
                Ok(self.listeners.len() - 1)
            }
        }
    }

    /// Plain HTTP for a host that has HTTPS, unless a site is there.
    fn lead_to_https(
        &mut self,
        site: &Site,
        host: &str,
        port: u16,
        http_port: u16,
    ) -> Result<(), CommandError> {
        for address in addresses(site, &self.default_bind)? {
            let listener = self.listener(SocketAddr::new(address, http_port), false)?;
            let is_there = |binding: &Binding| {
                binding.listener == listener && (binding.host == host || binding.host.is_empty())
            };
            if self.bindings.iter().any(is_there) {
                continue;
            }
            self.sites.push(Site {
                routes: vec![howdah_caddyfile::to_https(port)],
                errors: Vec::new(),
                ..site.clone()
            });
            self.bindings.push(Binding {
                listener,
                host: host.to_owned(),
                site: self.sites.len() - 1,
            });
        }
        Ok(())
    }
}

/// Without `bind` all of the machine: the host of a site's address is only what requests ask for.
fn addresses(site: &Site, default: &[String]) -> Result<Vec<IpAddr>, CommandError> {
    let bind = if site.bind.is_empty() {
        default
    } else {
        &site.bind
    };
    if bind.is_empty() {
        // A machine without IPv6 has no socket for both.
        let both = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        return Ok(vec![if both {
            Ipv6Addr::UNSPECIFIED.into()
        } else {
            Ipv4Addr::UNSPECIFIED.into()
        }]);
    }
    bind.iter()
        .map(|name| resolve(name, &site.place.to_string()))
        .collect()
}

fn resolve(name: &str, place: &str) -> Result<IpAddr, CommandError> {
    let name = name.trim_start_matches("tcp/");
    let found = (name, 0).to_socket_addrs().ok();
    let mut found: Vec<IpAddr> = found
        .into_iter()
        .flatten()
        .map(|address| address.ip())
        .collect();
    found.sort_by_key(IpAddr::is_ipv6);
    found.first().copied().ok_or_else(|| {
        CommandError::new(format!("{place}: `{name}` is no address of this machine"))
    })
}

/// `localhost:2019`, `:2019` for all addresses, or `unix//run/admin.sock`, behind which Caddy takes a mode, too.
pub(super) fn admin(address: &str) -> Result<AdminAddress, CommandError> {
    if let Some(path) = address.strip_prefix("unix/") {
        let path = path.split('|').next().unwrap_or_default();
        return Ok(AdminAddress::Unix(path.into()));
    }
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "2019"));
    let port = port.parse().unwrap_or(2019);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let ip = if host.is_empty() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        resolve(host, "admin")?
    };
    Ok(AdminAddress::Tcp(SocketAddr::new(ip, port)))
}
