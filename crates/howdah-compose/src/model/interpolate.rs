//! Variables in values: `$X ${X} ${X:-d} ${X-d} ${X:?m} ${X?m} ${X:+a} ${X+a}`, nested, and `$$` for a dollar sign.
//!
//! See <https://github.com/compose-spec/compose-spec/blob/main/12-interpolation.md>.

use std::collections::BTreeMap;

use super::fault::{Fault, Findings};
use super::node::{Node, Value};

/// The deepest nesting of defaults inside defaults.
const DEEPEST: usize = 32;

/// The variables values are replaced from.
pub type Variables = BTreeMap<String, String>;

/// A text that cannot be interpolated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InterpolationError {
    /// A dollar sign that starts no variable.
    #[error("invalid variable in `{text}`")]
    Invalid {
        /// The whole text.
        text: String,
    },
    /// `${X:?message}` and X is not set.
    #[error("required variable `{name}` is missing a value: {message}")]
    Required {
        /// The variable.
        name: String,
        /// The message written in the file.
        message: String,
    },
    /// Defaults in defaults, too deep.
    #[error("variables nested deeper than {DEEPEST} levels")]
    TooDeep,
}

/// Replaces the variables of one text; `unset` is told of each name that has no value and no default.
pub fn interpolate(
    text: &str,
    variables: &Variables,
    unset: &mut dyn FnMut(&str),
) -> Result<String, InterpolationError> {
    expand(text, variables, unset, 0)
}

fn expand(
    text: &str,
    variables: &Variables,
    unset: &mut dyn FnMut(&str),
    depth: usize,
) -> Result<String, InterpolationError> {
    if depth > DEEPEST {
        return Err(InterpolationError::TooDeep);
    }
    let invalid = || InterpolationError::Invalid {
        text: text.to_owned(),
    };
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        result.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            result.push('$');
            rest = after;
        } else if let Some(inside) = rest.strip_prefix('{') {
            let end = closing_brace(inside).ok_or_else(invalid)?;
            result.push_str(
                &braced(&inside[..end], variables, unset, depth)
                    .map_err(|error| error.within(text))?,
            );
            rest = &inside[end + 1..];
        } else {
            let name = leading_name(rest);
            if name.is_empty() {
                return Err(invalid());
            }
            result.push_str(&plain(name, variables, unset));
            rest = &rest[name.len()..];
        }
    }
    result.push_str(rest);
    Ok(result)
}

impl InterpolationError {
    /// An invalid part is shown with the text around it.
    fn within(self, whole: &str) -> Self {
        match self {
            Self::Invalid { .. } => Self::Invalid {
                text: whole.to_owned(),
            },
            other => other,
        }
    }
}

fn leading_name(text: &str) -> &str {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    if starts { &text[..end] } else { "" }
}

/// Where the brace that ends an expression stands; braces of nested expressions are counted, `$$` is not a start.
fn closing_brace(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut open = 0;
    let mut index = 0;
    while index < bytes.len() {
        match bytes[index] {
            b'$' if bytes.get(index + 1) == Some(&b'$') => index += 1,
            b'$' if bytes.get(index + 1) == Some(&b'{') => {
                open += 1;
                index += 1;
            }
            b'}' if open == 0 => return Some(index),
            b'}' => open -= 1,
            _ => {}
        }
        index += 1;
    }
    None
}

fn plain(name: &str, variables: &Variables, unset: &mut dyn FnMut(&str)) -> String {
    variables.get(name).cloned().unwrap_or_else(|| {
        unset(name);
        String::new()
    })
}

fn braced(
    inside: &str,
    variables: &Variables,
    unset: &mut dyn FnMut(&str),
    depth: usize,
) -> Result<String, InterpolationError> {
    let name = leading_name(inside);
    let invalid = || InterpolationError::Invalid {
        text: inside.to_owned(),
    };
    if name.is_empty() {
        return Err(invalid());
    }
    let operation = &inside[name.len()..];
    let set = variables.get(name);
    // With a colon an empty value counts as none.
    let (operator, value) = match operation.strip_prefix(':') {
        Some(operator) => (operator, set.filter(|value| !value.is_empty())),
        None => (operation, set),
    };
    if operation.is_empty() {
        return Ok(plain(name, variables, unset));
    }
    if operator.is_empty() || !operator.is_char_boundary(1) {
        return Err(invalid());
    }
    let (operator, word) = operator.split_at(1);
    match (operator, value) {
        ("-" | "?", Some(value)) => Ok(value.clone()),
        ("-", None) | ("+", Some(_)) => expand(word, variables, unset, depth + 1),
        ("+", None) => Ok(String::new()),
        ("?", None) => {
            let message = expand(word, variables, unset, depth + 1)?;
            Err(InterpolationError::Required {
                name: name.to_owned(),
                message,
            })
        }
        _ => Err(invalid()),
    }
}

