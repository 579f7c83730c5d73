//! One file over another, by Compose's rules, on nodes in long form.
//!
//! See <https://github.com/compose-spec/compose-spec/blob/main/13-merge.md>.

use super::node::{MergeTag, Node, Value};

/// How two lists become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListRule {
    /// The later list stands alone.
    Replace,
    /// Later items follow; an item that is there already is not repeated.
    Append,
    /// Items with the same values of these keys are the same item: the later one takes its place.
    Keyed(&'static [&'static str]),
}

fn list_rule(path: &[String]) -> ListRule {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["services", _, "command" | "entrypoint"] | ["services", _, "healthcheck", "test"] => {
            ListRule::Replace
        }
        ["services", _, "ports"] => {
            ListRule::Keyed(&["host_ip", "target", "published", "protocol"])
        }
        ["services", _, "volumes" | "devices"] => ListRule::Keyed(&["target"]),
        ["services", _, "secrets" | "configs"] | ["services", _, "build", "secrets"] => {
            ListRule::Keyed(&["source", "target"])
        }
        ["services", _, "env_file"] => ListRule::Keyed(&["path"]),
        _ => ListRule::Append,
    }
}

/// Puts `over` on top of `base`; `path` is where they stand, e.g. `services`, `web`.
pub(crate) fn merge(base: &mut Node, over: Node, path: &mut Vec<String>) {
    if over.tag == Some(MergeTag::Override) {
        *base = Node { tag: None, ..over };
        return;
    }
    match (&mut base.value, over.value) {
        (Value::Map(_) | Value::List(_), Value::Null) => {}
        (Value::Map(base), Value::Map(over)) => {
            for entry in over.entries {
                if entry.node.tag == Some(MergeTag::Reset) {
                    base.remove(&entry.key);
                } else if let Some(node) = base.get_mut(&entry.key) {
                    path.push(entry.key);
                    merge(node, entry.node, path);
                    path.pop();
                } else {
                    base.entries.push(entry);
                }
            }
        }
        (Value::List(base), Value::List(over)) => merge_lists(base, over, list_rule(path)),
        (_, value) => {
            *base = Node {
                value,
                origin: over.origin,
                tag: None,
            }
        }
    }
}

fn merge_lists(base: &mut Vec<Node>, over: Vec<Node>, rule: ListRule) {
    if rule == ListRule::Replace {
        *base = over;
        return;
    }
    for item in over {
        let same = base.iter().position(|old| match rule {
            ListRule::Keyed(keys) => same_item(old, &item, keys),
            _ => same_value(old, &item),
        });
        match same {
            Some(index) => base[index] = item,
            None => base.push(item),
        }
    }
}

fn same_item(one: &Node, other: &Node, keys: &[&str]) -> bool {
    let (Some(one), Some(other)) = (one.as_map(), other.as_map()) else {
        return false;
    };
    keys.iter()
        .all(|key| one.get(key).and_then(Node::as_str) == other.get(key).and_then(Node::as_str))
}

/// Equal but for where it was written.
fn same_value(one: &Node, other: &Node) -> bool {
    match (&one.value, &other.value) {
        (Value::Scalar(one), Value::Scalar(other)) => one.text == other.text,
        _ => false,
    }
}

/// Obeys the tags of a file that has nothing below it.
pub(crate) fn settle(node: &mut Node) {
    node.tag = None;
    match &mut node.value {
        Value::Map(map) => {
            map.entries
                .retain(|entry| entry.node.tag != Some(MergeTag::Reset));
            map.entries
                .iter_mut()
                .for_each(|entry| settle(&mut entry.node));
        }
        Value::List(items) => {
            items.retain(|item| item.tag != Some(MergeTag::Reset));
            items.iter_mut().for_each(settle);
        }
        _ => {}
    }
}
