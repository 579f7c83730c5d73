//! `[programs.NAME]` of `howdah.toml`; the file's other tables belong to other parts.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Findings;
use super::section::{Section, Setting, Value};

/// Reads each `[programs.NAME]` into a section.
pub(crate) fn parse(file: &Path, text: &str, findings: &mut Findings) -> Vec<Section> {
    let line_at = |offset: usize| {
        text.as_bytes()
            .iter()
            .take(offset)
            .filter(|byte| **byte == b'\n')
            .count()
            + 1
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let line = error.span().map_or(1, |span| line_at(span.start));
        findings.fault(file, line, error.message());
    }
    let Some(programs) = document.get_ref().get("programs") else {
        return Vec::new();
    };
    let Some(programs) = programs.get_ref().as_table() else {
        findings.fault(
            file,
            line_at(programs.span().start),
            "`programs` must be a table: write [programs.NAME]",
        );
        return Vec::new();
    };
    let mut sections = Vec::new();
    for (name, program) in programs {
        let line = line_at(name.span().start);
        let Some(table) = program.get_ref().as_table() else {
            findings.fault(
                file,
                line,
                format!("program `{}` must be a table", name.get_ref()),
            );
            continue;
        };
        let mut settings = Vec::new();
        for (key, value) in table {
            let line = line_at(key.span().start);
            match convert(value) {
                Some(value) => settings.push(Setting {
                    key: key.get_ref().to_string(),
                    value,
                    line,
                }),
                None => findings.fault(
                    file,
                    line,
                    format!("`{}` has a value of a kind no key takes", key.get_ref()),
                ),
            }
        }
        sections.push(Section {
            name: name.get_ref().to_string(),
            line,
            settings,
        });
    }
    // The order of the file, which the map has lost.
    sections.sort_by_key(|section| section.line);
    sections
}

fn convert(value: &Spanned<DeValue<'_>>) -> Option<Value> {
    match value.get_ref() {
        DeValue::Array(items) => items
            .iter()
            .map(scalar)
            .collect::<Option<_>>()
            .map(Value::List),
        DeValue::Table(table) => {
            let pairs = table
                .iter()
                .map(|(key, value)| Some((key.get_ref().to_string(), scalar(value)?)));
            pairs.collect::<Option<_>>().map(Value::Table)
        }
        _ => scalar(value).map(Value::Text),
    }
}

fn scalar(value: &Spanned<DeValue<'_>>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        // 0o22 keeps its digits: only `umask` is written so, and reads them as octal.
        DeValue::Integer(number) if number.radix() == 8 => {
            Some(number.as_str().trim_start_matches("0o").to_owned())
        }
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().replace('_', "")),
        _ => None,
    }
}