/// Replaces the variables in every scalar below a node.
pub(crate) fn interpolate_node(node: &mut Node, variables: &Variables, findings: &mut Findings) {
    match &mut node.value {
        Value::List(items) => items
            .iter_mut()
            .for_each(|item| interpolate_node(item, variables, findings)),
        Value::Map(map) => {
            map.entries
                .iter_mut()
                .for_each(|entry| interpolate_node(&mut entry.node, variables, findings));
        }
        Value::Scalar(scalar) if scalar.text.contains('$') => {
            let origin = &node.origin;
            let mut unset = |name: &str| {
                findings.warn(Fault::nowhere(format!(
                    "the variable `{name}` is not set; an empty string is used"
                )));
            };
            match interpolate(&scalar.text, variables, &mut unset) {
                Ok(text) => scalar.text = text,
                Err(error @ InterpolationError::Invalid { .. }) => {
                    findings.fault(
                        Fault::at(origin, error.to_string()).hint("write `$$` for a dollar sign"),
                    );
                }
                Err(error) => findings.fault(Fault::at(origin, error.to_string())),
            }
        }
        Value::Scalar(_) | Value::Null => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Result<String, String> {
        let variables = [("SET", "value"), ("EMPTY", ""), ("OTHER", "o")];
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        interpolate(text, &variables, &mut |_| {}).map_err(|error| error.to_string())
    }

    #[test]
    fn every_operator_for_set_empty_and_unset() {
        let table = [
            ("$SET", "value"),
            ("${SET}", "value"),
            ("a$SET-b", "avalue-b"),
            ("$UNSET", ""),
            ("${SET:-d}", "value"),
            ("${EMPTY:-d}", "d"),
            ("${UNSET:-d}", "d"),
            ("${EMPTY-d}", ""),
            ("${UNSET-d}", "d"),
            ("${SET:+a}", "a"),
            ("${EMPTY:+a}", ""),
            ("${EMPTY+a}", "a"),
            ("${UNSET+a}", ""),
            ("${UNSET:-}", ""),
            ("${SET:?m}", "value"),
            ("${EMPTY?m}", ""),
            ("$$SET", "$SET"),
            ("$${SET}", "${SET}"),
            ("price: 5$$", "price: 5$"),
            ("no variables", "no variables"),
        ];
        for (text, expected) in table {
            assert_eq!(run(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn defaults_nest() {
        assert_eq!(run("${UNSET:-${EMPTY:-${OTHER}}}x"), Ok("ox".to_owned()));
        assert_eq!(run("${UNSET:-a${SET}b}"), Ok("avalueb".to_owned()));
        assert_eq!(run("${SET:+${OTHER}/}${SET}"), Ok("o/value".to_owned()));
        assert_eq!(run("${UNSET:-$$}"), Ok("$".to_owned()));
        assert_eq!(
            run("${UNSET:-http://x:80/{y}"),
            Ok("http://x:80/{y".to_owned())
        );
    }

    #[test]
    fn faults_name_the_text() {
        for text in [
            "$", "a $ b", "$1", "${}", "${SET", "${1X}", "${SET!x}", "${SET:x}",
        ] {
            assert!(
                run(text).is_err_and(|error| error.contains("invalid variable")),
                "{text}"
            );
        }
        assert_eq!(
            run("${EMPTY:?set it in .env}"),
            Err("required variable `EMPTY` is missing a value: set it in .env".to_owned())
        );
        let deep = format!("{}x{}", "${A:-".repeat(100), "}".repeat(100));
        assert_eq!(
            run(&deep),
            Err("variables nested deeper than 32 levels".to_owned())
        );
    }

    #[test]
    fn unset_names_are_told() {
        let mut names = Vec::new();
        interpolate("$A ${B} ${C:-x}", &Variables::new(), &mut |name| {
            names.push(name.to_owned());
        })
        .unwrap();
        assert_eq!(names, ["A", "B"]);
    }
}
