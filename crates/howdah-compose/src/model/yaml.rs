//! YAML text to nodes: anchors, aliases, `<<` merge keys and duplicate keys, with limits against hostile files.
//!
//! Built on the parser's events and not on saphyr's tree, which neither keeps tags on aliases nor reports duplicate keys.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, StrInput, Tag};

use super::fault::{Fault, Findings, Origin};
use super::node::{Entry, Map, MergeTag, Node, Scalar, Value};

/// The most nodes one file may unfold to: aliases of aliases grow exponentially ("billion laughs").
const MOST_NODES: usize = 200_000;
/// The deepest nesting.
const DEEPEST: usize = 64;

/// Reads the documents of a file; Compose merges several documents like several files.
pub(crate) fn parse(text: &str, file: &Path, findings: &mut Findings) -> Vec<Node> {
    let mut builder = Builder {
        parser: Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text)),
        file: Arc::from(file),
        anchors: HashMap::new(),
        nodes: 0,
        depth: 0,
        findings,
    };
    let mut documents = Vec::new();
    match builder.documents(&mut documents) {
        Ok(()) => documents,
        Err(fault) => {
            builder.findings.fault(fault);
            builder.findings.unreadable = true;
            Vec::new()
        }
    }
}

struct Builder<'text, 'findings> {
    parser: Parser<'text, StrInput<'text>>,
    file: Arc<Path>,
    /// Complete nodes by anchor id, and how many nodes each holds.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    depth: usize,
    findings: &'findings mut Findings,
}

impl<'text> Builder<'text, '_> {
    fn documents(&mut self, documents: &mut Vec<Node>) -> Result<(), Fault> {
        loop {
            match self.event()? {
                (Event::StreamEnd, _) => return Ok(()),
                (
                    Event::DocumentStart(_)
                    | Event::DocumentEnd
                    | Event::StreamStart
                    | Event::Nothing,
                    _,
                ) => {}
                (event, at) => documents.push(self.node(event, &at)?),
            }
        }
    }

    fn event(&mut self) -> Result<(Event<'text>, Origin), Fault> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, self.origin(&span.start))),
            Some(Err(error)) => Err(Fault::at(
                &self.origin(error.marker()),
                format!("not valid YAML: {}", error.info()),
            )),
            None => Ok((
                Event::StreamEnd,
                Origin {
                    file: Arc::clone(&self.file),
                    line: 0,
                    column: 0,
                },
            )),
        }
    }

    fn origin(&self, marker: &Marker) -> Origin {
        Origin {
            file: Arc::clone(&self.file),
            line: marker.line(),
            column: marker.col() + 1,
        }
    }

    fn node(&mut self, event: Event<'text>, at: &Origin) -> Result<Node, Fault> {
        let before = self.nodes;
        self.grow(1, at)?;
        let (value, anchor, tag) = match event {
            Event::Alias(id) => return self.alias(id, at),
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(
                    text.into_owned(),
                    style == ScalarStyle::Plain,
                    tag.as_deref(),
                );
                (value, anchor, tag)
            }
            Event::SequenceStart(anchor, tag) => (Value::List(self.list(at)?), anchor, tag),
            Event::MappingStart(anchor, tag) => (Value::Map(self.mapping(at)?), anchor, tag),
            _ => return Err(Fault::at(at, "not valid YAML: unexpected end")),
        };
        let tag = self.merge_tag(tag.as_deref(), at);
        let node = Node {
            value,
            origin: at.clone(),
            tag,
        };
        if anchor > 0 {
            self.anchors
                .insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, at: &Origin) -> Result<Node, Fault> {
        let Some((node, size)) = self.anchors.get(&id) else {
            return Err(Fault::at(at, "an alias cannot stand inside its own anchor"));
        };
        let (node, size) = (node.clone(), *size);
        self.grow(size, at)?;
        Ok(node)
    }

    fn grow(&mut self, by: usize, at: &Origin) -> Result<(), Fault> {
        self.nodes += by;
        if self.nodes > MOST_NODES {
            return Err(Fault::at(
                at,
                format!("the file unfolds to more than {MOST_NODES} values"),
            ));
        }
        Ok(())
    }

    fn enter(&mut self, at: &Origin) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Fault::at(
                at,
                format!("nested deeper than {DEEPEST} levels"),
            ));
        }
        Ok(())
    }

    fn list(&mut self, at: &Origin) -> Result<Vec<Node>, Fault> {
        self.enter(at)?;
        let mut items = Vec::new();
        loop {
            match self.event()? {
                (Event::SequenceEnd, _) => break,
                (event, at) => items.push(self.node(event, &at)?),
            }
        }
        self.depth -= 1;
        Ok(items)
    }

    fn mapping(&mut self, at: &Origin) -> Result<Map, Fault> {
        self.enter(at)?;
        let mut map = Map::default();
        let mut seen = HashSet::new();
        let mut merges = Vec::new();
        loop {
            let (key, key_origin) = match self.event()? {
                (Event::MappingEnd, _) => break,
                (Event::Scalar(text, ..), at) => (text.into_owned(), at),
                (_, at) => return Err(Fault::at(&at, "a key must be a plain word")),
            };
            let (event, value_at) = self.event()?;
            let node = self.node(event, &value_at)?;
            if key == "<<" {
                merges.push(node);
            } else if seen.insert(key.clone()) {
                map.entries.push(Entry {
                    key,
                    key_origin,
                    node,
                });
            } else {
                self.findings.fault(Fault::at(
                    &key_origin,
                    format!("the key `{key}` is given twice"),
                ));
            }
        }
        for merge in merges {
            self.merge_key(&mut map, &mut seen, merge);
        }
        self.depth -= 1;
        Ok(map)
    }

    /// The YAML 1.1 merge key: keys that are not there yet come from the mapping, or mappings, it names.
    fn merge_key(&mut self, map: &mut Map, seen: &mut HashSet<String>, merge: Node) {
        match merge.value {
            Value::Map(source) => {
                for entry in source.entries {
                    if seen.insert(entry.key.clone()) {
                        map.entries.push(entry);
                    }
                }
            }
            Value::List(sources) => {
                for source in sources {
                    self.merge_key(map, seen, source);
                }
            }
            Value::Null => {}
            Value::Scalar(_) => self.findings.fault(Fault::at(
                &merge.origin,
                "`<<` takes a mapping, or a list of them",
            )),
        }
    }

    fn merge_tag(&mut self, tag: Option<&Tag>, at: &Origin) -> Option<MergeTag> {
        let tag = tag?;
        if tag.handle != "!" {
            return None;
        }
        match tag.suffix.as_str() {
            "reset" => Some(MergeTag::Reset),
            "override" => Some(MergeTag::Override),
            other => {
                self.findings.fault(
                    Fault::at(at, format!("unknown tag `!{other}`"))
                        .hint("Compose knows `!reset` and `!override`"),
                );
                None
            }
        }
    }
}

/// Null is decided here, before interpolation: a variable that is empty stays an empty string.
fn scalar(text: String, plain: bool, tag: Option<&Tag>) -> Value {
    let is_string = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
    if plain && !is_string && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL") {
        return Value::Null;
    }
    Value::Scalar(Scalar {
        text,
        plain: plain && !is_string,
    })
}
