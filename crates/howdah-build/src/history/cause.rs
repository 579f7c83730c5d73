//! Comparing what two keys of one step were made of: pure, but for the files, which are asked for.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::describe::KeptFields;
use super::files::FileChange;
use super::lines::{LineChange, changed_lines};

/// Longer values of fields are cut.
const LONGEST_VALUE: usize = 300;

/// Why a step ran.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Cause {
    /// It has no earlier run.
    FirstTime,
    /// It has no earlier result, because it failed.
    FailedBefore {
        /// In which build.
        build: i64,
    },
    /// `--no-cache`
    NoCache,
    /// Nothing changed, but a prune removed its result.
    Removed {
        /// Milliseconds since 1970.
        at: i64,
    },
    /// Nothing changed, but its result is not in the store.
    Lost,
    /// The instruction itself is another.
    Instruction {
        /// As it was.
        old: String,
        /// As it is.
        new: String,
    },
    /// Files of a context.
    Files {
        /// The first ones that changed.
        files: Vec<FileChange>,
        /// How many changed.
        count: usize,
    },
    /// Files of a context, of which the list was forgotten.
    UnknownFiles,
    /// A build argument.
    BuildArg {
        /// Its name.
        name: String,
        /// `None` if it was not set.
        old: Option<String>,
        /// `None` if it is not set any more.
        new: Option<String>,
    },
    /// A variable of the environment.
    Environment {
        /// Its name.
        name: String,
        /// `None` if it was not set.
        old: Option<String>,
        /// `None` if it is not set any more.
        new: Option<String>,
    },
    /// Another field of the key.
    Field {
        /// As the recipe of the key calls it.
        name: String,
        /// Its values.
        old: Vec<String>,
        /// Its values.
        new: Vec<String>,
    },
    /// A text that the instruction brings along.
    Text {
        /// As the recipe of the key calls it.
        name: String,
        /// The first changed lines.
        lines: Vec<LineChange>,
    },
    /// The base image.
    Base {
        /// `name@digest` as it was.
        old: String,
        /// As it is.
        new: String,
    },
    /// Another step that it stands on or takes files from.
    Parent {
        /// What progress calls it.
        step: String,
        /// Its number in the build, from 1.
        number: usize,
        /// Whether it ran in this build; else it was found in the cache with another result.
        ran: bool,
    },
    /// It is known that the key changed, and not in what.
    Unknown,
}

/// What changed between the fields of two keys, without the contents of files.
pub(super) fn compare_fields(old: &KeptFields, new: &KeptFields) -> Vec<Cause> {
    let (old, new) = (by_name(old), by_name(new));
    let names: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    let args = variables(&values(&old, "arg"), &values(&new, "arg"));
    let arg_names: BTreeSet<&str> = args.keys().copied().collect();
    let mut causes = Vec::new();
    for (name, (before, after)) in variables(&values(&old, "env"), &values(&new, "env")) {
        if before != after {
            causes.push(variable(name, before, after, arg_names.contains(name)));
        }
    }
    let mut texts = Vec::new();
    for name in names
        .into_iter()
        .filter(|name| !matches!(*name, "arg" | "env" | "content"))
    {
        let (before, after) = (values(&old, name), values(&new, name));
        if before == after {
            continue;
        }
        texts.extend(after.iter().chain(&before).copied().map(str::to_owned));
        causes.push(field(name, &before, &after));
    }
    // Outside RUN an argument counts where an instruction names it.
    let used = |value: Option<&str>| {
        value
            .is_some_and(|value| !value.is_empty() && texts.iter().any(|text| text.contains(value)))
    };
    for (name, (before, after)) in args.iter().filter(|(_, (before, after))| before != after) {
        let told = causes
            .iter()
            .any(|cause| matches!(cause, Cause::BuildArg { name: told, .. } if told == name));
        if !told && (used(*before) || used(*after)) {
            causes.insert(0, variable(name, *before, *after, true));
        }
    }
    causes
}

/// The digests of contexts in the fields, in order.
pub(super) fn contents(fields: &KeptFields) -> Vec<&str> {
    fields
        .iter()
        .filter(|(name, _)| name == "content")
        .map(|(_, value)| value.as_str())
        .collect()
}

fn values<'f>(fields: &BTreeMap<&str, Vec<&'f str>>, name: &str) -> Vec<&'f str> {
    fields.get(name).cloned().unwrap_or_default()
}

