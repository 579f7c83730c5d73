//! How to speak to which registry, from the machine's configuration: Docker's `daemon.json` and `certs.d`
//! (docs.docker.com/reference/cli/dockerd, docs.docker.com/engine/security/certificates), and a `registries.toml` with the
//! `[registry."host"]` tables of `buildkitd.toml` (docs.docker.com/build/buildkit/toml-configuration).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde::Deserialize;

use super::RegistryError;
use super::network::{Network, is_loopback, name_of};
use super::transport::authority;

/// The name of Docker Hub in image names, and the host that serves its images.
pub(super) const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";

/// The files that say how to speak to registries. Those that do not exist say nothing.
#[derive(Debug, Clone, Default)]
pub struct ConfigFiles {
    /// Docker's `daemon.json`: `registry-mirrors` and `insecure-registries` are read.
    pub docker_daemon: Vec<PathBuf>,
    /// Directories like `/etc/docker/certs.d`, with `<host>/*.crt`, `*.cert` and `*.key`.
    pub certificates: Vec<PathBuf>,
    /// Files like `/etc/howdah/registries.toml`; what a later one says of a registry replaces what an earlier one said.
    pub registries: Vec<PathBuf>,
}

/// Settings of all hosts.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    settings: BTreeMap<String, HostSettings>,
    insecure_networks: Vec<Network>,
    certificates: Vec<PathBuf>,
}

/// One registry's table; also what is found in `certs.d`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct HostSettings {
    /// Asked first when an image is pulled: hosts, with an optional scheme and path.
    pub(super) mirrors: Vec<String>,
    /// Plain HTTP, and nothing else.
    pub(super) http: bool,
    /// A certificate is not checked; plain HTTP is spoken where no TLS is.
    pub(super) insecure: bool,
    /// PEM files with authorities that are trusted besides the system's.
    #[serde(rename = "ca")]
    pub(super) authorities: Vec<PathBuf>,
    #[serde(rename = "keypair", deserialize_with = "first")]
    pub(super) key_pair: Option<KeyPair>,
}

/// What this client proves itself with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyPair {
    pub(super) key: PathBuf,
    #[serde(rename = "cert")]
    pub(super) certificate: PathBuf,
}

/// `BuildKit` has a list of key pairs; TLS can use one.
fn first<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<KeyPair>, D::Error> {
    let pairs = Vec::<KeyPair>::deserialize(deserializer)?;
    Ok(pairs.into_iter().next())
}

impl HostSettings {
    /// Whether a certificate of this host goes unchecked. Docker trusts this machine's own registries.
    pub(super) fn is_insecure(&self, host: &str) -> bool {
        self.insecure || (is_loopback(host) && self.authorities.is_empty())
    }

    /// The schemes to try, in this order.
    fn schemes(&self, host: &str) -> &'static [&'static str] {
        if self.http {
            &["http"]
        } else if is_loopback(host) && self.authorities.is_empty() {
            // Plain HTTP is what everybody has there; a server that speaks only TLS says so at once.
            &["http", "https"]
        } else if self.insecure {
            &["https", "http"]
        } else {
            &["https"]
        }
    }
}

