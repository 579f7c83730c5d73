//! The flags of an instruction against those that it knows.

use super::{Faults, statement::Statement};
use crate::{Fault, Word, suggest::nearest};

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `--name`, `--name=true`, `--name=false`
    Switch,
    /// `--name=value`, once
    Value,
    /// `--name=value`, any number of times
    List,
}

/// The flags that were given, all of them known.
#[derive(Debug)]
pub(super) struct Flags {
    given: Vec<(&'static str, Word)>,
}

impl Flags {
    /// Reads the flags of `statement`; every wrong one is a fault of its own.
    pub(super) fn read(
        statement: &Statement,
        known: &[(&'static str, Kind)],
    ) -> Result<Flags, Faults> {
        let mut given: Vec<(&'static str, Word)> = Vec::new();
        let mut faults = Faults::new();
        for raw in &statement.flags {
            let span = statement.line.span(raw.range.clone());
            let flag = &raw.text[2..];
            let (name, value) = flag
                .split_once('=')
                .map_or((flag, None), |(name, value)| (name, Some(value)));
            let Some(&(known_name, kind)) =
                known.iter().find(|(known_name, _)| *known_name == name)
            else {
                faults.push(unknown(statement, name, known, raw.range.start));
                continue;
            };
            if kind != Kind::List && given.iter().any(|(earlier, _)| *earlier == known_name) {
                faults.push(
                    Fault::error(span, format!("`--{name}` is given twice"))
                        .with_help("remove one of the two"),
                );
            }
            let text = match (kind, value) {
                (Kind::Switch, None) => "true".to_owned(),
                (Kind::Switch, Some(text))
                    if ["true", "false"].contains(&text.to_ascii_lowercase().as_str()) =>
                {
                    text.to_ascii_lowercase()
                }
                (Kind::Switch, Some(text)) => {
                    let fault =
                        Fault::error(span, format!("`--{name}` is true or false, not `{text}`"));
                    faults.push(fault.with_help(format!("write `--{name}` or `--{name}=false`")));
                    continue;
                }
                (_, Some(text)) => text.to_owned(),
                (_, None) => {
                    faults.push(
                        Fault::error(span, format!("`--{name}` has no value"))
                            .with_help(format!("write `--{name}=...`")),
                    );
                    continue;
                }
            };
            // Without quotes and escapes the value can be pointed at alone.
            let written = &statement.line.text[raw.range.clone()];
            let skip = if written == raw.text {
                raw.text.len() - value.map_or(0, str::len)
            } else {
                0
            };
            let span = if value.is_some() {
                statement.line.span(raw.range.start + skip..raw.range.end)
            } else {
                span
            };
            given.push((known_name, Word { text, span }));
        }
        if faults.is_empty() {
            Ok(Flags { given })
        } else {
            Err(faults)
        }
    }

    /// A flag that can be given once.
    pub(super) fn value(&self, name: &str) -> Option<Word> {
        self.list(name).pop()
    }

    /// Like [`Self::value`], for flags where an empty value is none.
    pub(super) fn nonempty(&self, name: &str) -> Option<Word> {
        self.value(name).filter(|word| !word.text.is_empty())
    }

    /// A flag that can be given often.
    pub(super) fn list(&self, name: &str) -> Vec<Word> {
        self.given
            .iter()
            .filter(|(given, _)| *given == name)
            .map(|(_, word)| word.clone())
            .collect()
    }

    /// A switch, when given.
    pub(super) fn switch(&self, name: &str) -> Option<bool> {
        self.value(name).map(|word| word.text == "true")
    }
}

fn unknown(
    statement: &Statement,
    name: &str,
    known: &[(&'static str, Kind)],
    start: usize,
) -> Fault {
    let end = (start + 2 + name.len()).min(statement.line.text.len());
    // Quotes in the name would put the end inside a character.
    let end = if statement.line.text.is_char_boundary(end) {
        end
    } else {
        start + 2
    };
    let keyword = statement.keyword();
    let fault = Fault::error(
        statement.line.span(start..end),
        format!("`{keyword}` has no flag `--{name}`"),
    );
    if let Some(name) = nearest(name, known.iter().map(|(name, _)| *name)) {
        return fault.with_help(format!("write `--{name}`"));
    }
    if known.is_empty() {
        let help = "it has no flags; put `--` before an argument that begins with two dashes";
        return fault.with_help(help);
    }
    let names: Vec<String> = known.iter().map(|(name, _)| format!("--{name}")).collect();
    fault.with_help(format!("its flags are {}", names.join(", ")))
}
