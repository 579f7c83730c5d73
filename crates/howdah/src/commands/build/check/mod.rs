//! `howdah build --check`: what the checks say, as text, JSON or SARIF; and their summary behind a build.

mod json;
mod sarif;
mod text;

use std::process::ExitCode;
use std::str::FromStr;

use howdah_build::{ContextSource, Target};
use howdah_image::{Image, Store};
use howdah_lint::{
    CheckSettings, KnownImages, SETTINGS_ARGUMENT, check_project, check_targets, compose_targets,
};

use super::{Args, Subject, inputs};
use crate::commands::{CommandError, Context};

/// The options of checks.
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// Check the Dockerfile and the project around it instead of building; fails when something is found.
    #[arg(long)]
    check: bool,
    /// What to do: build, or check; `check,format=json` chooses the format.
    #[arg(long, value_name = "METHOD[,format=FORMAT]")]
    call: Option<Call>,
    /// How --check says it.
    #[arg(long, value_enum, requires = "check")]
    format: Option<Format>,
}

/// `--call`, as buildx has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Call {
    check: bool,
    format: Option<Format>,
}

/// How findings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    Text,
    /// As `docker build --call=check,format=json` writes it, with reasons and fixes.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
}

impl FromStr for Call {
    type Err = String;

    fn from_str(text: &str) -> Result<Call, String> {
        let mut fields = text.split(',');
        let check = match fields.next() {
            Some("build") => false,
            Some("check" | "lint") => true,
            other => {
                return Err(format!(
                    "`{}` is neither build nor check",
                    other.unwrap_or_default()
                ));
            }
        };
        let mut format = None;
        for field in fields {
            let value = field
                .strip_prefix("format=")
                .ok_or_else(|| format!("`{field}` is not format="))?;
            format = Some(<Format as clap::ValueEnum>::from_str(value, true)?);
        }
        Ok(Call { check, format })
    }
}

impl CheckArgs {
    /// The format, if this call checks.
    pub(super) fn wanted(&self) -> Option<Format> {
        let call = self.call.filter(|call| call.check);
        if !self.check && call.is_none() {
            return None;
        }
        let format = self.format.or(call.and_then(|call| call.format));
        Some(format.unwrap_or(Format::Text))
    }
}

/// Checks what a build would build, and the project around it; the exit code is 1 when something is found.
pub(super) fn run(
    context: &Context,
    args: &Args,
    format: Format,
) -> Result<ExitCode, CommandError> {
    let (directory, targets) = match Subject::of(args)? {
        Subject::Services(directory, names) => {
            let targets = compose_targets(&directory, &names)?.unwrap_or_default();
            (Some(directory), targets)
        }
        Subject::Context(operand) => {
            // What comes from elsewhere goes through the store.
            let store = Store::open(context.root())?;
            let target = inputs::target(&store, &inputs::options(args)?, &operand, args)?;
            let directory = match &target.context {
                ContextSource::Directory(directory) => Some(directory.clone()),
                ContextSource::Fetched(_) | ContextSource::Empty => None,
            };
            (directory, vec![target])
        }
    };
    let mut targets = targets;
    for target in &mut targets {
        inputs::common(target, args)?;
    }
    let given = targets
        .first()
        .and_then(|target| target.build_args.get(SETTINGS_ARGUMENT));
    let settings = CheckSettings::parse(given.map_or("", String::as_str))?;
    let store = Store::open(context.root()).ok();
    let find = |name: &str| store.as_ref()?.find_image(name).ok()?;
    let images = KnownImages { find: &find };
    let report = match directory {
        Some(directory) => check_project(&directory, &targets, &settings, &images),
        None => check_targets(&targets, &images),
    };
    let text = match format {
        Format::Text => text::render(&report),
        Format::Json => serde_json::to_string_pretty(&json::value(&report))? + "\n",
        Format::Sarif => serde_json::to_string_pretty(&sarif::value(&report))? + "\n",
    };
    anstream::print!("{text}");
    Ok(if report.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Refuses a build whose Dockerfile says `error=true` and has findings, or has settings of checks that cannot be read. Base images that are not here yet are pulled
/// first, since their variables count.
pub(super) fn before_build(
    store: &Store,
    targets: &[Target],
    pull: &dyn Fn(&str) -> Option<Image>,
) -> Result<(), CommandError> {
    let here = |name: &str| store.find_image(name).ok()?;
    if !check_targets(targets, &KnownImages { find: &here }).stops_builds {
        return Ok(());
    }
    let find = |name: &str| here(name).or_else(|| pull(name));
    let report = check_targets(targets, &KnownImages { find: &find });
    if !report.stops_builds {
        return Ok(());
    }
    anstream::eprint!("{}", text::render(&report));
    let error = CommandError::new(
        "the Dockerfile's checks refuse the build: it says `error=true`, or their settings cannot be read",
    );
    Err(error.hint("mend what is found, or leave a rule out with `# check=skip=RULE`"))
}

/// Lists behind a build, on stderr, what was found.
pub(super) fn after_build(store: &Store, targets: &[Target]) {
    let find = |name: &str| store.find_image(name).ok()?;
    let report = check_targets(targets, &KnownImages { find: &find });
    anstream::eprint!("{}", text::summary(&report));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_as_buildx_does() {
        let call = |text: &str| text.parse::<Call>().map(|call| (call.check, call.format));
        assert_eq!(call("build"), Ok((false, None)));
        assert_eq!(call("check"), Ok((true, None)));
        assert_eq!(call("check,format=json"), Ok((true, Some(Format::Json))));
        for text in ["outline", "check,json", "check,format=xml"] {
            assert!(call(text).is_err(), "{text}");
        }
    }
}
