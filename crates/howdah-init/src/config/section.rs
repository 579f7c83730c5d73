//! One program as a file wrote it: keys and values with their lines, the same for every file format.

use std::fmt::Display;
use std::path::Path;

use super::expand::Expansions;
use super::fault::{Findings, suggestion};

/// The settings of one program, not validated yet.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) settings: Vec<Setting>,
}

/// One key with its value.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) key: String,
    pub(crate) value: Value,
    pub(crate) line: usize,
}

/// A value; numbers and booleans are kept as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    List(Vec<String>),
    Table(Vec<(String, String)>),
}

/// Keys a program may have: supervisord's, then our own.
pub(crate) const KEYS: &[&str] = &[
    "autorestart",
    "autostart",
    "command",
    "directory",
    "environment",
    "exitcodes",
    "killasgroup",
    "numprocs",
    "numprocs_start",
    "priority",
    "process_name",
    "redirect_stderr",
    "startretries",
    "startsecs",
    "stderr_logfile",
    "stdout_logfile",
    "stopasgroup",
    "stopsignal",
    "stopwaitsecs",
    "umask",
    "user",
    "essential",
    "health",
    "health_timeout",
    "stderr",
    "stdout",
];

/// Keys of supervisord that mean nothing here: nothing is rotated, captured or sent as an event.
const WITHOUT_EFFECT: &[&str] = &[
    "serverurl",
    "stderr_capture_maxbytes",
    "stderr_events_enabled",
    "stderr_logfile_backups",
    "stderr_logfile_maxbytes",
    "stderr_syslog",
    "stdout_capture_maxbytes",
    "stdout_events_enabled",
    "stdout_logfile_backups",
    "stdout_logfile_maxbytes",
    "stdout_syslog",
];

/// Faults unknown keys, and warns of those without effect.
pub(crate) fn check_keys(file: &Path, section: &Section, findings: &mut Findings) {
    let mut without_effect = Vec::new();
    for setting in &section.settings {
        let key = setting.key.as_str();
        if WITHOUT_EFFECT.contains(&key) {
            // `0` means "do not rotate", which is what happens.
            if setting.value != Value::Text("0".to_owned()) {
                without_effect.push(key);
            }
        } else if !KEYS.contains(&key) {
            let message = format!("unknown key `{key}` in program `{}`", section.name);
            findings.fault_with_hint(
                file,
                setting.line,
                message,
                suggestion(key, KEYS.iter().copied()),
            );
        }
    }
    if !without_effect.is_empty() {
        let keys = without_effect.join(", ");
        findings.warn(
            file,
            section.line,
            format!("program `{}`: no effect here: {keys}", section.name),
        );
    }
}

/// Reads typed values out of a section; a fault gives the default, so that reading goes on and finds the others.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) file: &'a Path,
    pub(crate) section: &'a Section,
    pub(crate) names: &'a Expansions,
    pub(crate) findings: &'a mut Findings,
}

impl Reader<'_> {
    /// The setting that counts: as in configparser, the last one.
    fn setting(&self, key: &str) -> Option<&Setting> {
        self.section
            .settings
            .iter()
            .rev()
            .find(|setting| setting.key == key)
    }

    pub(crate) fn line(&self, key: &str) -> usize {
        self.setting(key)
            .map_or(self.section.line, |setting| setting.line)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.setting(key).is_some()
    }

    /// Notes that the value of `key` is wrong: "`stopsignal` in program `web` must ..".
    pub(crate) fn fault(&mut self, key: &str, reason: impl Display) {
        let message = format!("`{key}` of program `{}` {reason}", self.section.name);
        self.findings.fault(self.file, self.line(key), message);
    }

    pub(crate) fn warn(&mut self, key: &str, reason: impl Display) {
        let message = format!("`{key}` of program `{}` {reason}", self.section.name);
        self.findings.warn(self.file, self.line(key), message);
    }

    /// The value of `key`, expanded.
    pub(crate) fn value(&mut self, key: &str) -> Option<Value> {
        let value = self.setting(key)?.value.clone();
        let expand = |text: String| self.names.expand(&text);
        let expanded = match value {
            Value::Text(text) => expand(text).map(Value::Text),
            Value::List(items) => items
                .into_iter()
                .map(expand)
                .collect::<Result<_, _>>()
                .map(Value::List),
            Value::Table(pairs) => {
                let pairs = pairs
                    .into_iter()
                    .map(|(name, text)| Ok((name, expand(text)?)));
                pairs.collect::<Result<_, String>>().map(Value::Table)
            }
        };
        expanded.map_err(|reason| self.fault(key, reason)).ok()
    }

    /// The text of `key`, when it is set and is one.
    pub(crate) fn text(&mut self, key: &str) -> Option<String> {
        match self.value(key)? {
            Value::Text(text) => Some(text),
            Value::List(_) | Value::Table(_) => {
                self.fault(key, "must be a single value");
                None
            }
        }
    }

    /// The value of `key` through `parse`, whose error completes the sentence "`key` ..".
    pub(crate) fn parsed<T>(
        &mut self,
        key: &str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        let Some(text) = self.text(key) else {
            return default;
        };
        match parse(&text) {
            Ok(value) => value,
            Err(reason) => {
                self.fault(key, reason);
                default
            }
        }
    }

    /// A whole number of at least `least`.
    pub(crate) fn number(&mut self, key: &str, default: u32, least: u32) -> u32 {
        self.parsed(key, default, |text| match text.parse::<u32>() {
            Ok(number) if number >= least => Ok(number),
            _ => Err(format!(
                "must be a whole number of at least {least}, not `{text}`"
            )),
        })
    }

    /// A truth value, with all spellings supervisord takes.
    pub(crate) fn boolean(&mut self, key: &str, default: bool) -> bool {
        self.parsed(key, default, |text| {
            boolean(text).ok_or_else(|| format!("must be true or false, not `{text}`"))
        })
    }
}

/// supervisord `datatypes.boolean`.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "on" | "1" | "t" | "y" => Some(true),
        "false" | "no" | "off" | "0" | "f" | "n" | "none" => Some(false),
        _ => None,
    }
}
