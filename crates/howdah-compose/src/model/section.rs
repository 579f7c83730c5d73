//! Typed reading of one mapping: every wrong type, and every key nobody asked for, becomes a finding.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use super::fault::{Fault, Findings, Origin, nearest};
use super::node::{Entry, Map, Node, Value};
use super::units;

/// A mapping being read; keys are ticked off as they are asked for.
pub(crate) struct Section<'a> {
    map: &'a Map,
    path: String,
    origin: &'a Origin,
    asked: RefCell<Vec<&'static str>>,
    findings: &'a RefCell<Findings>,
}

impl<'a> Section<'a> {
    /// Starts reading a node; null counts as empty, another type is a fault.
    pub(crate) fn new(
        node: &'a Node,
        path: impl Into<String>,
        findings: &'a RefCell<Findings>,
    ) -> Self {
        static EMPTY: Map = Map {
            entries: Vec::new(),
        };
        let path = path.into();
        let map = match &node.value {
            Value::Map(map) => map,
            Value::Null => &EMPTY,
            _ => {
                let what = if path.is_empty() {
                    "the file"
                } else {
                    path.as_str()
                };
                let message = format!("{what}: must be a mapping, not {}", node.kind());
                findings
                    .borrow_mut()
                    .fault(Fault::at(&node.origin, message));
                &EMPTY
            }
        };
        Self {
            map,
            path,
            origin: &node.origin,
            asked: RefCell::default(),
            findings,
        }
    }

    /// The path of a key of this mapping.
    pub(crate) fn below(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn origin(&self) -> &'a Origin {
        self.origin
    }

