//! The part of a service that says what one container is.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::dotenv;
use super::fault::{Fault, Origin};
use super::node::{Node, Value};
use super::ports::{self, Port};
use super::project::HostAddress;
use super::read_mounts::{file_mounts, mounts};
use super::read_service::Lookup;
use super::section::Section;
use super::service::{
    ContainerSection, Device, DnsSection, HealthcheckSection, LimitsSection, NetworkAttachment,
    NetworkMode, SecuritySection,
};
use super::units;

/// The largest environment or label file that is read.
const LARGEST_FILE: u64 = 4 << 20;

/// Reads what a container of the service is.
pub(crate) fn container(section: &Section<'_>, lookup: &Lookup<'_>) -> ContainerSection {
    ContainerSection {
        container_name: section.string("container_name"),
        command: section.optional_strings("command"),
        entrypoint: section.optional_strings("entrypoint"),
        environment: environment(section, lookup),
        working_dir: section.string("working_dir"),
        user: section.string("user"),
        group_add: section.strings("group_add"),
        hostname: section.string("hostname"),
        domainname: section.string("domainname"),
        labels: labels(section, lookup),
        ports: ports(section),
        mounts: mounts(section),
        secrets: file_mounts(section, "secrets"),
        configs: file_mounts(section, "configs"),
        network: network(section),
        extra_hosts: extra_hosts(section),
        dns: DnsSection {
            servers: addresses(section, "dns"),
            search: section.strings("dns_search"),
            options: section.strings("dns_opt"),
        },
        healthcheck: section.section("healthcheck").map(healthcheck),
        security: security(section),
        limits: limits(section),
        sysctls: section.labels("sysctls"),
        devices: devices(section),
        tty: section.flag("tty"),
        stdin_open: section.flag("stdin_open"),
        init: section.flag("init"),
        read_only: section.flag("read_only"),
    }
}

/// Files first, in order, then `environment:`; a name without a value takes the project's.
fn environment(section: &Section<'_>, lookup: &Lookup<'_>) -> BTreeMap<String, Option<String>> {
    let mut all = BTreeMap::new();
    for item in section.sections("env_file") {
        let required = item.boolean("required").unwrap_or(true);
        let is_raw = item.string("format").as_deref() == Some("raw");
        if let Some(path) = item.string("path") {
            let variables = if is_raw { None } else { Some(lookup) };
            all.extend(read_env_file(&item, Path::new(&path), required, variables));
        }
        item.finish();
    }
    all.extend(section.pairs("environment"));
    for (name, value) in &mut all {
        if value.is_none() {
            *value = lookup.variables.get(name).cloned();
        }
    }
    all
}

fn labels(section: &Section<'_>, lookup: &Lookup<'_>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for path in section.strings("label_file") {
        let pairs = read_env_file(section, Path::new(&path), true, Some(lookup));
        all.extend(
            pairs
                .into_iter()
                .map(|(name, value)| (name, value.unwrap_or_default())),
        );
    }
    all.extend(section.labels("labels"));
    all
}

fn read_env_file(
    section: &Section<'_>,
    path: &Path,
    required: bool,
    lookup: Option<&Lookup<'_>>,
) -> Vec<(String, Option<String>)> {
    let fault = |message: String| {
        section
            .findings()
            .borrow_mut()
            .fault(Fault::at(section.origin(), message));
    };
    let text = match read_limited(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => {
            return Vec::new();
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let path = path.display();
            fault(format!("{}: there is no file `{path}`", section.path()));
            return Vec::new();
        }
        Err(error) => {
            fault(format!("{}: {error}", section.path()));
            return Vec::new();
        }
    };
    let Some(lookup) = lookup else {
        return raw_pairs(&text);
    };
    dotenv::parse(&text, lookup.variables).unwrap_or_else(|error| {
        let origin = Origin {
            file: path.into(),
            line: error.line(),
            column: 1,
        };
        section
            .findings()
            .borrow_mut()
            .fault(Fault::at(&origin, error.to_string()));
        Vec::new()
    })
}