/// A place where a registry's images can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// Host and port.
    pub(super) host: String,
    /// Addresses to try, in this order, each ending in `/v2/`.
    pub(super) bases: Vec<String>,
    /// What the repository's path gets in front, empty or ending in a slash.
    pub(super) prefix: String,
    pub(super) is_mirror: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct DockerDaemon {
    registry_mirrors: Vec<String>,
    insecure_registries: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Registries {
    registry: BTreeMap<String, HostSettings>,
}

impl Hosts {
    pub(super) fn load(files: &ConfigFiles) -> Result<Self, RegistryError> {
        let mut hosts = Self {
            certificates: files.certificates.clone(),
            ..Self::default()
        };
        for path in &files.docker_daemon {
            let parse = |text: &str| serde_json::from_str(text).map_err(io::Error::from);
            if let Some(daemon) = read(path, parse)? {
                hosts.add_docker(daemon);
            }
        }
        for path in &files.registries {
            let parse = |text: &str| toml::from_str(text).map_err(io::Error::other);
            let registries: Option<Registries> = read(path, parse)?;
            hosts
                .settings
                .extend(registries.into_iter().flat_map(|file| file.registry));
        }
        Ok(hosts)
    }

    fn add_docker(&mut self, daemon: DockerDaemon) {
        // Docker's mirrors are Docker Hub's.
        let hub = self.settings.entry(DOCKER_HUB.to_owned()).or_default();
        hub.mirrors.extend(daemon.registry_mirrors);
        for name in daemon.insecure_registries {
            match Network::parse(&name) {
                Some(network) => self.insecure_networks.push(network),
                None => self.settings.entry(name).or_default().insecure = true,
            }
        }
    }

    /// What is said of a host: by its name and port, by its name alone, by its network, and in `certs.d`.
    pub(super) fn settings(&self, host: &str) -> Result<HostSettings, RegistryError> {
        let named = if host == DOCKER_HUB_HOST {
            DOCKER_HUB
        } else {
            host
        };
        let mut settings = self
            .settings
            .get(named)
            .or_else(|| self.settings.get(name_of(named)))
            .cloned()
            .unwrap_or_default();
        settings.insecure |= self.is_in_insecure_network(host);
        for directory in &self.certificates {
            add_certificates(&directory.join(named), &mut settings)?;
        }
        Ok(settings)
    }

    /// Whether credentials may be sent to an address: by TLS, or in the clear where the host's settings allow it.
    pub(super) fn may_see(&self, address: &Url) -> Result<bool, RegistryError> {
        let host = authority(address);
        let clear = self.settings(&host)?.schemes(&host).contains(&"http");
        Ok(clear || address.scheme() == "https")
    }

    /// Where to look for a registry's images: at its mirrors, and last at the registry itself.
    pub(super) fn endpoints(&self, registry: &str) -> Result<Vec<Endpoint>, RegistryError> {
        let mirrors = self.settings(registry)?.mirrors;
        let mirrors = mirrors.iter().map(|mirror| self.mirror(mirror));
        mirrors.chain([self.origin(registry)]).collect()
    }

    /// The registry itself.
    pub(super) fn origin(&self, registry: &str) -> Result<Endpoint, RegistryError> {
        let host = if registry == DOCKER_HUB {
            DOCKER_HUB_HOST
        } else {
            registry
        };
        self.endpoint(host, None, "")
    }

    fn mirror(&self, text: &str) -> Result<Endpoint, RegistryError> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text),
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let mut endpoint = self.endpoint(host, scheme, path.trim_matches('/'))?;
        endpoint.is_mirror = true;
        Ok(endpoint)
    }

    fn endpoint(
        &self,
        host: &str,
        scheme: Option<&str>,
        path: &str,
    ) -> Result<Endpoint, RegistryError> {
        let settings = self.settings(host)?;
        let base = |scheme: &str| format!("{scheme}://{host}/v2/");
        let bases = match scheme {
            Some(scheme) => vec![base(scheme)],
            None => settings
                .schemes(host)
                .iter()
                .map(|scheme| base(scheme))
                .collect(),
        };
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        Ok(Endpoint {
            host: host.to_owned(),
            bases,
            prefix,
            is_mirror: false,
        })
    }

    fn is_in_insecure_network(&self, host: &str) -> bool {
        let address = name_of(host).trim_matches(['[', ']']).parse();
        address.is_ok_and(|address| {
            let mut networks = self.insecure_networks.iter();
            networks.any(|network| network.contains(address))
        })
    }
}

fn read<T>(
    path: &Path,
    parse: impl FnOnce(&str) -> io::Result<T>,
) -> Result<Option<T>, RegistryError> {
    let text = match fs_err::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other,
    };
    let parsed = text.and_then(|text| parse(&text));
    parsed.map(Some).map_err(|source| RegistryError::Config {
        path: path.to_owned(),
        source,
    })
}

