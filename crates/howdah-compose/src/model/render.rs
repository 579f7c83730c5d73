//! The merged file as `config` prints it: YAML or JSON, keys in Compose's order, the origin of each value on demand.

use serde_json::{Map as JsonMap, Number, Value as Json};

use super::node::{Map, Node, Scalar, Value};
use super::project::Project;

/// The order of the top-level keys; all others follow by name.
const TOP: [&str; 6] = [
    "name", "services", "networks", "volumes", "secrets", "configs",
];

/// A merged Compose file in long form, without the services that profiles leave out.
#[derive(Debug, Clone)]
pub struct Document {
    root: Node,
}

impl Document {
    pub(crate) fn new(whole: &Node, project: &Project) -> Self {
        let mut root = whole.clone();
        let origin = root.origin.clone();
        if let Some(map) = root.as_map_mut() {
            map.insert("name", Node::text(project.name.clone(), &origin));
            map.remove("version");
            complete_services(map, project);
            complete_resources(map, project);
        }
        Self { root }
    }

    /// As YAML; `origins` adds `# file:line` behind each value.
    pub fn to_yaml(&self, origins: bool) -> String {
        let mut writer = Writer {
            text: String::new(),
            origins,
        };
        writer.map(self.root.as_map().unwrap_or(&Map::default()), 0, true);
        writer.text
    }

    /// As JSON.
    pub fn to_json(&self) -> Json {
        json(&self.root)
    }
}

fn complete_services(root: &mut Map, project: &Project) {
    let Some(services) = root.get_mut("services").and_then(Node::as_map_mut) else {
        return;
    };
    services
        .entries
        .retain(|entry| project.services.contains_key(&entry.key));
    for entry in &mut services.entries {
        let Some(typed) = project.services.get(&entry.key) else {
            continue;
        };
        let origin = entry.node.origin.clone();
        let Some(service) = entry.node.as_map_mut() else {
            continue;
        };
        if let super::service::NetworkMode::Networks(networks) = &typed.container.network
            && service.get("networks").is_none()
        {
            let entries = networks
                .keys()
                .map(|key| (key.as_str(), Node::null(&origin)))
                .collect();
            service.insert("networks", Node::map(entries, &origin));
        }
        service.remove("env_file");
        if !typed.container.environment.is_empty() {
            let old = service.remove("environment");
            let mut environment = Map::default();
            for (name, value) in &typed.container.environment {
                let written = old.as_ref().and_then(|old| old.as_map()?.get(name));
                let origin = written.map_or(&origin, |node| &node.origin);
                environment.insert(
                    name,
                    value
                        .as_ref()
                        .map_or_else(|| Node::null(origin), |text| Node::text(text, origin)),
                );
            }
            service.insert("environment", Node::new(Value::Map(environment), &origin));
        }
    }
}

fn complete_resources(root: &mut Map, project: &Project) {
    let origin = root.entries.first().map(|entry| entry.node.origin.clone());
    let Some(origin) = origin else { return };
    for (key, network) in &project.networks {
        if root.get("networks").is_none() {
            root.insert("networks", Node::map(Vec::new(), &origin));
        }
        name_resource(root, "networks", key, &network.name, true);
    }
    if let Some(networks) = root.get_mut("networks").and_then(Node::as_map_mut) {
        networks
            .entries
            .retain(|entry| project.networks.contains_key(&entry.key));
    }
    for (key, volume) in &project.volumes {
        name_resource(root, "volumes", key, &volume.name, false);
    }
    for (section, files) in [("secrets", &project.secrets), ("configs", &project.configs)] {
        for (key, file) in files {
            name_resource(root, section, key, &file.name, false);
        }
    }
}

fn name_resource(root: &mut Map, section: &str, key: &str, name: &str, create: bool) {
    let Some(section) = root.get_mut(section) else {
        return;
    };
    let origin = section.origin.clone();
    let Some(map) = section.as_map_mut() else {
        return;
    };
    if map.get(key).is_none() && create {
        map.insert(key, Node::map(Vec::new(), &origin));
    }
    if let Some(resource) = map.get_mut(key).and_then(Node::as_map_mut) {
        resource.insert("name", Node::text(name, &origin));
    }
}

struct Writer {
    text: String,
    origins: bool,
}