fn read_limited(path: &Path) -> std::io::Result<String> {
    let size = fs_err::metadata(path)?.len();
    if size > LARGEST_FILE {
        let message = format!("`{}` is larger than {LARGEST_FILE} bytes", path.display());
        return Err(std::io::Error::new(
            std::io::ErrorKind::FileTooLarge,
            message,
        ));
    }
    fs_err::read_to_string(path)
}

/// `format: raw`: no quotes, no comments behind values, no variables.
fn raw_pairs(text: &str) -> Vec<(String, Option<String>)> {
    let lines = text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|line| match line.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (line.to_owned(), None),
        })
        .collect()
}

fn ports(section: &Section<'_>) -> Vec<Port> {
    let mut all = Vec::new();
    for item in section.sections("ports") {
        let published = item.with("published", "a port or a range", |text| {
            ports::parse_range(text).ok()
        });
        let port = Port {
            target: item.parsed("target", "a port").unwrap_or_default(),
            // Zero asks for any free port, like leaving it out.
            published: published.filter(|range| *range != (0, 0)),
            host_ip: item
                .with("host_ip", "an address", |text| {
                    ports::parse_address(text).ok()
                })
                .flatten(),
            protocol: item
                .with("protocol", "tcp or udp", |text| {
                    ports::parse_protocol(text).ok()
                })
                .unwrap_or(ports::Protocol::Tcp),
        };
        if port.target == 0 && !item.has("target") {
            item.fault(item.origin(), "target", "is missing");
        }
        for key in ["mode", "name", "app_protocol"] {
            item.string(key);
        }
        item.finish();
        all.push(port);
    }
    all
}

fn network(section: &Section<'_>) -> NetworkMode {
    if let Some(mode) = section.string("network_mode") {
        if section.has("networks") {
            section.fault(
                section.origin(),
                "network_mode",
                "cannot be given beside `networks`",
            );
        }
        return match mode.split_once(':') {
            None if mode == "host" => NetworkMode::Host,
            None if mode == "none" => NetworkMode::None,
            Some(("service", name)) => NetworkMode::Service(name.to_owned()),
            Some(("container", name)) => NetworkMode::Container(name.to_owned()),
            _ => {
                let known = "must be host, none, service:NAME or container:NAME";
                section.fault(
                    section.origin(),
                    "network_mode",
                    &format!("{known}, not `{mode}`"),
                );
                NetworkMode::None
            }
        };
    }
    let mut networks = BTreeMap::new();
    for (entry, item) in section.named("networks") {
        let attachment = NetworkAttachment {
            aliases: item.strings("aliases"),
            address: item.parsed("ipv4_address", "an IPv4 address"),
            mac_address: item.string("mac_address"),
            priority: item
                .parsed("gw_priority", "a number")
                .or(item.parsed("priority", "a number"))
                .unwrap_or_default(),
        };
        item.ignored(&[
            "ipv6_address",
            "link_local_ips",
            "driver_opts",
            "interface_name",
        ]);
        item.finish();
        networks.insert(entry.key.clone(), attachment);
    }
    if networks.is_empty() {
        networks.insert("default".to_owned(), NetworkAttachment::default());
    }
    NetworkMode::Networks(networks)
}

fn extra_hosts(section: &Section<'_>) -> Vec<(String, HostAddress)> {
    let mut all = Vec::new();
    let Some(hosts) = section.section("extra_hosts") else {
        return all;
    };
    for entry in hosts.entries() {
        let values: Vec<&Node> = match &entry.node.value {
            Value::List(items) => items.iter().collect(),
            _ => vec![&entry.node],
        };
        for value in values {
            let text = value.as_str().unwrap_or_default().trim();
            let address = match ports::parse_address(text) {
                _ if text == "host-gateway" => Some(HostAddress::Gateway),
                Ok(Some(address)) => Some(HostAddress::Address(address)),
                _ => None,
            };
            match address {
                Some(address) => all.push((entry.key.clone(), address)),
                None => hosts.fault(
                    &value.origin,
                    &entry.key,
                    &format!("`{text}` is not an address"),
                ),
            }
        }
    }
    all
}

