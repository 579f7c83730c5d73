//! `# check=skip=A,B;error=true;experimental=C`
//! (<https://docs.docker.com/reference/dockerfile/#check>).

use std::collections::BTreeSet;

use super::Rule;

/// Which rules are looked at, and whether what they find stops a build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    skip: Selection,
    experimental: Selection,
    /// A build fails when something is found.
    pub error: bool,
}

/// `all`, or names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Selection {
    all: bool,
    names: BTreeSet<String>,
}

/// Settings that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Something else than `skip=`, `error=` and `experimental=`.
    #[error("`{option}` is not an option of checks; they are skip=, error= and experimental=")]
    Option {
        /// What was written.
        option: String,
    },
    /// `error=` takes a boolean.
    #[error("`error={value}` is neither true nor false")]
    Boolean {
        /// What was written.
        value: String,
    },
}

impl Settings {
    /// Reads the value of the directive or of the build argument `BUILDKIT_DOCKERFILE_CHECK`.
    pub fn parse(text: &str) -> Result<Settings, SettingsError> {
        let mut settings = Settings::default();
        let text = text.trim();
        if text.is_empty() {
            return Ok(settings);
        }
        for part in text.splitn(3, ';') {
            let option = || SettingsError::Option {
                option: part.trim().to_owned(),
            };
            let (name, value) = part.split_once('=').ok_or_else(option)?;
            let value = value.trim();
            match name.trim() {
                "skip" => settings.skip = Selection::parse(value),
                "experimental" => settings.experimental = Selection::parse(value),
                "error" => settings.error = boolean(value)?,
                _ => return Err(option()),
            }
        }
        Ok(settings)
    }

    /// The settings for a line of another file than a Dockerfile: `#` comments right above it may add to these.
    #[must_use]
    pub fn above_line(&self, text: &str, line: usize) -> Settings {
        let before: Vec<&str> = text.lines().take(line.saturating_sub(1)).collect();
        let comments = before
            .iter()
            .rev()
            .map_while(|line| line.trim().strip_prefix('#'));
        let comments: Vec<String> = comments.map(|comment| comment.trim().to_owned()).collect();
        self.with_comments(&comments)
            .unwrap_or_else(|| self.clone())
    }

    /// Adds what a comment right above an instruction says; `error=` only counts for the whole file.
    pub(super) fn with_comments(&self, comments: &[String]) -> Option<Settings> {
        let directive = comments.iter().find_map(|comment| {
            let (name, value) = comment.split_once('=')?;
            let value = value.trim_start();
            (name.trim().eq_ignore_ascii_case("check") && !value.is_empty()).then_some(value)
        })?;
        let value = directive.split(' ').next().unwrap_or_default();
        let local = Settings::parse(value).ok()?;
        Some(Settings {
            skip: self.skip.with(&local.skip),
            experimental: self.experimental.with(&local.experimental),
            error: self.error,
        })
    }

    /// Whether the rule is looked at.
    pub fn allow(&self, rule: &Rule) -> bool {
        if rule.experimental {
            self.experimental.has(rule)
        } else {
            !self.skip.has(rule)
        }
    }
}

impl Selection {
    fn parse(value: &str) -> Selection {
        if value == "all" {
            return Selection {
                all: true,
                names: BTreeSet::new(),
            };
        }
        Selection {
            all: false,
            names: value
                .split(',')
                .map(|name| name.trim().to_owned())
                .collect(),
        }
    }

    fn with(&self, other: &Selection) -> Selection {
        Selection {
            all: self.all || other.all,
            names: self.names.union(&other.names).cloned().collect(),
        }
    }

    fn has(&self, rule: &Rule) -> bool {
        self.all || self.names.contains(rule.name)
    }
}

/// Go's `strconv.ParseBool`, which BuildKit reads it with.
fn boolean(value: &str) -> Result<bool, SettingsError> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(SettingsError::Boolean {
            value: value.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::rule::{
        INVALID_DEFINITION_DESCRIPTION, ROOT_BEFORE_COMMAND, STAGE_NAME_CASING, UNDEFINED_VAR,
    };
    use super::*;

    fn allowed(settings: &Settings) -> [bool; 3] {
        [
            &STAGE_NAME_CASING,
            &ROOT_BEFORE_COMMAND,
            &INVALID_DEFINITION_DESCRIPTION,
        ]
        .map(|rule| settings.allow(rule))
    }

    #[test]
    fn options() {
        let cases = [
            ("", [true, true, false], false),
            ("skip=StageNameCasing", [false, true, false], false),
            (
                " skip = StageNameCasing , RootBeforeCommand ;error=1",
                [false, false, false],
                true,
            ),
            ("error=true;skip=all", [false, false, false], true),
            ("experimental=all", [true, true, true], false),
            (
                "skip=all;experimental=InvalidDefinitionDescription",
                [false, false, true],
                false,
            ),
        ];
        for (text, wanted, error) in cases {
            let settings = Settings::parse(text).unwrap();
            assert_eq!(
                (allowed(&settings), settings.error),
                (wanted, error),
                "{text}"
            );
        }
        for text in ["skip", "colour=red", "error=yes", "skip=a;error"] {
            assert!(Settings::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn comments_add_to_the_file() {
        let file = Settings::parse("skip=StageNameCasing").unwrap();
        let comments = [
            "a word".to_owned(),
            "Check = skip=UndefinedVar why".to_owned(),
        ];
        let local = file.with_comments(&comments).unwrap();
        assert!(!local.allow(&UNDEFINED_VAR) && !local.allow(&STAGE_NAME_CASING));
        assert_eq!(file.with_comments(&comments[..1]), None);
        assert_eq!(file.with_comments(&["check=nonsense".to_owned()]), None);
    }
}
