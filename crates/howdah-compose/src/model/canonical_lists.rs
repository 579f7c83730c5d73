//! The lists of a service whose items have a short syntax: ports, volumes, devices, secrets, configs, env files, ulimits.

use super::canonical::{Base, edit, items, to_pairs};
use super::fault::{Fault, Findings, Origin};
use super::node::{Map, Node, Value};
use super::ports::{self, Port};

/// Brings all such lists of one service into long form.
pub(crate) fn service_lists(service: &mut Map, path: &str, base: &Base, findings: &mut Findings) {
    edit_items(service, "ports", path, findings, |item, path| {
        match item.as_str() {
            Some(text) => {
                let ports = ports::parse_short(text)
                    .map_err(|error| Fault::at(&item.origin, format!("{path}: {error}")))?;
                Ok(ports
                    .iter()
                    .map(|port| port_node(port, &item.origin))
                    .collect())
            }
            None => Ok(vec![item]),
        }
    });
    edit_items(
        service,
        "volumes",
        path,
        findings,
        |item, path| match item.as_str() {
            Some(text) => volume_node(text, &item.origin, path).map(|node| vec![node]),
            None => Ok(vec![item]),
        },
    );
    for volume in items(service, "volumes") {
        resolve_bind(volume, base);
    }
    edit_items(service, "devices", path, findings, |item, _| {
        Ok(vec![device_node(item)])
    });
    edit_items(service, "env_file", path, findings, |item, _| {
        let origin = item.origin.clone();
        let mut item = match item.as_str() {
            Some(file) => Node::map(
                vec![
                    ("path", Node::text(file, &origin)),
                    ("required", Node::plain(&"true", &origin)),
                ],
                &origin,
            ),
            None => item,
        };
        let file = item.as_map_mut().and_then(|map| map.get_mut("path"));
        if let Some(node) = file
            && let Some(text) = node.as_str()
        {
            *node = Node::text(base.resolve(text).to_string_lossy(), &node.origin);
        }
        Ok(vec![item])
    });
    file_references(service, "secrets", path, findings);
    file_references(service, "configs", path, findings);
    to_pairs(service, "extra_hosts", path, findings);
    limits(service);
}

/// `{nofile: 1024}` becomes `{nofile: {soft: 1024, hard: 1024}}`.
pub(crate) fn limits(section: &mut Map) {
    let limits = section.get_mut("ulimits").and_then(Node::as_map_mut);
    for entry in limits.into_iter().flat_map(|map| &mut map.entries) {
        if let Value::Scalar(_) = entry.node.value {
            let (limit, at) = (entry.node.clone(), entry.node.origin.clone());
            entry.node = Node::map(vec![("soft", limit.clone()), ("hard", limit)], &at);
        }
    }
}

/// `secrets: [token]` becomes `[{source: token}]`.
pub(crate) fn file_references(map: &mut Map, key: &str, path: &str, findings: &mut Findings) {
    edit_items(map, key, path, findings, |item, _| match item.as_str() {
        Some(source) => Ok(vec![Node::map(
            vec![("source", Node::text(source, &item.origin))],
            &item.origin,
        )]),
        None => Ok(vec![item]),
    });
}

/// Changes each item of a list to any number of items.
fn edit_items(
    map: &mut Map,
    key: &str,
    path: &str,
    findings: &mut Findings,
    change: impl Fn(Node, &str) -> Result<Vec<Node>, Fault>,
) {
    let mut faults = Vec::new();
    edit(map, key, path, findings, |node, path| {
        let Value::List(items) = &mut node.value else {
            return Ok(());
        };
        let mut changed = Vec::new();
        for (index, item) in std::mem::take(items).into_iter().enumerate() {
            match change(item, &format!("{path}[{index}]")) {
                Ok(nodes) => changed.extend(nodes),
                Err(fault) => faults.push(fault),
            }
        }
        *items = changed;
        Ok(())
    });
    for fault in faults {
        findings.fault(fault);
    }
}

