//! The rules that look at more than one file.

mod artisan;
mod caddyfile;
mod ci;
mod compose;
mod duplicates;
mod files;
mod health;
mod nginx;
pub(crate) mod rules;
mod scripts;
mod yaml;

use std::path::{Path, PathBuf};

use howdah_build::{BuildError, ContextSource, Target};
use howdah_dockerfile::lint::commands::{Call, artisan as artisan_command};
use howdah_dockerfile::lint::{Finding, Rule, Settings};
use howdah_dockerfile::{Command, Dockerfile, Healthcheck, Lines, parse};

use crate::report::Report;
use artisan::Commands;
use files::{ProjectFile, file_name, read, walk};
use health::HealthPaths;

/// A Dockerfile of the project.
#[derive(Debug)]
pub(crate) struct Recipe {
    place: Place,
    file: Dockerfile,
    context: PathBuf,
}

/// A text, and where in which file it begins: texts may stand in others.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    name: String,
    whole: String,
    /// The lines above it.
    above: usize,
}

impl Place {
    fn of_file(file: &ProjectFile) -> Place {
        Place {
            name: file.name.clone(),
            whole: file.text.clone(),
            above: 0,
        }
    }
}

/// Says things about places.
pub(crate) struct Saying<'r> {
    report: &'r mut Report,
    settings: &'r Settings,
}

impl Saying<'_> {
    /// Adds a finding, unless a comment right above the line leaves its rule out, as in a Dockerfile.
    fn say(&mut self, place: &Place, line: usize, rule: &'static Rule, message: impl Into<String>) {
        let line = line + place.above;
        if !self.settings.above_line(&place.whole, line).allow(rule) {
            return;
        }
        let source = self.report.source(&place.name, &place.whole);
        let lines = Lines {
            first: line,
            last: line,
        };
        let message = message.into();
        self.report.add(
            source,
            Finding {
                rule,
                message,
                lines,
            },
        );
    }
}

/// Looks at the project in a directory, of which `targets` are built.
pub(crate) fn check(
    directory: &Path,
    targets: &[Target],
    settings: &Settings,
    report: &mut Report,
) {
    let recipes = recipes_of(targets);
    let paths = walk(directory);
    let others = other_recipes(&paths, &recipes);
    let compose = compose::Compose::read(directory);
    let mut saying = Saying { report, settings };
    let mut health = HealthPaths::default();
    for probe in recipes.iter().flat_map(probes) {
        health.add(&probe.calls);
    }
    for (_, calls) in compose.iter().flat_map(compose::Compose::probes) {
        health.add(&calls);
    }
    duplicates::check(&recipes, &others, &mut saying);
    for recipe in &recipes {
        unknown_commands(recipe, &mut saying);
        scripts::check(recipe, &mut saying);
        inner_files(recipe, &health, &mut saying);
    }
    if let Some(compose) = &compose {
        compose::check(compose, &recipes, &mut saying);
    }
    for path in &paths {
        server_file(path, &health, &mut saying);
    }
    ci::check(directory, &recipes, &mut saying);
}

/// The targets of a Compose file, one for each way an image is built. All stages are looked at, whichever a service takes.
pub(crate) fn targets(
    directory: &Path,
    services: &[String],
) -> Result<Option<Vec<Target>>, BuildError> {
    let Some(compose) = compose::Compose::read(directory) else {
        return Ok(None);
    };
    let mut builds = compose.builds();
    builds.retain(|build| services.is_empty() || services.contains(&build.service));
    let targets = builds.into_iter().map(|build| {
        let mut target = Target::load(&build.dockerfile, &build.context)?;
        target.build_args = build.args.into_iter().collect();
        Ok(target)
    });
    targets.collect::<Result<_, _>>().map(Some)
}

/// One for each Dockerfile that is built.
fn recipes_of(targets: &[Target]) -> Vec<Recipe> {
    let mut recipes: Vec<Recipe> = Vec::new();
    for target in targets {
        let same = |known: &Recipe| known.place.name == target.dockerfile.name;
        let Ok(file) = parse(&target.dockerfile.text) else {
            continue;
        };
        // The files of other contexts are not here to be looked at.
        let ContextSource::Directory(context) = &target.context else {
            continue;
        };
        if !recipes.iter().any(same) {
            recipes.push(Recipe {
                place: Place {
                    name: target.dockerfile.name.clone(),
                    whole: target.dockerfile.text.clone(),
                    above: 0,
                },
                file,
                context: context.clone(),
            });
        }
    }
    recipes
}

