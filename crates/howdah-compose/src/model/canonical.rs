//! Short syntaxes to long ones, and relative paths to absolute ones, file by file and before files are merged.
//!
//! After this step each key has one shape, so merging and typing need to know only that one. What has a wrong shape is
//! reported and taken out.

use std::path::{Path, PathBuf};

use super::fault::{Fault, Findings, Origin};
use super::node::{Map, Node, Scalar, Value};
use super::{canonical_lists as lists, words};

/// What paths are resolved against.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    /// The project directory, or that of an included or extended file.
    pub(crate) directory: PathBuf,
    /// What `~` stands for.
    pub(crate) home: Option<PathBuf>,
}

impl Base {
    /// An absolute, lexically cleaned path.
    pub(crate) fn resolve(&self, text: &str) -> PathBuf {
        let path = match (text.strip_prefix("~/"), &self.home) {
            _ if text == "~" => self.home.clone().unwrap_or_else(|| PathBuf::from("/")),
            (Some(below), Some(home)) => home.join(below),
            _ => self.directory.join(text),
        };
        clean(&path)
    }

    fn resolve_node(&self, node: &mut Node) {
        if let Value::Scalar(scalar) = &mut node.value {
            scalar.text = self.resolve(&scalar.text).to_string_lossy().into_owned();
        }
    }
}

/// Removes `.` and `..` without asking the file system.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                result.pop();
            }
            other => result.push(other),
        }
    }
    result
}

/// Brings a whole file into long form.
pub(crate) fn file(root: &mut Node, base: &Base, findings: &mut Findings) {
    let Some(root) = root.as_map_mut() else {
        return;
    };
    each(root, "services", |key, node| {
        service(node, &format!("services.{key}"), base, findings);
    });
    for section in ["networks", "volumes", "secrets", "configs"] {
        each(root, section, |key, node| {
            if matches!(node.value, Value::Null) {
                node.value = Value::Map(Map::default());
            }
            let Some(map) = node.as_map_mut() else { return };
            to_pairs(map, "labels", &format!("{section}.{key}"), findings);
            if matches!(section, "secrets" | "configs") {
                map.get_mut("file")
                    .into_iter()
                    .for_each(|file| base.resolve_node(file));
            }
        });
    }
}

/// Calls back for each entry of a mapping's mapping.
fn each(map: &mut Map, key: &str, mut visit: impl FnMut(&str, &mut Node)) {
    if let Some(section) = map.get_mut(key).and_then(Node::as_map_mut) {
        for entry in &mut section.entries {
            visit(&entry.key, &mut entry.node);
        }
    }
}

fn service(node: &mut Node, path: &str, base: &Base, findings: &mut Findings) {
    let Some(service) = node.as_map_mut() else {
        return;
    };
    if let Some(node) = service.get_mut("build") {
        build(node, path, base, findings);
    }
    for key in ["command", "entrypoint"] {
        edit(service, key, path, findings, to_words);
    }
    for key in ["environment", "labels", "annotations", "sysctls"] {
        to_pairs(service, key, path, findings);
    }
    for key in [
        "tmpfs",
        "dns",
        "dns_search",
        "dns_opt",
        "label_file",
        "env_file",
    ] {
        to_list(service, key);
    }
    if let Some(node) = service.get_mut("depends_on") {
        names_to_map(node, &dependency);
    }
    if let Some(node) = service.get_mut("networks") {
        names_to_map(node, &Node::null);
    }
    if let Some(node) = service.get_mut("extends") {
        extends(node, base);
    }
    lists::service_lists(service, path, base, findings);
    for label_file in items(service, "label_file") {
        base.resolve_node(label_file);
    }
    let healthcheck = service.get_mut("healthcheck").and_then(Node::as_map_mut);
    if let Some(test) = healthcheck.and_then(|healthcheck| healthcheck.get_mut("test")) {
        health_test(test);
    }
    if let Some(deploy) = service.get_mut("deploy").and_then(Node::as_map_mut) {
        to_pairs(deploy, "labels", &format!("{path}.deploy"), findings);
    }
}

/// What a name alone means in `depends_on:`.
fn dependency(at: &Origin) -> Node {
    let condition = ("condition", Node::text("service_started", at));
    Node::map(vec![condition, ("required", Node::plain(&"true", at))], at)
}

/// `extends: base` becomes `{service: base}`; the file is relative to this one.
fn extends(node: &mut Node, base: &Base) {
    let at = node.origin.clone();
    if let Some(name) = node.as_str() {
        *node = Node::map(vec![("service", Node::text(name, &at))], &at);
    }
    if let Some(file) = node.as_map_mut().and_then(|map| map.get_mut("file")) {
        base.resolve_node(file);
    }
}

/// `test: curl localhost` becomes `[CMD-SHELL, curl localhost]`.
fn health_test(node: &mut Node) {
    let at = node.origin.clone();
    if let Some(command) = node.as_str() {
        let words: &[&str] = match command {
            "NONE" => &["NONE"],
            command => &["CMD-SHELL", command],
        };
        node.value = Value::List(words.iter().map(|word| Node::text(*word, &at)).collect());
    }
}