    pub(crate) fn findings(&self) -> &'a RefCell<Findings> {
        self.findings
    }

    pub(crate) fn entries(&self) -> &'a [Entry] {
        &self.map.entries
    }

    pub(crate) fn fault(&self, origin: &Origin, key: &str, message: &str) {
        self.findings
            .borrow_mut()
            .fault(Fault::at(origin, format!("{}: {message}", self.below(key))));
    }

    /// The value of a key; null counts as not given.
    pub(crate) fn get(&self, key: &'static str) -> Option<&'a Node> {
        self.asked.borrow_mut().push(key);
        self.map
            .get(key)
            .filter(|node| !matches!(node.value, Value::Null))
    }

    pub(crate) fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    pub(crate) fn string(&self, key: &'static str) -> Option<String> {
        let node = self.get(key)?;
        self.expect(node, key, "a string", node.as_str().map(str::to_owned))
    }

    /// Any type that reads itself from a string.
    pub(crate) fn parsed<T: FromStr>(&self, key: &'static str, what: &str) -> Option<T> {
        let node = self.get(key)?;
        self.expect(
            node,
            key,
            what,
            node.as_str().and_then(|text| text.parse().ok()),
        )
    }

    /// A list of any type that reads itself from a string.
    pub(crate) fn parsed_list<T: FromStr>(&self, key: &'static str, what: &str) -> Vec<T> {
        let items = self.list(key);
        let items = items.iter().filter_map(|item| {
            let parsed = item.as_str().and_then(|text| text.parse().ok());
            self.expect(item, key, what, parsed)
        });
        items.collect()
    }

    /// A text read by a function.
    pub(crate) fn with<T>(
        &self,
        key: &'static str,
        what: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let node = self.get(key)?;
        self.expect(node, key, what, node.as_str().and_then(read))
    }

    /// Booleans, also those that came as strings out of a variable.
    pub(crate) fn boolean(&self, key: &'static str) -> Option<bool> {
        self.with(key, "true or false", |text| {
            match text.to_ascii_lowercase().as_str() {
                "true" | "y" | "yes" | "on" | "1" => Some(true),
                "false" | "n" | "no" | "off" | "0" => Some(false),
                _ => None,
            }
        })
    }

    pub(crate) fn flag(&self, key: &'static str) -> bool {
        self.boolean(key).unwrap_or(false)
    }

    pub(crate) fn duration(&self, key: &'static str) -> Option<Duration> {
        self.with(key, "a duration such as 1m30s", units::duration)
    }

    pub(crate) fn bytes(&self, key: &'static str) -> Option<u64> {
        self.with(key, "a size such as 64m", units::bytes)
    }

    pub(crate) fn list(&self, key: &'static str) -> &'a [Node] {
        match self.get(key) {
            None => &[],
            Some(Node {
                value: Value::List(items),
                ..
            }) => items,
            Some(node) => {
                self.expect(node, key, "a list", None::<()>);
                &[]
            }
        }
    }

    pub(crate) fn strings(&self, key: &'static str) -> Vec<String> {
        let items = self.list(key);
        items
            .iter()
            .filter_map(|item| {
                self.expect(
                    item,
                    key,
                    "a list of strings",
                    item.as_str().map(str::to_owned),
                )
            })
            .collect()
    }

    /// Like `strings`, told apart from a key that is not given.
    pub(crate) fn optional_strings(&self, key: &'static str) -> Option<Vec<String>> {
        self.get(key).map(|_| self.strings(key))
    }

    /// `NAME: value` pairs; a null value stays none.
    pub(crate) fn pairs(&self, key: &'static str) -> BTreeMap<String, Option<String>> {
        let Some(section) = self.section(key) else {
            return BTreeMap::new();
        };
        let value = |entry: &Entry| match &entry.node.value {
            Value::Null => Some(None),
            _ => section.expect(
                &entry.node,
                &entry.key,
                "a string",
                entry.node.as_str().map(|text| Some(text.to_owned())),
            ),
        };
        section
            .entries()
            .iter()
            .filter_map(|entry| Some((entry.key.clone(), value(entry)?)))
            .collect()
    }

    /// Pairs in which a missing value is an empty one.
    pub(crate) fn labels(&self, key: &'static str) -> BTreeMap<String, String> {
        self.pairs(key)
            .into_iter()
            .map(|(name, value)| (name, value.unwrap_or_default()))
            .collect()
    }

    pub(crate) fn section(&self, key: &'static str) -> Option<Section<'a>> {
        let node = self.get(key)?;
        Some(Section::new(node, self.below(key), self.findings))
    }

    /// Each item of a list of mappings.
    pub(crate) fn sections(&self, key: &'static str) -> Vec<Section<'a>> {
        let items = self.list(key).iter().enumerate();
        items
            .map(|(index, item)| {
                Section::new(item, format!("{}[{index}]", self.below(key)), self.findings)
            })
            .collect()
    }

    /// Each value of a mapping of mappings, by key.
    pub(crate) fn named(&self, key: &'static str) -> Vec<(&'a Entry, Section<'a>)> {
        let Some(section) = self.section(key) else {
            return Vec::new();
        };
        let child = |entry: &'a Entry| {
            Section::new(
                &entry.node,
                format!("{}.{}", section.path, entry.key),
                self.findings,
            )
        };
        section
            .entries()
            .iter()
            .filter(|entry| !entry.key.starts_with("x-"))
            .map(|entry| (entry, child(entry)))
            .collect()
    }

    fn expect<T>(&self, node: &Node, key: &str, what: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            let got = match node.as_str() {
                Some(text) => format!("`{text}`"),
                None => node.kind().to_owned(),
            };
            self.fault(&node.origin, key, &format!("must be {what}, not {got}"));
        }
        value
    }

    /// Keys of the specification that are read but not obeyed: each one that is used gives a warning.
    pub(crate) fn ignored(&self, keys: &'static [&'static str]) {
        self.asked.borrow_mut().extend(keys);
        for entry in self
            .map
            .entries
            .iter()
            .filter(|entry| keys.contains(&entry.key.as_str()))
        {
            let message = format!("{}: not supported yet, ignored", self.below(&entry.key));
            self.findings
                .borrow_mut()
                .warn(Fault::at(&entry.key_origin, message));
        }
    }

    /// Ends reading: a key that nobody asked for, and that is no extension, is a fault.
    pub(crate) fn finish(self) {
        let asked = self.asked.borrow();
        for entry in &self.map.entries {
            if asked.contains(&entry.key.as_str()) || entry.key.starts_with("x-") {
                continue;
            }
            let mut fault = Fault::at(
                &entry.key_origin,
                format!("{}: unknown key", self.below(&entry.key)),
            );
            if let Some(known) = nearest(&entry.key, asked.iter().copied()) {
                fault = fault.hint(format!("did you mean `{known}`?"));
            }
            self.findings.borrow_mut().fault(fault);
        }
    }
}
