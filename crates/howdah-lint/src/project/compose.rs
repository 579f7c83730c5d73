//! compose.yaml, read without its variables: a check must not need the `.env` of a machine.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use howdah_compose::tree::{Node, Value};
use howdah_dockerfile::lint::commands::{
    Call, artisan, calls, calls_of_words, migrates, side_effect,
};
use howdah_dockerfile::lint::rule::{HEALTHCHECK_SIDE_EFFECTS, MIGRATIONS_AT_START};
use howdah_dockerfile::{Command, Lexer, Stage};

use super::artisan::Commands;
use super::files::{ProjectFile, read};
use super::rules::{BIND_MOUNT_HIDES_FILES, HEALTHCHECK_UNKNOWN_COMMAND};
use super::{Place, Recipe, Saying, yaml};

/// Compose's file names, the best first.
const NAMES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
];

/// A Compose file.
#[derive(Debug)]
pub(crate) struct Compose {
    file: ProjectFile,
    root: Node,
    directory: PathBuf,
}

/// One service that builds its image.
#[derive(Debug)]
pub(crate) struct Build {
    /// The service.
    pub(crate) service: String,
    /// The context, below the project's directory.
    pub(crate) context: PathBuf,
    /// The Dockerfile.
    pub(crate) dockerfile: PathBuf,
    /// `target:`
    pub(crate) stage: Option<String>,
    /// The names and values of `args:`.
    pub(crate) args: Vec<(String, String)>,
}

impl Compose {
    /// The Compose file of a directory.
    pub(crate) fn read(directory: &Path) -> Option<Compose> {
        let file = NAMES.iter().find_map(|name| read(&directory.join(name)))?;
        let root = yaml::parse(&file.text, &file.name)?;
        Some(Compose {
            root,
            file,
            directory: directory.to_owned(),
        })
    }

    fn services(&self) -> impl Iterator<Item = (&str, usize, &Node)> {
        yaml::entries(yaml::at(&self.root, &["services"]))
    }

    /// The services that are built from local files.
    pub(crate) fn builds(&self) -> Vec<Build> {
        self.services()
            .filter_map(|(name, _, service)| self.build(name, service))
            .collect()
    }

    fn build(&self, name: &str, service: &Node) -> Option<Build> {
        let build = yaml::at(service, &["build"])?;
        let context = build
            .as_str()
            .or_else(|| yaml::text(build, &["context"]))
            .unwrap_or(".");
        let context = without_variables(context);
        if context.contains("://")
            || context.starts_with("git@")
            || yaml::at(build, &["dockerfile_inline"]).is_some()
        {
            return None;
        }
        let context = self
            .directory
            .join(context.strip_prefix("./").unwrap_or(&context));
        let dockerfile = yaml::text(build, &["dockerfile"])
            .map_or_else(|| "Dockerfile".to_owned(), without_variables);
        let args = yaml::at(build, &["args"]);
        let listed = yaml::texts(args).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_owned(), value.to_owned())
        });
        let mapped = yaml::entries(args).map(|(name, _, value)| {
            (
                name.to_owned(),
                value.as_str().unwrap_or_default().to_owned(),
            )
        });
        Some(Build {
            service: name.to_owned(),
            dockerfile: plain(&context.join(dockerfile)),
            stage: yaml::text(build, &["target"]).map(without_variables),
            args: listed.chain(mapped).collect(),
            context,
        })
    }

    /// The health checks of services, with their lines.
    pub(super) fn probes(&self) -> Vec<(usize, Vec<Call>)> {
        let tests = self
            .services()
            .filter_map(|(_, _, service)| yaml::at(service, &["healthcheck", "test"]));
        tests.map(|test| (test.origin.line, probe(test))).collect()
    }
}

/// Without `.` parts, as people write it.
fn plain(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| *part != Component::CurDir)
        .collect()
}

/// `${NAME:-default}` becomes its default, other variables nothing.
fn without_variables(text: &str) -> String {
    howdah_compose::interpolate(text, &howdah_compose::Variables::default(), &mut |_| {})
        .unwrap_or_else(|_| text.to_owned())
}

fn words(node: &Node) -> Vec<String> {
    yaml::texts(Some(node))
        .map(|word| word.replace("$$", "$"))
        .collect()
}

fn probe(test: &Node) -> Vec<Call> {
    let words = words(test);
    match (&test.value, words.first().map(String::as_str)) {
        (Value::List(_), Some("CMD")) => calls_of_words(&words[1..]),
        (Value::List(_), Some("CMD-SHELL")) => calls(&words[1..].join(" ")),
        (Value::Scalar(_), Some(script)) => calls(script),
        _ => Vec::new(),
    }
}

/// The rules of Compose files.
pub(super) fn check(compose: &Compose, recipes: &[Recipe], saying: &mut Saying) {
    let place = Place::of_file(&compose.file);
    let commands = Commands::of(&compose.directory);
    for (line, calls) in compose.probes() {
        for effect in calls.iter().filter_map(|call| side_effect(call)) {
            let message = format!("the health check changes something: `{effect}`");
            saying.say(&place, line, &HEALTHCHECK_SIDE_EFFECTS, message);
        }
        for command in calls.iter().filter_map(|call| artisan(call)) {
            if commands
                .as_ref()
                .is_some_and(|commands| commands.lack(command))
            {
                let message = format!("the application has no command `{command}`");
                saying.say(&place, line, &HEALTHCHECK_UNKNOWN_COMMAND, message);
            }
        }
    }
    for (name, _, service) in compose.services() {
        for key in ["entrypoint", "command"] {
            if let Some(node) = yaml::at(service, &[key]) {
                migrations(&place, name, node, saying);
            }
        }
        hidden(compose, (&place, name, service), recipes, saying);
    }
}

