//! Reading YAML without a schema: what is not there, or of another kind, is nothing.

use std::path::Path;

use howdah_compose::tree::{self, Map, Node, Value};

/// The first document of a file.
pub(super) fn parse(text: &str, name: &str) -> Option<Node> {
    tree::parse(text, Path::new(name)).into_iter().next()
}

/// The value at a path of keys.
pub(super) fn at<'n>(node: &'n Node, path: &[&str]) -> Option<&'n Node> {
    path.iter()
        .try_fold(node, |node, key| node.as_map()?.get(key))
}

/// The text at a path of keys.
pub(super) fn text<'n>(node: &'n Node, path: &[&str]) -> Option<&'n str> {
    at(node, path)?.as_str()
}

/// The items of a list; a scalar is a list of one.
pub(super) fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| (node, &node.value)) {
        Some((_, Value::List(items))) => items,
        Some((node, Value::Scalar(_))) => std::slice::from_ref(node),
        _ => &[],
    }
}

/// The texts of a list.
pub(super) fn texts(node: Option<&Node>) -> impl Iterator<Item = &str> {
    items(node).iter().filter_map(Node::as_str)
}

/// The entries of a mapping.
pub(super) fn entries(node: Option<&Node>) -> impl Iterator<Item = (&str, usize, &Node)> {
    let entries = node.and_then(Node::as_map).map_or(&[][..], Map::entries);
    entries
        .iter()
        .map(|entry| (entry.key.as_str(), entry.key_origin.line, &entry.node))
}

/// Whether a value is `true`.
pub(super) fn is_true(node: Option<&Node>) -> bool {
    node.and_then(Node::as_str) == Some("true")
}

/// The line on which a block of text below `from` first mentions something; block scalars only know where they begin.
pub(super) fn line_of(text: &str, from: usize, needle: &str) -> usize {
    let mut lines = text.lines().enumerate().skip(from.saturating_sub(1));
    lines
        .find(|(_, line)| line.contains(needle))
        .map_or(from, |(index, _)| index + 1)
}
