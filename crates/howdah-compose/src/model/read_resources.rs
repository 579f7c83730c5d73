//! The top-level `networks:`, `volumes:`, `secrets:` and `configs:`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::interpolate::Variables;
use super::project::{FileDefinition, FileSource, NetworkDefinition, VolumeDefinition};
use super::section::Section;

/// The name outside the project, and whether the resource is another's.
fn name(key: &str, section: &Section<'_>, project: &str) -> (String, bool) {
    let mut explicit = section.string("name");
    let external = match section.get("external") {
        // `external: {name: x}` is the old way to write it.
        Some(node) if node.as_map().is_some() => {
            let old = section
                .section("external")
                .and_then(|old| old.string("name"));
            explicit = explicit.or(old);
            true
        }
        _ => section.flag("external"),
    };
    let default = if external {
        key.to_owned()
    } else {
        format!("{project}_{key}")
    };
    (explicit.unwrap_or(default), external)
}

/// Reads `networks:`.
pub(crate) fn networks(root: &Section<'_>, project: &str) -> BTreeMap<String, NetworkDefinition> {
    let mut all = BTreeMap::new();
    for (entry, section) in root.named("networks") {
        let (name, external) = name(&entry.key, &section, project);
        let mut network = NetworkDefinition {
            name,
            external,
            internal: section.flag("internal"),
            driver: section.string("driver"),
            labels: section.labels("labels"),
            ..NetworkDefinition::default()
        };
        if let Some(driver) = network
            .driver
            .as_deref()
            .filter(|driver| !matches!(*driver, "bridge" | "default"))
        {
            section.fault(
                section.origin(),
                "driver",
                &format!("`{driver}` is not supported; bridge is"),
            );
        }
        if let Some(ipam) = section.section("ipam") {
            ipam.string("driver");
            for config in ipam.sections("config") {
                // IPv6 subnets are read over: only IPv4 is routed here.
                let subnet = config.string("subnet").unwrap_or_default();
                let gateway = config.string("gateway");
                if !subnet.contains(':') {
                    network.subnet = config
                        .parsed("subnet", "a subnet such as 172.20.0.0/16")
                        .or(network.subnet);
                    let gateway = gateway.and_then(|_| config.parsed("gateway", "an IPv4 address"));
                    network.gateway = gateway.or(network.gateway);
                }
                config.ignored(&["ip_range", "aux_addresses"]);
                config.finish();
            }
            ipam.ignored(&["options"]);
            ipam.finish();
        }
        section.ignored(&["driver_opts", "attachable", "enable_ipv4", "enable_ipv6"]);
        section.finish();
        all.insert(entry.key.clone(), network);
    }
    all
}

/// Reads `volumes:`.
pub(crate) fn volumes(root: &Section<'_>, project: &str) -> BTreeMap<String, VolumeDefinition> {
    let mut all = BTreeMap::new();
    for (entry, section) in root.named("volumes") {
        let (name, external) = name(&entry.key, &section, project);
        let volume = VolumeDefinition {
            name,
            external,
            driver: section.string("driver"),
            labels: section.labels("labels"),
        };
        if let Some(driver) = volume.driver.as_deref().filter(|driver| *driver != "local") {
            section.fault(
                section.origin(),
                "driver",
                &format!("`{driver}` is not supported; local is"),
            );
        }
        section.ignored(&["driver_opts"]);
        section.finish();
        all.insert(entry.key.clone(), volume);
    }
    all
}

/// Reads `secrets:` or `configs:`.
pub(crate) fn files(
    root: &Section<'_>,
    kind: &'static str,
    project: &str,
    variables: &Variables,
) -> BTreeMap<String, FileDefinition> {
    let mut all = BTreeMap::new();
    for (entry, section) in root.named(kind) {
        let (name, external) = name(&entry.key, &section, project);
        let mut sources = Vec::new();
        sources.extend(
            section
                .string("file")
                .map(|path| FileSource::File(PathBuf::from(path))),
        );
        sources.extend(section.string("environment").map(|variable| {
            let value = variables.get(&variable).cloned();
            FileSource::Environment { variable, value }
        }));
        sources.extend(section.string("content").map(FileSource::Content));
        sources.extend(external.then_some(FileSource::External));
        if sources.len() != 1 {
            section.fault(
                section.origin(),
                "file",
                "exactly one of `file`, `environment`, `content` and `external` is needed",
            );
        }
        section.labels("labels");
        section.ignored(&["driver", "driver_opts", "template_driver"]);
        section.finish();
        if let Some(source) = sources.pop() {
            all.insert(entry.key.clone(), FileDefinition { name, source });
        }
    }
    all
}