/// The Dockerfiles that are not built now.
fn other_recipes(paths: &[PathBuf], recipes: &[Recipe]) -> Vec<Recipe> {
    let canonical = |path: &Path| fs_err::canonicalize(path).ok();
    let known: Vec<_> = recipes
        .iter()
        .filter_map(|recipe| canonical(Path::new(&recipe.place.name)))
        .collect();
    let is_dockerfile = |path: &&PathBuf| {
        let name = file_name(path).to_ascii_lowercase();
        let plain = name == "dockerfile" || name.ends_with(".dockerfile");
        (plain || name.starts_with("dockerfile.")) && !name.ends_with(".dockerignore")
    };
    let others = paths
        .iter()
        .filter(is_dockerfile)
        .filter(|path| canonical(path).is_none_or(|path| !known.contains(&path)));
    others
        .filter_map(|path| {
            let file = read(path)?;
            Some(Recipe {
                place: Place::of_file(&file),
                file: parse(&file.text).ok()?,
                context: path.parent()?.to_owned(),
            })
        })
        .collect()
}

/// A HEALTHCHECK and the line it stands on.
struct Probed {
    line: usize,
    calls: Vec<Call>,
}

fn probes(recipe: &Recipe) -> Vec<Probed> {
    let instructions = recipe
        .file
        .stages
        .iter()
        .flat_map(|stage| &stage.instructions);
    instructions
        .filter_map(|instruction| match &instruction.command {
            Command::Healthcheck(Healthcheck::Probe(probe)) => Some(Probed {
                line: instruction.lines.first,
                calls: probe.command.calls(),
            }),
            _ => None,
        })
        .collect()
}

/// artisan commands of health checks that the application in the context does not have.
fn unknown_commands(recipe: &Recipe, saying: &mut Saying) {
    let probes = probes(recipe);
    let called = probes.iter().flat_map(|probe| {
        let commands = probe.calls.iter().filter_map(|call| artisan_command(call));
        commands.map(|command| (probe.line, command))
    });
    let called: Vec<(usize, &str)> = called.collect();
    if called.is_empty() {
        return;
    }
    let Some(commands) = Commands::of(&recipe.context) else {
        return;
    };
    for (line, command) in called
        .into_iter()
        .filter(|(_, command)| commands.lack(command))
    {
        let message = format!("the application has no command `{command}`");
        saying.say(
            &recipe.place,
            line,
            &rules::HEALTHCHECK_UNKNOWN_COMMAND,
            message,
        );
    }
}

/// Configuration of servers that stands in the Dockerfile itself.
fn inner_files(recipe: &Recipe, health: &HealthPaths, saying: &mut Saying) {
    let instructions = recipe
        .file
        .stages
        .iter()
        .flat_map(|stage| &stage.instructions);
    for instruction in instructions {
        let Command::Copy(copy) = &instruction.command else {
            continue;
        };
        for heredoc in &copy.files.heredocs {
            let place = Place {
                above: heredoc.span.lines(&recipe.place.whole).first - 1,
                ..recipe.place.clone()
            };
            server_text(
                Path::new(&copy.files.destination.text),
                &heredoc.content,
                (&place, health),
                saying,
            );
        }
    }
}

fn server_file(path: &Path, health: &HealthPaths, saying: &mut Saying) {
    if kind(path).is_some()
        && let Some(file) = read(path)
    {
        server_text(path, &file.text, (&Place::of_file(&file), health), saying);
    }
}

/// Whose configuration a file seems to be.
enum Kind {
    Caddy,
    Other,
}

fn kind(path: &Path) -> Option<Kind> {
    let name = file_name(path);
    let caddy = name.starts_with("Caddyfile") || name.to_ascii_lowercase().ends_with(".caddyfile");
    let other = [".conf", ".ini", ".conf.template"]
        .iter()
        .any(|end| name.ends_with(end));
    if caddy {
        Some(Kind::Caddy)
    } else {
        other.then_some(Kind::Other)
    }
}

fn server_text(
    path: &Path,
    text: &str,
    (place, health): (&Place, &HealthPaths),
    saying: &mut Saying,
) {
    match kind(path) {
        Some(Kind::Caddy) => caddyfile::check(text, place, health, saying),
        Some(Kind::Other) => {
            nginx::check(text, place, health, saying);
            scripts::supervisor(text, place, saying);
        }
        None => {}
    }
}
