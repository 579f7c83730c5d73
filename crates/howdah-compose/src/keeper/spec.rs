//! From a container of the stack to what the runtime runs. Pure, but for the paths it is given.

use std::collections::BTreeMap;
use std::path::PathBuf;

use howdah_image::ContainerConfig;
use howdah_runtime::{
    ContainerSpec, Device, Dns, Endpoint, Limits, Mount, Network, Rootfs, Seccomp, Security, Ulimit,
};
use ipnet::Ipv4Net;

use super::paths::StackPaths;
use crate::model::{
    ContainerSection, HostAddress, LimitsSection, MountSource, NetworkMode, SecuritySection,
};
use crate::stack::{Container, NetworkState, Stack};

/// What a container is put together from.
pub(crate) struct Parts<'a> {
    pub(crate) stack: &'a Stack,
    pub(crate) paths: &'a StackPaths,
    pub(crate) container: &'a Container,
    pub(crate) image: &'a ContainerConfig,
    pub(crate) lowers: Vec<PathBuf>,
    /// Secrets and configs: where they are on the host, by their path in the container.
    pub(crate) files: BTreeMap<String, PathBuf>,
}

/// A container that cannot be put together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpecError {
    /// Nothing to run.
    #[error("neither image `{image}` nor service `{service}` has a command")]
    Command {
        /// The image.
        image: String,
        /// The service.
        service: String,
    },
    /// A network it is to join is not there.
    #[error("network `{network}` of service `{service}` does not exist")]
    Network {
        /// The network's key.
        network: String,
        /// The service.
        service: String,
    },
    /// A container whose network it shares is not there.
    #[error("no running container of `{target}`, whose network service `{service}` shares")]
    Peer {
        /// The service or container.
        target: String,
        /// The service.
        service: String,
    },
}

impl Parts<'_> {
    /// Puts it together.
    pub(crate) fn spec(self) -> Result<ContainerSpec, SpecError> {
        let container = self.container;
        let section = &container.plan.service.container;
        let network = self.network()?;
        let gateway = self.joined().next().map(|(_, network)| network.gateway);
        let directory = self.paths.container(&container.id);
        Ok(ContainerSpec {
            id: container.id.clone(),
            args: self.arguments()?,
            env: environment(section, self.image),
            cwd: section
                .working_dir
                .clone()
                .unwrap_or_else(|| self.image.working_dir.clone()),
            user: section
                .user
                .clone()
                .unwrap_or_else(|| self.image.user.clone()),
            groups: section.group_add.clone(),
            terminal: section.tty,
            stdin: section.stdin_open,
            hostname: section.hostname.clone().unwrap_or_default(),
            domainname: section.domainname.clone(),
            mounts: self.mounts(),
            hosts: hosts(section, gateway),
            dns: self.dns(),
            network,
            read_only: section.read_only,
            security: security(&section.security),
            limits: limits(&section.limits),
            sysctls: section.sysctls.clone(),
            devices: section.devices.iter().map(device).collect(),
            init: section.init,
            rootfs: Rootfs {
                lowers: self.lowers,
                upper: directory.join("upper"),
                work: directory.join("work"),
            },
            ..ContainerSpec::default()
        })
    }

    fn arguments(&self) -> Result<Vec<String>, SpecError> {
        let service = &self.container.plan.service;
        let arguments = arguments(&service.container, self.image);
        if arguments.is_empty() {
            let image = self.container.plan.image_name.clone();
            let service = service.name.clone();
            return Err(SpecError::Command { image, service });
        }
        Ok(arguments)
    }

    /// The networks it joins, the one with the default route first.
    fn joined(&self) -> impl Iterator<Item = (&String, &NetworkState)> {
        let mut keys: Vec<&String> = Vec::new();
        if let NetworkMode::Networks(networks) = &self.container.plan.service.container.network {
            keys = networks.keys().collect();
            // A network without a way out cannot give the default route.
            let internal = |key: &String| {
                self.stack
                    .networks
                    .get(key)
                    .is_some_and(|network| network.internal)
            };
            keys.sort_by_key(|key| (internal(key), -networks[*key].priority));
        }
        keys.into_iter()
            .filter_map(|key| Some((key, self.stack.networks.get(key)?)))
    }

    fn network(&self) -> Result<Network, SpecError> {
        let service = &self.container.plan.service;
        let no_peer = |target: &str| SpecError::Peer {
            target: target.to_owned(),
            service: service.name.clone(),
        };
        match &service.container.network {
            NetworkMode::Host => Ok(Network::Host),
            NetworkMode::None => Ok(Network::None),
            NetworkMode::Service(name) => {
                let peer = self
                    .stack
                    .of_service(name)
                    .find(|peer| peer.is_active())
                    .ok_or_else(|| no_peer(name))?;
                Ok(Network::Container(peer.id.clone()))
            }
            NetworkMode::Container(name) => {
                let peer = self
                    .stack
                    .containers
                    .values()
                    .find(|peer| peer.name == *name || peer.id.starts_with(name.as_str()));
                Ok(Network::Container(
                    peer.ok_or_else(|| no_peer(name))?.id.clone(),
                ))
            }
            NetworkMode::Networks(wanted) => {
                if let Some(network) = wanted
                    .keys()
                    .find(|key| !self.stack.networks.contains_key(*key))
                {
                    return Err(SpecError::Network {
                        network: network.clone(),
                        service: service.name.clone(),
                    });
                }
                Ok(Network::Bridged(
                    self.joined()
                        .filter_map(|(key, network)| self.endpoint(key, network))
                        .collect(),
                ))
            }
        }
    }

    fn endpoint(&self, key: &str, network: &NetworkState) -> Option<Endpoint> {
        let address = *self.container.addresses.get(key)?;
        let NetworkMode::Networks(wanted) = &self.container.plan.service.container.network else {
            return None;
        };
        Some(Endpoint {
            bridge: network.bridge.clone(),
            address: Ipv4Net::new(address, network.subnet.prefix_len()).ok()?,
            gateway: (!network.internal).then_some(network.gateway),
            mac: wanted
                .get(key)
                .and_then(|attachment| attachment.mac_address.clone()),
        })
    }

    /// On the stack's networks the keeper answers, at each network's gateway.
    fn dns(&self) -> Dns {
        let section = &self.container.plan.service.container.dns;
        let gateways: Vec<_> = self
            .joined()
            .map(|(_, network)| network.gateway.into())
            .collect();
        let (servers, default_options) = if gateways.is_empty() {
            (section.servers.clone(), vec![])
        } else {
            (gateways, vec!["ndots:0".to_owned()])
        };
        let options = if section.options.is_empty() {
            default_options
        } else {
            section.options.clone()
        };
        Dns {
            servers,
            search: section.search.clone(),
            options,
        }
    }

    fn mounts(&self) -> Vec<Mount> {
        let plan = &self.container.plan;
        let mut mounts: Vec<Mount> = Vec::new();
        for mount in &plan.service.container.mounts {
            let target = PathBuf::from(&mount.target);
            let bind = |source| Mount::Bind {
                source,
                target: target.clone(),
                read_only: mount.read_only,
            };
            match &mount.source {
                MountSource::Bind { path, .. } => mounts.push(bind(path.clone())),
                MountSource::Volume { key, subpath, .. } => {
                    let Some(name) = plan.volumes.get(key) else {
                        continue;
                    };
                    let root = self.paths.volume(name);
                    mounts.push(bind(
                        subpath
                            .as_ref()
                            .map_or(root.clone(), |below| root.join(below)),
                    ));
                }
                MountSource::Tmpfs { size, mode } => {
                    mounts.push(Mount::Tmpfs {
                        target,
                        size_bytes: *size,
                        mode: *mode,
                        read_only: mount.read_only,
                    });
                }
                MountSource::Anonymous { .. } => {}
            }
        }
        for (target, name) in &self.container.anonymous {
            mounts.push(Mount::Bind {
                source: self.paths.volume(name),
                target: PathBuf::from(target),
                read_only: false,
            });
        }
        for (target, source) in &self.files {
            mounts.push(Mount::Bind {
                source: source.clone(),
                target: PathBuf::from(target),
                read_only: true,
            });
        }
        // A mount inside another one comes after it.
        mounts.sort_by_key(|mount| mount.target().components().count());
        mounts
    }
}

