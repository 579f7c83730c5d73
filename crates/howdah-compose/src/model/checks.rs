//! References between the parts of a file: everything that is named must be defined, and nothing may wait for itself.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::fault::{Fault, Findings, Origin, nearest};
use super::node::{Entry, Map, Node, Value};

/// Checks the whole merged file.
pub(crate) fn check(root: &Map, findings: &RefCell<Findings>) {
    let findings = &mut *findings.borrow_mut();
    for section in ["services", "networks", "volumes", "secrets", "configs"] {
        for entry in entries(root, section) {
            check_name(section, entry, findings);
        }
    }
    for entry in entries(root, "services") {
        if let Some(service) = entry.node.as_map() {
            check_service(root, &entry.key, service, findings);
        }
    }
    check_cycles(root, findings);
}

fn entries<'a>(map: &'a Map, section: &str) -> &'a [Entry] {
    map.get(section)
        .and_then(Node::as_map)
        .map_or(&[], |section| &section.entries)
}

/// Names become file names and host names, so they are held to Compose's pattern.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.len() <= 200
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

fn check_name(section: &str, entry: &Entry, findings: &mut Findings) {
    let mut check = |text: &str, origin: &Origin, what: &str| {
        if !is_name(text) {
            let message = format!(
                "{section}.{}: `{text}` is not a valid {what}; use letters, digits, `.`, `_` and `-`",
                entry.key
            );
            findings.fault(Fault::at(origin, message));
        }
    };
    if !entry.key.starts_with("x-") {
        check(&entry.key, &entry.key_origin, "name");
    }
    for key in ["name", "container_name"] {
        if let Some(node) = entry.node.as_map().and_then(|map| map.get(key))
            && let Some(text) = node.as_str()
        {
            check(text, &node.origin, key);
        }
    }
}

fn check_service(root: &Map, name: &str, service: &Map, findings: &mut Findings) {
    let mut check = |section: &str, key: &str, target: &str, origin: &Origin| {
        let known = entries(root, section);
        if (section == "networks" && target == "default")
            || known.iter().any(|entry| entry.key == target)
        {
            return;
        }
        let what = section.trim_end_matches('s');
        let mut fault = Fault::at(
            origin,
            format!("services.{name}.{key}: there is no {what} `{target}`"),
        );
        if let Some(near) = nearest(target, known.iter().map(|entry| entry.key.as_str())) {
            fault = fault.hint(format!("did you mean `{near}`?"));
        } else if section != "services" {
            fault = fault.hint(format!("define it under the top-level `{section}:`"));
        }
        findings.fault(fault);
    };
    for entry in entries(service, "depends_on") {
        let is_optional = entry
            .node
            .as_map()
            .and_then(|map| map.get("required"))
            .and_then(Node::as_str)
            == Some("false");
        if !is_optional {
            check("services", "depends_on", &entry.key, &entry.key_origin);
        }
    }
    for link in list(service, "links") {
        let target = link
            .as_str()
            .unwrap_or_default()
            .split(':')
            .next()
            .unwrap_or_default();
        check("services", "links", target, &link.origin);
    }
    if let Some(mode) = service.get("network_mode")
        && let Some(target) = mode.as_str().and_then(|mode| mode.strip_prefix("service:"))
    {
        check("services", "network_mode", target, &mode.origin);
    }
    for entry in entries(service, "networks") {
        check("networks", "networks", &entry.key, &entry.key_origin);
    }
    for volume in list(service, "volumes") {
        let field = |key: &str| {
            volume
                .as_map()
                .and_then(|map| map.get(key))
                .and_then(Node::as_str)
        };
        if let (Some("volume") | None, Some(source)) = (field("type"), field("source")) {
            check("volumes", "volumes", source, &volume.origin);
        }
    }
    for section in ["secrets", "configs"] {
        for item in list(service, section) {
            let source = item
                .as_map()
                .and_then(|map| map.get("source"))
                .and_then(Node::as_str);
            check(section, section, source.unwrap_or_default(), &item.origin);
        }
    }
    let build = service.get("build").and_then(Node::as_map);
    for item in build.map_or(&[][..], |build| list(build, "secrets")) {
        let source = item
            .as_map()
            .and_then(|map| map.get("source"))
            .and_then(Node::as_str);
        check(
            "secrets",
            "build.secrets",
            source.unwrap_or_default(),
            &item.origin,
        );
    }
}

fn list<'a>(map: &'a Map, key: &str) -> &'a [Node] {
    match map.get(key).map(|node| &node.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

/// Finds one cycle of `depends_on` for each group of services that wait for each other.
fn check_cycles(root: &Map, findings: &mut Findings) {
    let mut done: BTreeMap<&str, bool> = BTreeMap::new();
    for entry in entries(root, "services") {
        let mut chain = Vec::new();
        if let Some(origin) = walk(root, &entry.key, &mut chain, &mut done) {
            findings.fault(Fault::at(
                origin,
                format!("services wait for each other: {}", chain.join(" -> ")),
            ));
        }
    }
}

/// Depth first; on a cycle `chain` is left as the cycle, and the place of its last step is given.
fn walk<'a>(
    root: &'a Map,
    name: &'a str,
    chain: &mut Vec<&'a str>,
    done: &mut BTreeMap<&'a str, bool>,
) -> Option<&'a Origin> {
    if done.contains_key(name) {
        return None;
    }
    chain.push(name);
    let service = entries(root, "services")
        .iter()
        .find(|entry| entry.key == name)
        .and_then(|entry| entry.node.as_map());
    for entry in service.map_or(&[][..], |service| entries(service, "depends_on")) {
        if let Some(start) = chain.iter().position(|step| *step == entry.key) {
            chain.drain(..start);
            chain.push(&entry.key);
            done.extend(chain.iter().map(|step| (*step, true)));
            return Some(&entry.key_origin);
        }
        if let Some(origin) = walk(root, &entry.key, chain, done) {
            return Some(origin);
        }
    }
    chain.pop();
    done.insert(name, true);
    None
}