fn addresses(section: &Section<'_>, key: &'static str) -> Vec<IpAddr> {
    let items = section.list(key);
    items
        .iter()
        .filter_map(|item| {
            let address = item.as_str().and_then(|text| text.parse().ok());
            if address.is_none() {
                section.fault(&item.origin, key, "must be a list of addresses");
            }
            address
        })
        .collect()
}

fn healthcheck(section: Section<'_>) -> HealthcheckSection {
    let check = HealthcheckSection {
        test: section.optional_strings("test"),
        disable: section.flag("disable"),
        interval: section.duration("interval"),
        timeout: section.duration("timeout"),
        retries: section.parsed("retries", "a number"),
        start_period: section.duration("start_period"),
        start_interval: section.duration("start_interval"),
    };
    let first = check
        .test
        .as_ref()
        .map(|test| test.first().map(String::as_str));
    if let Some(first) = first
        && !matches!(first, Some("NONE" | "CMD" | "CMD-SHELL"))
    {
        section.fault(
            section.origin(),
            "test",
            "must be a string, or a list that starts with NONE, CMD or CMD-SHELL",
        );
    }
    section.finish();
    check
}

fn security(section: &Section<'_>) -> SecuritySection {
    let mut security = SecuritySection {
        privileged: section.flag("privileged"),
        cap_add: section.strings("cap_add"),
        cap_drop: section.strings("cap_drop"),
        ..SecuritySection::default()
    };
    for item in section.list("security_opt") {
        let option = item.as_str().unwrap_or_default().replacen('=', ":", 1);
        match option.as_str() {
            "no-new-privileges" | "no-new-privileges:true" => security.no_new_privileges = true,
            "no-new-privileges:false" => {}
            "seccomp:unconfined" => security.seccomp_unconfined = true,
            other => {
                let message = format!(
                    "{}: `{other}` is not supported yet, ignored",
                    section.below("security_opt")
                );
                section
                    .findings()
                    .borrow_mut()
                    .warn(Fault::at(&item.origin, message));
            }
        }
    }
    security
}

/// `ulimits:` by name: soft and hard.
pub(super) fn ulimits(section: &Section<'_>) -> BTreeMap<String, (i64, i64)> {
    let limit = |item: &Section<'_>| {
        let soft = item.parsed("soft", "a number").unwrap_or(-1);
        (soft, item.parsed("hard", "a number").unwrap_or(soft))
    };
    let limits = section.named("ulimits").into_iter().map(|(entry, item)| {
        let limit = limit(&item);
        item.finish();
        (entry.key.clone(), limit)
    });
    limits.collect()
}

fn limits(section: &Section<'_>) -> LimitsSection {
    LimitsSection {
        memory: section.bytes("mem_limit"),
        memory_swap: section.with(
            "memswap_limit",
            "a size such as 64m, or -1",
            |text| match text {
                "-1" => Some(-1),
                _ => units::bytes(text).and_then(|size| i64::try_from(size).ok()),
            },
        ),
        cpus: section.parsed("cpus", "a number of processors"),
        pids: section.parsed("pids_limit", "a number"),
        shm_size: section.bytes("shm_size"),
        ulimits: ulimits(section),
        oom_score_adj: section.parsed("oom_score_adj", "a number"),
    }
}

fn devices(section: &Section<'_>) -> Vec<Device> {
    let mut all = Vec::new();
    for item in section.sections("devices") {
        let source = item.string("source").unwrap_or_default();
        all.push(Device {
            target: PathBuf::from(item.string("target").unwrap_or_else(|| source.clone())),
            permissions: item
                .string("permissions")
                .unwrap_or_else(|| "rwm".to_owned()),
            source: PathBuf::from(source),
        });
        item.finish();
    }
    all
}