/// What is run. Docker's rule: an entrypoint of the service also takes the image's command away.
pub(crate) fn arguments(section: &ContainerSection, image: &ContainerConfig) -> Vec<String> {
    let entrypoint = section.entrypoint.as_ref().or(image.entrypoint.as_ref());
    let command = match (&section.command, &section.entrypoint) {
        (Some(command), _) => Some(command),
        (None, Some(_)) => None,
        (None, None) => image.cmd.as_ref(),
    };
    entrypoint
        .into_iter()
        .chain(command)
        .flatten()
        .cloned()
        .collect()
}

/// The image's variables, then the service's over them.
fn environment(section: &ContainerSection, image: &ContainerConfig) -> Vec<String> {
    let name_of = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
    let own = &section.environment;
    let kept = image
        .env
        .iter()
        .filter(|pair| !own.get(&name_of(pair)).is_some_and(Option::is_some))
        .cloned();
    kept.chain(
        own.iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?))),
    )
    .collect()
}

fn hosts(
    section: &ContainerSection,
    gateway: Option<std::net::Ipv4Addr>,
) -> Vec<(std::net::IpAddr, String)> {
    let resolve = |address: &HostAddress| match address {
        HostAddress::Address(address) => Some(*address),
        // On the host's own network the host is reached over loopback.
        HostAddress::Gateway => Some(gateway.unwrap_or(std::net::Ipv4Addr::LOCALHOST).into()),
    };
    section
        .extra_hosts
        .iter()
        .filter_map(|(name, address)| Some((resolve(address)?, name.clone())))
        .collect()
}

fn security(section: &SecuritySection) -> Security {
    Security {
        privileged: section.privileged,
        cap_add: section.cap_add.clone(),
        cap_drop: section.cap_drop.clone(),
        no_new_privileges: section.no_new_privileges,
        seccomp: if section.seccomp_unconfined {
            Seccomp::Unconfined
        } else {
            Seccomp::Default
        },
    }
}

/// Compose writes -1 for unlimited.
fn limits(section: &LimitsSection) -> Limits {
    let unlimited = |number: i64| u64::try_from(number).unwrap_or(u64::MAX);
    Limits {
        memory_bytes: section.memory.filter(|bytes| *bytes > 0),
        memory_swap_bytes: section
            .memory_swap
            .filter(|bytes| *bytes != 0)
            .map(unlimited),
        cpus: section.cpus.filter(|cpus| *cpus > 0.0),
        pids: section.pids.filter(|count| *count > 0).map(unlimited),
        shm_bytes: section.shm_size,
        ulimits: section
            .ulimits
            .iter()
            .map(|(name, (soft, hard))| Ulimit {
                name: name.clone(),
                soft: unlimited(*soft),
                hard: unlimited(*hard),
            })
            .collect(),
        oom_score_adj: section.oom_score_adj,
    }
}

fn device(device: &crate::model::Device) -> Device {
    Device {
        source: device.source.clone(),
        target: device.target.clone(),
        permissions: device.permissions.clone(),
    }
}

#[cfg(test)]
mod tests;
