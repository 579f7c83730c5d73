//! `[serve]` of `howdah.toml`: the flags of `howdah serve` by their names with underscores. What it says counts less than the
//! environment, and that less than the command line.

use std::io::ErrorKind;

use clap::error::ErrorKind as Wrong;
use clap::{Arg, ArgAction, Args as _, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::commands::CommandError;

/// In the directory that `howdah serve` is started in.
const FILE: &str = "howdah.toml";

/// What the file says for one flag.
#[derive(Debug, PartialEq, Eq)]
struct Setting {
    /// The flag's id.
    id: String,
    values: Vec<String>,
}

/// Puts what the file says beneath the flags of the subcommand `serve`.
pub(crate) fn beneath(command: Command) -> Result<Command, CommandError> {
    let text = match fs_err::read_to_string(FILE) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(command),
        Err(error) => return Err(error.into()),
    };
    let settings = read(&text).map_err(refusal)?;
    Ok(command.mut_subcommand("serve", |serve| {
        settings.into_iter().fold(serve, |serve, setting| {
            serve.mut_arg(setting.id, |flag| flag.default_values(setting.values))
        })
    }))
}

/// All faults at once, each with its line.
fn refusal(faults: Vec<String>) -> CommandError {
    let told = faults
        .into_iter()
        .rev()
        .map(|fault| format!("{FILE}:{fault}"));
    let causes = told.fold(None, |causes: Option<CommandError>, fault| match causes {
        None => Some(CommandError::new(fault)),
        Some(causes) => Some(causes.about(fault)),
    });
    let about = format!("`{FILE}` cannot be used");
    match causes {
        None => CommandError::new(about),
        Some(causes) => causes.about(about),
    }
    .hint("the keys of [serve] are the flags of `howdah serve --help`, with _ for -")
    .code(2)
}

/// The settings of `[serve]`; other tables belong to other parts. A fault begins with its line.
fn read(text: &str) -> Result<Vec<Setting>, Vec<String>> {
    let line_at = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
    let document = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_at(span.start));
        vec![format!("{line}: {}", error.message())]
    })?;
    let Some(serve) = document.get_ref().get("serve") else {
        return Ok(Vec::new());
    };
    let Some(table) = serve.get_ref().as_table() else {
        let line = line_at(serve.span().start);
        return Err(vec![format!(
            "{line}: `serve` must be a table: write [serve]"
        )]);
    };
    let flags = super::Args::augment_args(Command::new("serve"));
    let (mut settings, mut faults) = (Vec::new(), Vec::new());
    for (key, value) in table {
        match setting(&flags, key.get_ref(), value) {
            Ok(setting) => settings.extend(setting),
            Err(fault) => faults.push((line_at(key.span().start), fault)),
        }
    }
    if faults.is_empty() {
        return Ok(settings);
    }
    // The order of the file, which the map has lost.
    faults.sort();
    let told = faults
        .into_iter()
        .map(|(line, fault)| format!("{line}: {fault}"));
    Err(told.collect())
}

/// None for a switch that is off.
fn setting(
    flags: &Command,
    key: &str,
    value: &Spanned<DeValue<'_>>,
) -> Result<Option<Setting>, String> {
    let Some(flag) = flags
        .get_arguments()
        .find(|flag| name(flag).as_deref() == Some(key))
    else {
        return Err(unknown(flags, key));
    };
    let id = flag.get_id().to_string();
    if matches!(flag.get_action(), ArgAction::SetTrue) {
        let Some(is_on) = value.get_ref().as_bool() else {
            return Err(format!("`{key}` must be true or false"));
        };
        let values = vec!["true".to_owned()];
        return Ok(is_on.then_some(Setting { id, values }));
    }
    let takes_many = matches!(flag.get_action(), ArgAction::Append);
    let values = match value.get_ref() {
        DeValue::Array(items) if takes_many => items.iter().map(scalar).collect(),
        _ => scalar(value).map(|value| vec![value]),
    };
    let Some(values) = values else {
        let list = if takes_many {
            ", or a list of them"
        } else {
            ""
        };
        return Err(format!("`{key}` must be a text or a number{list}"));
    };
    check(flags, flag, &values)?;
    Ok(Some(Setting { id, values }))
}

/// The key of a flag.
fn name(flag: &Arg) -> Option<String> {
    flag.get_long().map(|long| long.replace('-', "_"))
}

fn unknown(flags: &Command, key: &str) -> String {
    let names = flags.get_arguments().filter_map(name);
    let close = names
        .map(|name| (strsim::jaro_winkler(key, &name), name))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|one, other| one.0.total_cmp(&other.0));
    match close {
        Some((_, name)) => format!("[serve] has no `{key}`: did you mean `{name}`?"),
        None => format!("[serve] has no `{key}`"),
    }
}

fn scalar(value: &Spanned<DeValue<'_>>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().replace('_', "")),
        _ => None,
    }
}

/// By the flag's own parser. What a flag demands of others is seen when all of them are there.
fn check(flags: &Command, flag: &Arg, values: &[String]) -> Result<(), String> {
    let long = flag.get_long().unwrap_or_default();
    let words = values.iter().map(|value| format!("--{long}={value}"));
    let words = std::iter::once("serve".to_owned()).chain(words);
    let flags = flags.clone().mut_args(|flag| flag.env(None::<&str>));
    match flags.try_get_matches_from(words) {
        Err(error) if matches!(error.kind(), Wrong::InvalidValue | Wrong::ValueValidation) => {
            let text = error.to_string();
            let told = text
                .lines()
                .map(str::trim)
                .take_while(|line| !line.is_empty());
            let told = told.collect::<Vec<_>>().join(" ");
            Err(told.trim_start_matches("error: ").to_owned())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_by_their_names() {
        let text = "[programs.web]\ncommand = 'x'\n[serve]\nworkers = \"2-4\"\nlisten = [8080, \"0.0.0.0:81\"]\nwatch = true\n\
                    no_access_log = false\nmax_body = 1_000\n";
        let mut settings: Vec<(String, String)> = read(text)
            .unwrap()
            .into_iter()
            .map(|setting| (setting.id, setting.values.join(" ")))
            .collect();
        settings.sort();
        let expected = [
            ("listen", "8080 0.0.0.0:81"),
            ("max_body", "1000"),
            ("watch", "true"),
            ("workers", "2-4"),
        ];
        assert_eq!(
            settings,
            expected.map(|(id, value)| (id.to_owned(), value.to_owned()))
        );
        assert_eq!(read(""), Ok(Vec::new()));
    }

    #[test]
    fn all_faults_with_their_lines() {
        let text = "[serve]\nworker_s = 2\nworkers = 0\nwatch = 1\nmax_wait = \"soon\"\nqueue = [1]\n\n[serve.frobnicate]\n";
        insta::assert_snapshot!(read(text).unwrap_err().join("\n"), @"
        2: [serve] has no `worker_s`: did you mean `workers`?
        3: invalid value '0' for '--workers <COUNT|LEAST-MOST>': `0` is no number of workers, as 4, or 2-16
        4: `watch` must be true or false
        5: invalid value 'soon' for '--max-wait <SECONDS>': invalid digit found in string
        6: `queue` must be a text or a number
        8: [serve] has no `frobnicate`
        ");
        insta::assert_snapshot!(read("serve = 1").unwrap_err().join("\n"), @"1: `serve` must be a table: write [serve]");
        insta::assert_snapshot!(read("[serve]\nmode =").unwrap_err().join("\n"), @"2: string values must be quoted, expected literal string");
    }
}
