//! What a build came to, and how two of them are compared.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::case::directory;

/// The result of a build, in the form in which it is recorded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Outcome {
    /// The builder's message; everything else is empty then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
    /// See [`crate::tree::Tree::listing`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tree: Vec<String>,
    /// The image's configuration, a line for each field that is not empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) config: Vec<String>,
    /// `created_by` of what the build added to its base, with ` (empty)` where it made no layer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) history: Vec<String>,
}

/// Where Howdah differs from BuildKit on purpose: what is given here replaces what was recorded.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Difference {
    /// Why, for the reader.
    #[expect(dead_code, reason = "for people, and required")]
    reason: String,
    /// Howdah fails, or, `false`, does not.
    fails: Option<bool>,
    tree: Option<Vec<String>>,
    config: Option<Vec<String>>,
    history: Option<Vec<String>>,
}

impl Difference {
    pub(crate) fn over(&self, recorded: &Outcome) -> Outcome {
        let failure = match self.fails {
            Some(true) => Some(recorded.failure.clone().unwrap_or_default()),
            Some(false) => None,
            None => recorded.failure.clone(),
        };
        let fails = failure.is_some();
        let of = |own: &Option<Vec<String>>, recorded: &[String]| {
            if fails {
                Vec::new()
            } else {
                own.clone().unwrap_or_else(|| recorded.to_vec())
            }
        };
        Outcome {
            tree: of(&self.tree, &recorded.tree),
            history: of(&self.history, &recorded.history),
            config: of(&self.config, &recorded.config),
            failure,
        }
    }
}

impl Outcome {
    /// Whether a device node came of it.
    pub(crate) fn has_devices(&self) -> bool {
        let is_device = |line: &String| line.contains(" char ") || line.contains(" block ");
        self.tree.iter().any(is_device)
    }

    pub(crate) fn failed(message: &str) -> Outcome {
        Outcome {
            failure: Some(message.trim().to_owned()),
            ..Outcome::default()
        }
    }

    /// Compares with what Howdah did. Messages of failures are each builder's own: Howdah's must have `told` in it.
    pub(crate) fn compare(&self, actual: &Outcome, told: Option<&str>) -> Result<(), String> {
        match (&self.failure, &actual.failure) {
            (None, None) => {}
            (Some(_), Some(message)) => {
                let told = told.unwrap_or_default();
                return if message.contains(told) {
                    Ok(())
                } else {
                    Err(format!("the message has no `{told}`:\n{message}"))
                };
            }
            (Some(expected), None) => {
                return Err(format!(
                    "must fail; BuildKit: {expected}\n{}",
                    actual.tree.join("\n")
                ));
            }
            (None, Some(message)) => return Err(format!("failed:\n{message}")),
        }
        let differences = [
            difference("tree", &self.tree, &actual.tree),
            difference("config", &self.config, &actual.config),
            difference("history", &self.history, &actual.history),
        ]
        .concat();
        if differences.is_empty() {
            Ok(())
        } else {
            Err(differences)
        }
    }
}

/// Lines of only one side; in a different order, both.
fn difference(what: &str, expected: &Vec<String>, actual: &Vec<String>) -> String {
    if expected == actual {
        return String::new();
    }
    let only = |these: &[String], others: &[String], mark: char| -> Vec<String> {
        let only: Vec<_> = these.iter().filter(|line| !others.contains(line)).collect();
        let shown: Vec<_> = if these.len() == others.len() && only.is_empty() {
            these.iter().collect()
        } else {
            only
        };
        shown
            .iter()
            .map(|line| format!("  {mark} {line}"))
            .collect()
    };
    let lines = [only(expected, actual, '-'), only(actual, expected, '+')].concat();
    format!("{what} (- BuildKit, + Howdah)\n{}\n", lines.join("\n"))
}

/// The recorded outcomes of a group by case.
#[derive(Debug, Default)]
pub(crate) struct Recorded(BTreeMap<String, Outcome>);

impl Recorded {
    /// Reads `recorded/<group>.json`; nothing is recorded without it.
    pub(crate) fn read(group: &str) -> Recorded {
        let path = directory().join("recorded").join(format!("{group}.json"));
        match fs_err::read_to_string(path) {
            Ok(text) => Recorded(serde_json::from_str(&text).unwrap()),
            Err(_) => Recorded::default(),
        }
    }

    pub(crate) fn write(&self, group: &str) {
        let path = directory().join("recorded").join(format!("{group}.json"));
        let text = serde_json::to_string_pretty(&self.0).unwrap();
        fs_err::write(path, text + "\n").unwrap();
    }

    pub(crate) fn get(&self, case: &str) -> Option<&Outcome> {
        self.0.get(case)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Takes the outcomes of `cases` from `outcomes` where they are there, else as they were; others are forgotten.
    pub(crate) fn update(&mut self, cases: &[String], outcomes: &BTreeMap<String, Outcome>) {
        self.0.extend(outcomes.clone());
        self.0.retain(|name, _| cases.contains(name));
    }
}