/// A command that migrates and goes on; one that only migrates is a job.
fn migrations(place: &Place, service: &str, node: &Node, saying: &mut Saying) {
    let words = words(node);
    let calls = match (&node.value, words.as_slice()) {
        (Value::Scalar(_), [script]) => {
            let outer = calls(script);
            // `sh -c "..."` on one line.
            outer
                .into_iter()
                .flat_map(|call| calls_of_words(&call))
                .collect()
        }
        _ => calls_of_words(&words),
    };
    if calls.len() > 1 && calls.iter().any(|call| migrates(call)) {
        let message = format!("every container of `{service}` runs the migrations when it starts");
        saying.say(place, node.origin.line, &MIGRATIONS_AT_START, message);
    }
}

/// Mounts of the source over what the image has installed.
fn hidden(
    compose: &Compose,
    (place, name, service): (&Place, &str, &Node),
    recipes: &[Recipe],
    saying: &mut Saying,
) {
    let Some(build) = compose.build(name, service) else {
        return;
    };
    let Some(recipe) = recipes
        .iter()
        .find(|recipe| same_file(Path::new(&recipe.place.name), &build.dockerfile))
    else {
        return;
    };
    let mounts: Vec<Mounted> = yaml::items(yaml::at(service, &["volumes"]))
        .iter()
        .filter_map(mounted)
        .collect();
    let installed = installed(recipe, build.stage.as_deref());
    for mount in mounts.iter().filter(|mount| mount.is_bind) {
        let hidden = installed.iter().find(|directory| {
            let inside = directory
                .strip_prefix(mount.target.as_str())
                .is_some_and(|rest| rest.starts_with('/'));
            inside && !mounts.iter().any(|other| other.target == **directory)
        });
        if let Some(directory) = hidden {
            let message = format!(
                "the mount on `{}` hides `{directory}` of the image",
                mount.target
            );
            saying.say(place, mount.line, &BIND_MOUNT_HIDES_FILES, message);
        }
    }
}

fn same_file(left: &Path, right: &Path) -> bool {
    let canonical = |path: &Path| fs_err::canonicalize(path).ok();
    canonical(left).is_some_and(|left| canonical(right) == Some(left))
}

struct Mounted {
    target: String,
    is_bind: bool,
    line: usize,
}

fn mounted(node: &Node) -> Option<Mounted> {
    let line = node.origin.line;
    if let Some(short) = node.as_str() {
        let short = without_variables(short);
        let mut parts = short.split(':');
        let (first, second) = (parts.next()?, parts.next());
        let is_bind = second.is_some() && first.starts_with(['.', '/', '~']);
        let target = second.unwrap_or(first).trim_end_matches('/').to_owned();
        return Some(Mounted {
            target,
            is_bind,
            line,
        });
    }
    Some(Mounted {
        target: yaml::text(node, &["target"])?
            .trim_end_matches('/')
            .to_owned(),
        is_bind: yaml::text(node, &["type"]) == Some("bind"),
        line,
    })
}

/// The directories into which a stage, with those below it, installs dependencies.
fn installed(recipe: &Recipe, target: Option<&str>) -> Vec<String> {
    let stages = &recipe.file.stages;
    let named = |name: &str| {
        stages.iter().rposition(|stage| {
            stage
                .name
                .as_ref()
                .is_some_and(|known| known.text.eq_ignore_ascii_case(name))
        })
    };
    let mut lineage: Vec<&Stage> = Vec::new();
    let mut next = target.map_or(stages.len().checked_sub(1), named);
    while let Some(index) = next {
        lineage.push(&stages[index]);
        next = named(&stages[index].base.text).filter(|base| *base < index);
    }
    let mut workdir = String::new();
    let mut values = BTreeMap::new();
    let mut found = Vec::new();
    for instruction in lineage.iter().rev().flat_map(|stage| &stage.instructions) {
        // What cannot be expanded is told by the checks of the Dockerfile.
        let lexer = Lexer::new(recipe.file.directives.escape);
        let Ok((command, _)) = instruction.command.expand(&lexer, &values) else {
            continue;
        };
        match command {
            Command::Env(pairs) => {
                values.extend(
                    pairs
                        .into_iter()
                        .map(|pair| (pair.name.text, pair.value.text)),
                );
            }
            Command::Arg(arg) => values.extend(
                arg.values
                    .into_iter()
                    .filter_map(|value| Some((value.name.text, value.default?.text))),
            ),
            Command::Workdir(path) => workdir = join(&workdir, &path.text),
            Command::Copy(copy) if copy.from.is_some() => {
                let into = join(&workdir, &copy.files.destination.text);
                let installed = into.ends_with("/vendor") || into.ends_with("/node_modules");
                found.extend(Some(into).filter(|_| installed));
            }
            Command::Run(run) => {
                let calls = run.calls();
                let directories = calls.iter().filter_map(installs);
                found.extend(directories.map(|into| join(&workdir, into)));
            }
            _ => {}
        }
    }
    found
}

/// The directory that an installation fills.
fn installs(call: &Call) -> Option<&'static str> {
    let words: Vec<&str> = call.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["composer", "install" | "update", ..] => Some("vendor"),
        ["npm", "ci" | "install" | "i", ..] | ["yarn" | "pnpm", "install", ..] | ["yarn"] => {
            Some("node_modules")
        }
        _ => None,
    }
}

fn join(workdir: &str, path: &str) -> String {
    let path = path.trim_end_matches('/');
    match path.strip_prefix("./").unwrap_or(path) {
        absolute if absolute.starts_with('/') => absolute.to_owned(),
        "" | "." => workdir.to_owned(),
        relative => format!("{workdir}/{relative}"),
    }
}
