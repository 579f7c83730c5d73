//! `%(program_name)s`, `%(process_num)02d`, `%(ENV_HOME)s`, `%(here)s`: the expansions of supervisord, which are Python's `%` formats.

use std::collections::BTreeMap;

/// The names one value may use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expansions {
    names: BTreeMap<String, String>,
}

impl Expansions {
    /// `ENV_X` for each variable of the environment, as supervisord has it.
    pub(crate) fn from_environment(environment: &BTreeMap<String, String>) -> Self {
        let names = environment
            .iter()
            .map(|(key, value)| (format!("ENV_{key}"), value.clone()));
        Self {
            names: names.collect(),
        }
    }

    pub(crate) fn with(mut self, name: &str, value: &impl ToString) -> Self {
        self.names.insert(name.to_owned(), value.to_string());
        self
    }

    /// Replaces each `%(name)s` or `%(name)d` in `text`; `%%` is one per cent sign.
    pub(crate) fn expand(&self, text: &str) -> Result<String, String> {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            expanded.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('%') {
                expanded.push('%');
                rest = after;
                continue;
            }
            let (name, after) = rest
                .strip_prefix('(')
                .and_then(|inner| inner.split_once(')'))
                .ok_or("has a `%` that starts no %(name)s; write `%%` for the sign itself")?;
            let value = self.names.get(name).ok_or_else(|| self.unknown(name))?;
            rest = format_value(name, value, after, &mut expanded)?;
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    fn unknown(&self, name: &str) -> String {
        if let Some(variable) = name.strip_prefix("ENV_") {
            return format!("uses %({name})s, but `{variable}` is not set in the environment");
        }
        let ours: Vec<_> = self
            .names
            .keys()
            .filter(|key| !key.starts_with("ENV_"))
            .map(String::as_str)
            .collect();
        format!(
            "uses %({name})s; the names are {} and ENV_*",
            ours.join(", ")
        )
    }
}

/// Applies the conversion at the start of `after` (`s`, `d`, `02d`) and gives what follows it.
fn format_value<'a>(
    name: &str,
    value: &str,
    after: &'a str,
    into: &mut String,
) -> Result<&'a str, String> {
    let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (width, conversion) = after.split_at(digits);
    let malformed =
        || format!("has a malformed %({name}){after}; write %({name})s or %({name})02d");
    let zeros = width.starts_with('0');
    let width = if width.is_empty() {
        0
    } else {
        width.parse::<u8>().map_err(|_| malformed())?.into()
    };
    let padded = match conversion.chars().next() {
        Some('s') => format!("{value:>width$}"),
        Some('d') => {
            let number: i64 = value
                .parse()
                .map_err(|_| format!("uses %({name})d, but `{value}` is not a number"))?;
            if zeros {
                format!("{number:0width$}")
            } else {
                format!("{number:width$}")
            }
        }
        _ => return Err(malformed()),
    };
    into.push_str(&padded);
    Ok(&conversion[1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Expansions {
        let environment = BTreeMap::from([("HOME".to_owned(), "/home/app".to_owned())]);
        Expansions::from_environment(&environment)
            .with("program_name", &"worker")
            .with("process_num", &7)
    }

    #[test]
    fn expands_as_python_formats() {
        assert_eq!(
            names()
                .expand("%(program_name)s_%(process_num)02d")
                .unwrap(),
            "worker_07"
        );
        assert_eq!(
            names()
                .expand("100%% %(ENV_HOME)s %(process_num)d")
                .unwrap(),
            "100% /home/app 7"
        );
        assert_eq!(names().expand("plain").unwrap(), "plain");
    }

    #[test]
    fn tells_what_is_unknown_or_malformed() {
        assert!(
            names()
                .expand("%(ENV_KEY)s")
                .unwrap_err()
                .contains("`KEY` is not set")
        );
        assert!(
            names()
                .expand("%(programname)s")
                .unwrap_err()
                .contains("process_num, program_name")
        );
        assert!(names().expand("date +%s").unwrap_err().contains("%%"));
        assert!(
            names()
                .expand("%(program_name)x")
                .unwrap_err()
                .contains("malformed")
        );
        assert!(
            names()
                .expand("%(program_name)d")
                .unwrap_err()
                .contains("not a number")
        );
        assert!(
            names()
                .expand("%(process_num)é")
                .unwrap_err()
                .contains("malformed")
        );
        assert!(
            names()
                .expand("%(process_num)9999999d")
                .unwrap_err()
                .contains("malformed")
        );
    }
}
