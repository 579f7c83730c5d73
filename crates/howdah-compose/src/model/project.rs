//! The resolved project: what is left when files are merged, variables replaced and every reference checked.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use super::service::Service;

/// A Compose application model, ready to be built and run.
///
/// See <https://github.com/compose-spec/compose-spec/blob/main/spec.md>.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// The normalised project name: prefix of every container, network and volume.
    pub name: String,
    /// The directory relative paths are resolved against.
    pub directory: PathBuf,
    /// The files the model was read from, in merge order.
    pub files: Vec<PathBuf>,
    /// The services that are active under the chosen profiles.
    pub services: BTreeMap<String, Service>,
    /// The services that no active profile selects.
    pub disabled: BTreeMap<String, Service>,
    /// Networks by their key in the file; only those an active service uses.
    pub networks: BTreeMap<String, NetworkDefinition>,
    /// Volumes by their key in the file.
    pub volumes: BTreeMap<String, VolumeDefinition>,
    /// Secrets by their key in the file.
    pub secrets: BTreeMap<String, FileDefinition>,
    /// Configs by their key in the file.
    pub configs: BTreeMap<String, FileDefinition>,
}

impl Project {
    /// The image a service runs: its `image:`, else `<project>-<service>`.
    pub fn image_name(&self, service: &Service) -> String {
        service
            .image
            .clone()
            .unwrap_or_else(|| format!("{}-{}", self.name, service.name))
    }

    /// The active services that have a `build:` section, by name.
    pub fn buildable(&self) -> impl Iterator<Item = &Service> {
        self.services
            .values()
            .filter(|service| service.build.is_some())
    }
}

/// One entry of the top-level `networks:`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NetworkDefinition {
    /// The network's name outside the project: `name:`, else `<project>_<key>`.
    pub name: String,
    /// The network exists already; it is neither created nor removed.
    pub external: bool,
    /// No way out of the network.
    pub internal: bool,
    /// `driver:`; only `bridge` can be run.
    pub driver: Option<String>,
    /// The subnet asked for in `ipam:`.
    pub subnet: Option<Ipv4Net>,
    /// The gateway asked for in `ipam:`.
    pub gateway: Option<Ipv4Addr>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// One entry of the top-level `volumes:`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VolumeDefinition {
    /// The volume's name outside the project: `name:`, else `<project>_<key>`.
    pub name: String,
    /// The volume exists already; it is neither created nor removed.
    pub external: bool,
    /// `driver:`; only `local` can be run.
    pub driver: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// One entry of the top-level `secrets:` or `configs:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDefinition {
    /// The name outside the project.
    pub name: String,
    /// Where the content comes from.
    pub source: FileSource,
}

/// Where the content of a secret or config comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileSource {
    /// A file or directory of the host.
    File(PathBuf),
    /// The value of an environment variable, read when the model was loaded.
    Environment {
        /// The variable's name.
        variable: String,
        /// Its value; none when it is not set.
        value: Option<String>,
    },
    /// Text written in the Compose file.
    Content(String),
    /// Kept by something else; it cannot be run here.
    External,
}

/// An address beside a name, or the host's gateway, in `extra_hosts:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostAddress {
    /// A literal address.
    Address(IpAddr),
    /// `host-gateway`: the address under which a container reaches the host.
    Gateway,
}
