//! The exec form: a JSON array of strings.

use std::ops::Range;

use serde_json::Value;

use super::statement::Statement;
use crate::Fault;

/// An array and where its strings stand in the joined line.
#[derive(Debug)]
pub(super) struct Array {
    pub(super) strings: Vec<String>,
    pub(super) ranges: Vec<Range<usize>>,
}

/// Reads the arguments in `range` as JSON. What is no JSON array is shell form, and no fault; an array that holds
/// something else than strings is one.
pub(super) fn array(statement: &Statement, range: Range<usize>) -> Result<Option<Array>, Fault> {
    let text = &statement.line.text[range.clone()];
    if !text.trim_start().starts_with('[') {
        return Ok(None);
    }
    let Ok(Value::Array(values)) = serde_json::from_str::<Value>(text) else {
        return Ok(None);
    };
    let ranges: Vec<Range<usize>> = strings_in(text)
        .map(|string| range.start + string.start..range.start + string.end)
        .collect();
    let count = values.len();
    let strings: Vec<String> = values
        .into_iter()
        .map_while(|value| match value {
            Value::String(string) => Some(string),
            _ => None,
        })
        .collect();
    if strings.len() < count {
        return Err(Fault::error(
            statement.line.span(range),
            "the JSON array holds something else than strings",
        )
        .with_help("put every element in double quotes"));
    }
    Ok(Some(Array { strings, ranges }))
}

/// Whether shell form was hardly meant: an array with single quotes, or with a comma too many.
pub(super) fn looks_like_array(text: &str) -> bool {
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .map(str::trim);
    inner.is_some_and(|inner| {
        let quote = |character: Option<char>| matches!(character, Some('\'' | '"'));
        let last = inner.trim_end_matches(',').trim_end().chars().last();
        quote(inner.chars().next()) && quote(last) && (inner.contains(',') || !inner.contains(' '))
    })
}

/// The string literals of a valid JSON text.
fn strings_in(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut bytes = text.bytes().enumerate();
    std::iter::from_fn(move || {
        let (start, _) = bytes.find(|(_, byte)| *byte == b'"')?;
        loop {
            match bytes.next()? {
                (_, b'\\') => drop(bytes.next()),
                (end, b'"') => return Some(start..end + 1),
                _ => {}
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_found_where_they_stand() {
        let text = r#"[ "a", "b\"c\\" , "ü" ]"#;
        let found: Vec<&str> = strings_in(text).map(|range| &text[range]).collect();
        assert_eq!(found, [r#""a""#, r#""b\"c\\""#, r#""ü""#]);
    }

    #[test]
    fn near_misses() {
        for text in ["['a', 'b']", r#"["a", "b",]"#, r#"["a" "b", "c"]"#, "['a']"] {
            assert!(looks_like_array(text), "{text}");
        }
        for text in [
            r#"[ "$a" = "b" ]"#,
            "[ -f x ] && y",
            "[ 1 ]",
            "['a', 'b'] || true",
        ] {
            assert!(!looks_like_array(text), "{text}");
        }
    }
}