fn build(node: &mut Node, path: &str, base: &Base, findings: &mut Findings) {
    let path = format!("{path}.build");
    let origin = node.origin.clone();
    if let Some(context) = node.as_str() {
        *node = Node::map(vec![("context", Node::text(context, &origin))], &origin);
    }
    let Some(build) = node.as_map_mut() else {
        return;
    };
    if build.get("context").is_none() {
        build.insert("context", Node::text(".", &origin));
    }
    for key in ["args", "labels", "additional_contexts", "extra_hosts"] {
        to_pairs(build, key, &path, findings);
    }
    if let Some(agents) = build.get_mut("ssh") {
        pairs_to_list(agents);
    }
    for key in [
        "cache_from",
        "cache_to",
        "entitlements",
        "no_cache_filter",
        "platforms",
        "ssh",
        "tags",
    ] {
        to_list(build, key);
    }
    lists::limits(build);
    lists::file_references(build, "secrets", &path, findings);
    let contexts = build
        .get_mut("additional_contexts")
        .and_then(Node::as_map_mut);
    let named = contexts
        .into_iter()
        .flat_map(|map| map.entries.iter_mut().map(|entry| &mut entry.node));
    let named: Vec<&mut Node> = named.collect();
    for context in named {
        resolve_context(context, base);
    }
    build
        .get_mut("context")
        .into_iter()
        .for_each(|context| resolve_context(context, base));
}

/// `{name: value}` becomes `[name=value]`.
fn pairs_to_list(node: &mut Node) {
    let Some(map) = node.as_map_mut() else {
        return;
    };
    let items = map.entries.iter().map(|entry| {
        let text = match entry.node.as_str() {
            Some(value) => format!("{}={value}", entry.key),
            None => entry.key.clone(),
        };
        Node::text(text, &entry.node.origin)
    });
    node.value = Value::List(items.collect());
}

/// Contexts may also be addresses (`https://..`, `git@..`, `docker-image://..`, `service:..`).
fn resolve_context(node: &mut Node, base: &Base) {
    if node.as_str().is_some_and(|text| !is_remote(text)) {
        base.resolve_node(node);
    }
}

/// Whether a build context is an address and not a directory.
pub(crate) fn is_remote(text: &str) -> bool {
    text.contains("://")
        || text.starts_with("git@")
        || text.starts_with("service:")
        || text.starts_with("github.com/")
}

/// Changes one key's node; a failure is reported and the key taken out.
pub(crate) fn edit(
    map: &mut Map,
    key: &str,
    path: &str,
    findings: &mut Findings,
    change: impl FnOnce(&mut Node, &str) -> Result<(), Fault>,
) {
    let path = format!("{path}.{key}");
    if let Some(node) = map.get_mut(key)
        && let Err(fault) = change(node, &path)
    {
        findings.fault(fault);
        map.remove(key);
    }
}

/// A string becomes a list of one.
pub(crate) fn to_list(map: &mut Map, key: &str) {
    if let Some(node) = map.get_mut(key)
        && let Value::Scalar(_) = node.value
    {
        let origin = node.origin.clone();
        let item = Node {
            tag: None,
            ..node.clone()
        };
        node.value = Value::List(vec![item]);
        node.origin = origin;
    }
}

/// The items of a list, or none.
pub(crate) fn items<'map>(map: &'map mut Map, key: &str) -> std::slice::IterMut<'map, Node> {
    match map.get_mut(key).map(|node| &mut node.value) {
        Some(Value::List(items)) => items.iter_mut(),
        _ => [].iter_mut(),
    }
}

fn to_words(node: &mut Node, path: &str) -> Result<(), Fault> {
    if let Value::Scalar(Scalar { text, .. }) = &node.value {
        let words = words::split(text)
            .map_err(|error| Fault::at(&node.origin, format!("{path}: {error}")))?;
        let items = words
            .into_iter()
            .map(|word| Node::text(word, &node.origin))
            .collect();
        node.value = Value::List(items);
    }
    Ok(())
}

/// `[A, B]` becomes `{A: .., B: ..}`.
fn names_to_map(node: &mut Node, value: &dyn Fn(&Origin) -> Node) {
    if let Value::List(names) = &node.value
        && names.iter().all(|name| name.as_str().is_some())
    {
        let mut map = Map::default();
        for name in names {
            map.insert(name.as_str().unwrap_or_default(), value(&name.origin));
        }
        node.value = Value::Map(map);
    }
}

/// `[A=1, B]` becomes `{A: "1", B: null}`; hosts may be written `name:address` too.
pub(crate) fn to_pairs(map: &mut Map, key: &str, path: &str, findings: &mut Findings) {
    let is_hosts = key == "extra_hosts";
    edit(map, key, path, findings, |node, path| {
        let Value::List(items) = &node.value else {
            return Ok(());
        };
        let mut pairs = Map::default();
        for (index, item) in items.iter().enumerate() {
            let Some(text) = item.as_str() else {
                let message = format!(
                    "{path}[{index}]: must be a string `NAME=VALUE`, not {}",
                    item.kind()
                );
                return Err(Fault::at(&item.origin, message));
            };
            let pair = text
                .split_once('=')
                .or_else(|| text.split_once(':').filter(|_| is_hosts));
            match pair {
                Some((name, value)) => pairs.insert(name.trim(), Node::text(value, &item.origin)),
                None => pairs.insert(text.trim(), Node::null(&item.origin)),
            }
        }
        node.value = Value::Map(pairs);
        Ok(())
    });
}