fn by_name(fields: &KeptFields) -> BTreeMap<&str, Vec<&str>> {
    let mut map: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in fields {
        map.entry(name).or_default().push(value);
    }
    map
}

type Values<'a> = (Option<&'a str>, Option<&'a str>);

fn variables<'a>(old: &[&'a str], new: &[&'a str]) -> BTreeMap<&'a str, Values<'a>> {
    let mut map: BTreeMap<&str, Values<'_>> = BTreeMap::new();
    for (name, value) in old.iter().filter_map(|pair| pair.split_once('=')) {
        map.entry(name).or_default().0 = Some(value);
    }
    for (name, value) in new.iter().filter_map(|pair| pair.split_once('=')) {
        map.entry(name).or_default().1 = Some(value);
    }
    map
}

fn variable(name: &str, old: Option<&str>, new: Option<&str>, is_arg: bool) -> Cause {
    let (name, old, new) = (name.to_owned(), old.map(cut), new.map(cut));
    if is_arg {
        Cause::BuildArg { name, old, new }
    } else {
        Cause::Environment { name, old, new }
    }
}

fn field(name: &str, old: &[&str], new: &[&str]) -> Cause {
    let is_text = |values: &[&str]| values.iter().any(|value| value.trim_end().contains('\n'));
    if is_text(old) || is_text(new) {
        let (lines, _) = changed_lines(&old.join("\n"), &new.join("\n"));
        return Cause::Text {
            name: name.to_owned(),
            lines,
        };
    }
    // Values that are on both sides only hide the others.
    let only = |values: &[&str], others: &[&str]| -> Vec<String> {
        let kept: Vec<&str> = values
            .iter()
            .copied()
            .filter(|value| !others.contains(value))
            .collect();
        if kept.is_empty() {
            values.iter().copied().map(cut).collect()
        } else {
            kept.into_iter().map(cut).collect()
        }
    };
    Cause::Field {
        name: name.to_owned(),
        old: only(old, new),
        new: only(new, old),
    }
}

fn cut(value: &str) -> String {
    match value.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> KeptFields {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn arg(name: &str, old: Option<&str>, new: Option<&str>) -> Cause {
        variable(name, old, new, true)
    }

    #[test]
    fn an_argument_of_a_run_is_told_from_its_environment() {
        let old = fields(&[
            ("argument", "make"),
            ("env", "PATH=/bin"),
            ("env", "V=1"),
            ("env", "MODE=a"),
            ("arg", "V=1"),
        ]);
        let new = fields(&[
            ("argument", "make"),
            ("env", "PATH=/bin"),
            ("env", "V=2"),
            ("env", "MODE=b"),
            ("arg", "V=2"),
        ]);
        assert_eq!(
            compare_fields(&old, &new),
            [
                variable("MODE", Some("a"), Some("b"), false),
                arg("V", Some("1"), Some("2"))
            ]
        );
        assert_eq!(compare_fields(&old, &old), []);
    }

    #[test]
    fn an_argument_of_a_copy_counts_where_it_is_used() {
        let copy = |version: &str| {
            fields(&[
                ("source", &format!("app-{version}")),
                ("destination", "/app"),
                ("arg", &format!("VERSION={version}")),
                ("arg", &format!("OTHER=unused{version}")),
            ])
        };
        assert_eq!(
            compare_fields(&copy("1.0"), &copy("1.1")),
            [
                arg("VERSION", Some("1.0"), Some("1.1")),
                Cause::Field {
                    name: "source".into(),
                    old: vec!["app-1.0".into()],
                    new: vec!["app-1.1".into()],
                },
            ]
        );
    }

    #[test]
    fn fields_name_what_is_only_on_one_side() {
        let old = fields(&[
            ("source", "a"),
            ("source", "b"),
            ("user", ""),
            ("text", "one\ntwo\n"),
        ]);
        let new = fields(&[
            ("source", "a"),
            ("source", "c"),
            ("user", "app"),
            ("text", "one\n2\n"),
        ]);
        let causes = compare_fields(&old, &new);
        let field = |name: &str, old: &str, new: &str| Cause::Field {
            name: name.into(),
            old: vec![old.into()],
            new: vec![new.into()],
        };
        assert_eq!(causes[0], field("source", "b", "c"));
        assert_eq!(causes[2], field("user", "", "app"));
        assert!(
            matches!(&causes[1], Cause::Text { lines, .. } if lines[0].line == 2 && lines.len() == 1)
        );
    }
}
