//! `[serve]` of `howdah.toml`: the flags of `howdah serve` by their names with underscores. What it says counts less than the
//! environment, and that less than the command line.

use std::io::ErrorKind;

use clap::error::ErrorKind as Wrong;
use clap::{Arg, ArgAction, Args as _, Command, FromArgMatches as _};
use howdah_serve::config::AdminAddress;
use howdah_serve::routes::Pattern;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::php::{PhpArgs, REST};
use crate::commands::CommandError;

/// In the directory that `howdah serve` is started in.
const FILE: &str = "howdah.toml";
/// `[serve.pools.NAME]`.
const POOLS: &str = "pools";
/// Its paths.
const PATHS: &str = "paths";

/// What the file says for one flag.
#[derive(Debug, PartialEq, Eq)]
struct Setting {
    /// The flag's id.
    id: String,
    values: Vec<String>,
}

/// `[serve.pools.NAME]`: a part of the application with workers of its own.
#[derive(Debug)]
pub(crate) struct PoolSection {
    pub(crate) name: String,
    /// Requests for these paths.
    pub(crate) paths: Vec<Pattern>,
    settings: Vec<Setting>,
}

/// All of `[serve]`.
#[derive(Debug, Default)]
struct ServeSection {
    settings: Vec<Setting>,
    /// In the order of the file.
    pools: Vec<PoolSection>,
}

impl PoolSection {
    /// What the server says of PHP, but for what this section says.
    pub(crate) fn over(&self, server: &PhpArgs) -> Result<PhpArgs, CommandError> {
        let command = pool_flags().no_binary_name(true);
        // Only what is said here is taken over.
        let command = command.mut_args(|flag| flag.env(None::<&str>).default_value(None::<&str>));
        let word = |setting: &Setting| {
            let flag = command
                .get_arguments()
                .find(|flag| *flag.get_id() == *setting.id);
            let long = flag.and_then(Arg::get_long).unwrap_or_default();
            let is_switch =
                flag.is_some_and(|flag| matches!(flag.get_action(), ArgAction::SetTrue));
            let values = setting.values.iter();
            let words = values.map(|value| {
                if is_switch {
                    format!("--{long}")
                } else {
                    format!("--{long}={value}")
                }
            });
            words.collect::<Vec<_>>()
        };
        let words: Vec<String> = self.settings.iter().flat_map(word).collect();
        let mut args = server.clone();
        args.update_from_arg_matches(&command.try_get_matches_from(words)?)?;
        Ok(args)
    }
}

/// Puts what the file says beneath the flags of the subcommand `serve`.
pub(crate) fn beneath(command: Command) -> Result<Command, CommandError> {
    let settings = section()?.settings;
    Ok(command.mut_subcommand("serve", |serve| {
        settings.into_iter().fold(serve, |serve, setting| {
            serve.mut_arg(setting.id, |flag| flag.default_values(setting.values))
        })
    }))
}

/// The parts of the application that have workers of their own.
pub(super) fn pools() -> Result<Vec<PoolSection>, CommandError> {
    Ok(section()?.pools)
}

/// Where the server is administrated, by the file.
pub(crate) fn admin() -> Result<Option<AdminAddress>, CommandError> {
    let settings = section()?.settings;
    let admin = settings.into_iter().find(|setting| setting.id == "admin");
    let said = admin.and_then(|setting| setting.values.into_iter().next());
    // It was read with the same parser.
    Ok(said.and_then(|said| super::admin_address(&said).ok()))
}

/// Of the file, if there is one.
fn section() -> Result<ServeSection, CommandError> {
    match fs_err::read_to_string(FILE) {
        Ok(text) => read(&text).map_err(refusal),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(ServeSection::default()),
        Err(error) => Err(error.into()),
    }
}

fn pool_flags() -> Command {
    PhpArgs::augment_args(Command::new("pool"))
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

/// `[serve]`; other tables belong to other parts. A fault begins with its line.
fn read(text: &str) -> Result<ServeSection, Vec<String>> {
    let line_at = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
    let told = |mut faults: Vec<Fault>| {
        // The order of the file, which the maps have lost.
        faults.sort_unstable();
        let told = |(offset, fault)| format!("{}: {fault}", line_at(offset));
        faults.into_iter().map(told).collect::<Vec<_>>()
    };
    let document = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        told(vec![(offset, error.message().to_owned())])
    })?;
    let Some(serve) = document.get_ref().get("serve") else {
        return Ok(ServeSection::default());
    };
    let mut faults = Vec::new();
    let mut section = ServeSection::default();
    if let Some(table) = table(serve, "serve", &mut faults) {
        let flags = super::Args::augment_args(Command::new("serve"));
        let is_setting = |key: &str| key != POOLS;
        section.settings = settings(&flags, table, is_setting, &mut faults);
        if let Some(pools) = table.get(POOLS) {
            section.pools = pool_sections(pools, &mut faults);
        }
    }
    if faults.is_empty() {
        Ok(section)
    } else {
        Err(told(faults))
    }
}

