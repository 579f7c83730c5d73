//! The YAML tree every step before typing works on: each node knows where it was written.

use super::fault::Origin;

/// A YAML value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it holds.
    pub value: Value,
    /// Where it was written.
    pub origin: Origin,
    pub(crate) tag: Option<MergeTag>,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// Text, a number or a boolean.
    Scalar(Scalar),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping.
    Map(Map),
}

/// A scalar as it was written; its type is decided by who reads it, after interpolation.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalar {
    /// As it was written, without quotes.
    pub text: String,
    /// Written without quotes: a number or boolean when it looks like one.
    pub(crate) plain: bool,
}

/// Compose's own tags, obeyed when files are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeTag {
    /// `!reset`: the key goes back to its default.
    Reset,
    /// `!override`: the value replaces the earlier one whole.
    Override,
}

/// A mapping in written order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Map {
    pub(crate) entries: Vec<Entry>,
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key was written.
    pub key_origin: Origin,
    /// The value.
    pub node: Node,
}

impl Node {
    pub(crate) fn new(value: Value, origin: &Origin) -> Self {
        Self {
            value,
            origin: origin.clone(),
            tag: None,
        }
    }

    pub(crate) fn text(text: impl Into<String>, origin: &Origin) -> Self {
        Self::new(
            Value::Scalar(Scalar {
                text: text.into(),
                plain: false,
            }),
            origin,
        )
    }

    /// A number or boolean.
    pub(crate) fn plain(text: &impl ToString, origin: &Origin) -> Self {
        Self::new(
            Value::Scalar(Scalar {
                text: text.to_string(),
                plain: true,
            }),
            origin,
        )
    }

    pub(crate) fn null(origin: &Origin) -> Self {
        Self::new(Value::Null, origin)
    }

    pub(crate) fn map(entries: Vec<(&str, Node)>, origin: &Origin) -> Self {
        let mut map = Map::default();
        for (key, node) in entries {
            map.insert(key, node);
        }
        Self::new(Value::Map(map), origin)
    }

    /// The mapping, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn as_map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The text, if it is a scalar.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// What the value is called in a message.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Scalar(scalar) if scalar.is_number() => "a number",
            Value::Scalar(scalar)
                if scalar.plain && matches!(scalar.text.as_str(), "true" | "false") =>
            {
                "a boolean"
            }
            Value::Scalar(_) => "a string",
        }
    }
}

impl Scalar {
    fn is_number(&self) -> bool {
        self.plain
            && self
                .text
                .starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
            && self.text.parse::<f64>().is_ok()
    }
}

impl Map {
    /// The entries in written order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.node)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries
            .iter_mut()
            .find(|entry| entry.key == key)
            .map(|entry| &mut entry.node)
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Sets a key, in its old place when it is there already.
    pub(crate) fn insert(&mut self, key: &str, node: Node) {
        match self.get_mut(key) {
            Some(old) => *old = node,
            None => self.entries.push(Entry {
                key: key.to_owned(),
                key_origin: node.origin.clone(),
                node,
            }),
        }
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<Node> {
        let index = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(index).node)
    }
}