fn port_node(port: &Port, at: &Origin) -> Node {
    let mut entries = vec![("mode", Node::text("ingress", at))];
    if let Some(address) = port.host_ip {
        entries.push(("host_ip", Node::text(address.to_string(), at)));
    }
    entries.push(("target", Node::plain(&port.target, at)));
    if let Some((first, last)) = port.published {
        let published = if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        };
        entries.push(("published", Node::text(published, at)));
    }
    entries.push(("protocol", Node::text(port.protocol.to_string(), at)));
    Node::map(entries, at)
}

/// `[SOURCE:]TARGET[:MODE]`, see
/// <https://github.com/compose-spec/compose-spec/blob/main/05-services.md#short-syntax-6>.
fn volume_node(text: &str, at: &Origin, path: &str) -> Result<Node, Fault> {
    let fault = |message: String| Fault::at(at, format!("{path}: {message}"));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode) = match parts.as_slice() {
        [target] => (None, *target, ""),
        [source, target] => (Some(*source), *target, ""),
        [source, target, mode] => (Some(*source), *target, *mode),
        _ => {
            return Err(fault(format!(
                "`{text}` has too many colons; write SOURCE:TARGET:MODE"
            )));
        }
    };
    if target.is_empty() || source == Some("") {
        return Err(fault(format!(
            "`{text}` has an empty part; write SOURCE:TARGET:MODE"
        )));
    }
    let is_bind = source.is_some_and(|source| source.starts_with(['.', '/', '~']));
    let mut entries = vec![(
        "type",
        Node::text(if is_bind { "bind" } else { "volume" }, at),
    )];
    if let Some(source) = source {
        entries.push(("source", Node::text(source, at)));
    }
    entries.push(("target", Node::text(target, at)));
    let mut options = Vec::new();
    for mode in mode.split(',').filter(|mode| !mode.is_empty()) {
        match mode {
            "ro" => entries.push(("read_only", Node::plain(&"true", at))),
            "nocopy" => options.push(("nocopy", Node::plain(&"true", at))),
            "shared" | "rshared" | "slave" | "rslave" | "private" | "rprivate" => {
                options.push(("propagation", Node::text(mode, at)));
            }
            // Labels for SELinux and hints for Docker Desktop: nothing to do on this kernel.
            "rw" | "z" | "Z" | "cached" | "delegated" | "consistent" => {}
            other => return Err(fault(format!("unknown mode `{other}` in `{text}`"))),
        }
    }
    if is_bind {
        options.push(("create_host_path", Node::plain(&"true", at)));
        entries.push(("bind", Node::map(options, at)));
    } else {
        entries.push(("volume", Node::map(options, at)));
    }
    Ok(Node::map(entries, at))
}

fn resolve_bind(volume: &mut Node, base: &Base) {
    let Some(map) = volume.as_map_mut() else {
        return;
    };
    if map.get("type").and_then(Node::as_str) == Some("bind")
        && let Some(source) = map.get_mut("source")
        && let Some(text) = source.as_str()
    {
        *source = Node::text(base.resolve(text).to_string_lossy(), &source.origin);
    }
}

/// `SOURCE[:TARGET[:PERMISSIONS]]`.
fn device_node(item: Node) -> Node {
    let Some(text) = item.as_str() else {
        return item;
    };
    let parts: Vec<&str> = text.split(':').collect();
    let at = &item.origin;
    let source = parts.first().copied().unwrap_or_default();
    let target = parts.get(1).copied().unwrap_or(source);
    let permissions = parts.get(2).copied().unwrap_or("rwm");
    let entries = [
        ("source", source),
        ("target", target),
        ("permissions", permissions),
    ];
    Node::map(
        entries
            .into_iter()
            .map(|(key, value)| (key, Node::text(value, at)))
            .collect(),
        at,
    )
}