impl Writer {
    fn map(&mut self, map: &Map, indent: usize, top: bool) {
        let mut entries: Vec<_> = map.entries.iter().collect();
        entries.sort_by_key(|entry| {
            let rank = if top {
                TOP.iter()
                    .position(|key| *key == entry.key)
                    .unwrap_or(TOP.len())
            } else {
                0
            };
            (rank, entry.key.as_str())
        });
        for entry in entries {
            self.text.push_str(&" ".repeat(indent));
            self.text.push_str(&quote(&entry.key, false));
            self.text.push(':');
            self.value(&entry.node, indent + 2);
        }
    }

    fn value(&mut self, node: &Node, indent: usize) {
        match &node.value {
            Value::Map(map) if map.entries.is_empty() => self.line(" {}", node),
            Value::List(items) if items.is_empty() => self.line(" []", node),
            Value::Map(map) => {
                self.text.push('\n');
                self.map(map, indent, false);
            }
            Value::List(items) => {
                self.text.push('\n');
                for item in items {
                    self.item(item, indent);
                }
            }
            Value::Null => self.line(" null", node),
            Value::Scalar(scalar) => {
                self.line(&format!(" {}", quote(&scalar.text, scalar.plain)), node);
            }
        }
    }

    fn item(&mut self, item: &Node, indent: usize) {
        self.text.push_str(&" ".repeat(indent));
        self.text.push('-');
        match &item.value {
            Value::Map(map) if !map.entries.is_empty() => {
                // The first key stands behind the dash.
                let start = self.text.len();
                self.map(map, indent + 2, false);
                self.text.replace_range(start..start + indent + 2, " ");
            }
            _ => self.value(item, indent + 2),
        }
    }

    fn line(&mut self, text: &str, node: &Node) {
        self.text.push_str(text);
        if self.origins {
            let file = node
                .origin
                .file
                .file_name()
                .map(|name| name.to_string_lossy())
                .unwrap_or_default();
            self.text
                .extend(["  # ", &file, ":", &node.origin.line.to_string()]);
        }
        self.text.push('\n');
    }
}

/// What is printed may be read as a Compose file again: a dollar sign must not become a variable.
fn escape(text: &str) -> String {
    text.replace('$', "$$")
}

/// Quotes what YAML would read as something else than this string.
fn quote(text: &str, plain: bool) -> String {
    let text = &escape(text);
    let looks_typed = matches!(
        text.to_ascii_lowercase().as_str(),
        "" | "~"
            | "null"
            | "true"
            | "false"
            | "yes"
            | "no"
            | "on"
            | "off"
            | "y"
            | "n"
            | ".nan"
            | ".inf"
    ) || text.parse::<f64>().is_ok()
        || text.starts_with("0x")
        || text.starts_with("0o");
    if plain && looks_typed && !text.is_empty() {
        return text.to_owned();
    }
    if !looks_typed && is_plain_scalar(text) {
        return text.to_owned();
    }
    // A JSON string is a double-quoted YAML scalar (YAML 1.2 is a superset of JSON).
    Json::String(text.to_owned()).to_string()
}

/// Whether a text means itself without quotes (YAML 1.2, 7.3.3 Plain Style, a safe part of it).
fn is_plain_scalar(text: &str) -> bool {
    let reserved = [
        '?', ':', ',', '[', ']', '{', '}', '#', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`',
        ' ', '=',
    ];
    let starts_plain = !text.starts_with(reserved)
        && text != "-"
        && !text.starts_with("- ")
        && !text.starts_with("---");
    starts_plain
        && !text.chars().any(|c| c.is_control() || c == '\u{feff}')
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && text != "<<"
}

fn json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::List(items) => Json::Array(items.iter().map(json).collect()),
        Value::Map(map) => {
            let mut entries: Vec<_> = map.entries.iter().collect();
            entries.sort_by_key(|entry| entry.key.as_str());
            Json::Object(
                entries
                    .into_iter()
                    .map(|entry| (entry.key.clone(), json(&entry.node)))
                    .collect::<JsonMap<_, _>>(),
            )
        }
        Value::Scalar(scalar) => json_scalar(scalar),
    }
}

fn json_scalar(scalar: &Scalar) -> Json {
    let text = scalar.text.as_str();
    match text {
        "true" | "false" if scalar.plain => Json::Bool(text == "true"),
        _ if scalar.plain => {
            let number = text
                .parse::<i64>()
                .ok()
                .map(Number::from)
                .or_else(|| text.parse().ok().and_then(Number::from_f64));
            number.map_or_else(|| Json::String(text.to_owned()), Json::Number)
        }
        _ => Json::String(escape(text)),
    }
}