/// Where in the file, and what.
type Fault = (usize, String);

fn table<'a, 'text>(
    value: &'a Spanned<DeValue<'text>>,
    name: &str,
    faults: &mut Vec<Fault>,
) -> Option<&'a DeTable<'text>> {
    let table = value.get_ref().as_table();
    if table.is_none() {
        let fault = format!("`{name}` must be a table: write [{name}]");
        faults.push((value.span().start, fault));
    }
    table
}

fn pool_sections(pools: &Spanned<DeValue<'_>>, faults: &mut Vec<Fault>) -> Vec<PoolSection> {
    let Some(pools) = table(pools, "serve.pools", faults) else {
        return Vec::new();
    };
    let flags = pool_flags();
    let mut sections = Vec::new();
    for (name, pool) in pools {
        let offset = name.span().start;
        let name = name.get_ref().to_string();
        let Some(table) = table(pool, &format!("serve.pools.{name}"), faults) else {
            continue;
        };
        let paths = table.get(PATHS).and_then(texts).unwrap_or_default();
        if paths.is_empty() {
            let fault = format!("pool `{name}` has no `{PATHS}`: say which, as [\"/export/*\"]");
            faults.push((offset, fault));
        }
        if name == REST {
            let fault = format!("`{REST}` is the name of the pool for everything else");
            faults.push((offset, fault));
        }
        let settings = settings(&flags, table, |key| key != PATHS, faults);
        let section = PoolSection {
            name,
            paths: paths.into_iter().map(Pattern::new).collect(),
            settings,
        };
        sections.push((offset, section));
    }
    sections.sort_by_key(|(offset, _)| *offset);
    sections.into_iter().map(|(_, section)| section).collect()
}

fn settings(
    flags: &Command,
    table: &DeTable<'_>,
    is_setting: impl Fn(&str) -> bool,
    faults: &mut Vec<Fault>,
) -> Vec<Setting> {
    let mut settings = Vec::new();
    for (key, value) in table.iter().filter(|(key, _)| is_setting(key.get_ref())) {
        match setting(flags, key.get_ref(), value) {
            Ok(setting) => settings.extend(setting),
            Err(fault) => faults.push((key.span().start, fault)),
        }
    }
    settings
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
    let values = if takes_many {
        texts(value)
    } else {
        scalar(value).map(|value| vec![value])
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
        Some((_, name)) => format!("there is no `{key}` here: did you mean `{name}`?"),
        None => format!("there is no `{key}` here"),
    }
}

/// One, or a list of them.
fn texts(value: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
    match value.get_ref() {
        DeValue::Array(items) => items.iter().map(scalar).collect(),
        _ => scalar(value).map(|value| vec![value]),
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
            .settings
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
        assert!(read("").unwrap().settings.is_empty());
    }

    #[test]
    fn pools_in_the_order_of_the_file() {
        let text = "[serve.pools.slow]\npaths = ['/export/*', '*.pdf']\nworkers = 2\n[serve.pools.other]\npaths = '/other'\n";
        let pools = read(text).unwrap().pools;
        let names: Vec<&str> = pools.iter().map(|pool| pool.name.as_str()).collect();
        assert_eq!(names, ["slow", "other"]);
        assert_eq!(pools[0].paths.len(), 2);
        let faults = read(
            "[serve.pools.a]\nworkers = 0\nlisten = 1\n[serve.pools]\nb = 1\nphp.paths = '/'\n",
        )
        .unwrap_err();
        insta::assert_snapshot!(faults.join("\n"), @r#"
        1: pool `a` has no `paths`: say which, as ["/export/*"]
        2: invalid value '0' for '--workers <COUNT|LEAST-MOST>': `0` is no number of workers, as 4, or 2-16
        3: there is no `listen` here
        5: `serve.pools.b` must be a table: write [serve.pools.b]
        6: `php` is the name of the pool for everything else
        "#);
    }

    #[test]
    fn all_faults_with_their_lines() {
        let text = "[serve]\nworker_s = 2\nworkers = 0\nwatch = 1\nmax_wait = \"soon\"\nqueue = [1]\n\n[serve.frobnicate]\n";
        insta::assert_snapshot!(read(text).unwrap_err().join("\n"), @"
        2: there is no `worker_s` here: did you mean `workers`?
        3: invalid value '0' for '--workers <COUNT|LEAST-MOST>': `0` is no number of workers, as 4, or 2-16
        4: `watch` must be true or false
        5: invalid value 'soon' for '--max-wait <SECONDS>': invalid digit found in string
        6: `queue` must be a text or a number
        8: there is no `frobnicate` here
        ");
        insta::assert_snapshot!(read("serve = 1").unwrap_err().join("\n"), @"1: `serve` must be a table: write [serve]");
        insta::assert_snapshot!(read("[serve]\nmode =").unwrap_err().join("\n"), @"2: string values must be quoted, expected literal string");
    }
}