/// Docker's rules for a directory of `certs.d`: `*.crt` are authorities, `NAME.cert` with `NAME.key` prove who we are.
fn add_certificates(directory: &Path, settings: &mut HostSettings) -> Result<(), RegistryError> {
    let Ok(entries) = fs_err::read_dir(directory) else {
        return Ok(());
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => settings.authorities.push(path),
            Some("cert") => {
                let key = path.with_extension("key");
                if !key.is_file() {
                    let missing = io::Error::from(io::ErrorKind::NotFound);
                    return Err(RegistryError::certificate(&key, missing.into()));
                }
                settings.key_pair = Some(KeyPair {
                    key,
                    certificate: path,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bases(hosts: &Hosts, registry: &str) -> Vec<String> {
        let endpoints = hosts.endpoints(registry).unwrap();
        let full = |endpoint: Endpoint| {
            let prefix = endpoint.prefix;
            endpoint
                .bases
                .into_iter()
                .map(move |base| format!("{base}{prefix}"))
        };
        endpoints.into_iter().flat_map(full).collect()
    }

    fn load(daemon: &str, registries: &str) -> Result<Hosts, RegistryError> {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs_err::write(&path, text).unwrap();
            vec![path]
        };
        Hosts::load(&ConfigFiles {
            docker_daemon: file("daemon.json", daemon),
            registries: file("registries.toml", registries),
            certificates: Vec::new(),
        })
    }

    #[test]
    fn only_the_machine_itself_is_spoken_to_in_the_clear() {
        let hosts = Hosts::default();
        for registry in [
            "localhost",
            "localhost:5000",
            "127.0.0.1:5000",
            "127.3.2.1",
            "[::1]:5000",
        ] {
            assert!(is_loopback(registry), "{registry}");
            assert!(bases(&hosts, registry)[0].starts_with("http:"));
        }
        for registry in [
            "docker.io",
            "127.0.0.1.example.com",
            "localhost.example.com:5000",
            "[::2]:5000",
            "10.0.0.1",
        ] {
            assert!(!is_loopback(registry), "{registry}");
            assert!(
                bases(&hosts, registry)
                    .iter()
                    .all(|base| base.starts_with("https:"))
            );
        }
        assert_eq!(
            bases(&hosts, "docker.io"),
            ["https://registry-1.docker.io/v2/"]
        );
    }

    #[test]
    fn docker_and_buildkit_tables_are_read() {
        let hosts = load(
            r#"{"registry-mirrors":["https://mirror.lan"],"insecure-registries":["old.lan:5000","10.1.0.0/16"],"debug":true}"#,
            "[registry.'ghcr.io']\nmirrors = ['cache.lan:5000/ghcr']\n[registry.'cache.lan:5000']\nhttp = true\n",
        )
        .unwrap();
        assert_eq!(
            bases(&hosts, "docker.io"),
            ["https://mirror.lan/v2/", "https://registry-1.docker.io/v2/"]
        );
        assert_eq!(
            hosts.origin("docker.io").unwrap().bases,
            ["https://registry-1.docker.io/v2/"]
        );
        assert_eq!(
            bases(&hosts, "ghcr.io"),
            ["http://cache.lan:5000/v2/ghcr/", "https://ghcr.io/v2/"]
        );
        for insecure in ["old.lan:5000", "10.1.2.3:5000", "10.1.2.3"] {
            assert_eq!(bases(&hosts, insecure).len(), 2, "{insecure}");
        }
        assert_eq!(bases(&hosts, "10.2.0.1"), ["https://10.2.0.1/v2/"]);
    }

    #[test]
    fn secrets_are_not_sent_in_the_clear() {
        let hosts = load("{}", "[registry.'open.lan']\nhttp = true\n").unwrap();
        let may_see = |address: &str| hosts.may_see(&address.parse().unwrap()).unwrap();
        assert!(may_see("https://tokens.example/t") && may_see("http://open.lan/t"));
        assert!(may_see("http://127.0.0.1:9/t") && !may_see("http://tokens.example/t"));
    }

    #[test]
    fn faults_name_the_file() {
        for (daemon, registries) in [("{", ""), ("{}", "[registry.a]\nmirror = ['b']")] {
            let error = load(daemon, registries).unwrap_err();
            assert!(matches!(error, RegistryError::Config { .. }), "{error:?}");
        }
    }

    #[test]
    fn certificates_are_found_by_host_and_port() {
        let directory = tempfile::tempdir().unwrap();
        let host = directory.path().join("reg.lan:5000");
        fs_err::create_dir(&host).unwrap();
        for name in ["ca.crt", "client.cert", "client.key"] {
            fs_err::write(host.join(name), "").unwrap();
        }
        let hosts = Hosts::load(&ConfigFiles {
            certificates: vec![directory.path().to_owned()],
            ..ConfigFiles::default()
        })
        .unwrap();
        let settings = hosts.settings("reg.lan:5000").unwrap();
        assert_eq!(settings.authorities, [host.join("ca.crt")]);
        assert_eq!(settings.key_pair.unwrap().key, host.join("client.key"));
        assert_eq!(hosts.settings("reg.lan").unwrap(), HostSettings::default());
        fs_err::remove_file(host.join("client.key")).unwrap();
        assert!(hosts.settings("reg.lan:5000").is_err());
    }
}
