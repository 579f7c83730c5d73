//! The rules of pipelines.

use std::collections::BTreeSet;
use std::path::Path;

use howdah_dockerfile::lint::commands::{calls, program};
use howdah_dockerfile::lint::rule::BUILD_ARG_NOT_DECLARED;
use howdah_dockerfile::lint::undeclared_arguments;

use super::facts::{floats, options, pushes, scanner, scanner_image, scans, tests};
use super::{Job, Pipeline, Step};
use crate::project::rules::{
    CACHE_NEVER_EXPORTED, PUSH_BEFORE_TEST, SCANNER_NOT_PINNED, SCANNER_RESULT_IGNORED,
};
use crate::project::yaml::line_of;
use crate::project::{Place, Recipe, Saying};

/// All of them, on one file; caches may be exported by another.
pub(super) fn check(
    pipeline: &Pipeline,
    all: &[Pipeline],
    (root, recipes): (&Path, &[Recipe]),
    saying: &mut Saying,
) {
    let place = Place::of_file(&pipeline.file);
    caches(pipeline, all, &place, saying);
    untested_pushes(pipeline, &place, saying);
    for job in &pipeline.jobs {
        for step in &job.steps {
            scan(job, step, &place, saying);
            build_args(step, (root, recipes), &place, saying);
        }
        if let Some((image, line)) = &job.image
            && let Some(name) = scanner(image)
        {
            if floats(image) {
                let message = format!("`{image}` says no version of {name}");
                saying.say(&place, *line, &SCANNER_NOT_PINNED, message);
            }
            if job.may_fail {
                let line = line_of(&pipeline.file.text, job.line, "allow_failure");
                ignored_result(name, line, &place, saying);
            }
        }
    }
}

/// A cache as `--cache-from` and `--cache-to` name it.
#[derive(Debug, PartialEq, Eq)]
struct Cache {
    kind: String,
    /// Where it is; for a registry the reference.
    location: Option<String>,
}

impl Cache {
    /// `type=registry,ref=...`, or an image.
    fn parse(text: &str) -> Cache {
        let text = text.trim();
        let field = |name: &str| {
            let field = text
                .split(',')
                .find_map(|field| field.trim().strip_prefix(name));
            field.map(str::to_owned)
        };
        match field("type=") {
            Some(kind) => Cache {
                location: field("ref=").or_else(|| field("scope=")),
                kind,
            },
            None => Cache {
                kind: "registry".to_owned(),
                location: Some(text.to_owned()),
            },
        }
    }

    /// Whether an export fills it. Local directories are often moved between the two.
    fn is_filled_by(&self, export: &Cache) -> bool {
        let inline = export.kind == "inline" && self.kind == "registry";
        let same_place = self.kind == "local" || self.location == export.location;
        inline || (self.kind == export.kind && same_place)
    }
}

fn caches(pipeline: &Pipeline, all: &[Pipeline], place: &Place, saying: &mut Saying) {
    let steps = || {
        all.iter()
            .flat_map(|pipeline| &pipeline.jobs)
            .flat_map(|job| &job.steps)
    };
    let exports: Vec<Cache> = steps()
        .flat_map(|step| cache_options(step, "cache-to"))
        .map(|(cache, _)| cache)
        .collect();
    let inline = steps().any(|step| step.script.contains("BUILDKIT_INLINE_CACHE=1"));
    for step in pipeline.jobs.iter().flat_map(|job| &job.steps) {
        for (cache, line) in cache_options(step, "cache-from") {
            let filled = exports.iter().any(|export| cache.is_filled_by(export));
            if filled || (inline && cache.kind == "registry") {
                continue;
            }
            let needle = if step.script.is_empty() {
                "cache-from"
            } else {
                "--cache-from"
            };
            let line = line_of(&pipeline.file.text, line, needle);
            let location = cache
                .location
                .map_or_else(String::new, |location| format!(" `{location}`"));
            let message = format!("no job exports the {} cache{location}", cache.kind);
            saying.say(place, line, &CACHE_NEVER_EXPORTED, message);
        }
    }
}

fn cache_options(step: &Step, name: &str) -> Vec<(Cache, usize)> {
    if let Some((value, line)) = step.input(name) {
        let lines = value.lines().filter(|line| !line.trim().is_empty());
        return lines.map(|text| (Cache::parse(text), line)).collect();
    }
    let calls = calls(&step.script);
    let values = options(&calls, &format!("--{name}"));
    values
        .into_iter()
        .map(|text| (Cache::parse(text), step.line))
        .collect()
}

/// Pushes that no test precedes, although there are tests.
fn untested_pushes(pipeline: &Pipeline, place: &Place, saying: &mut Saying) {
    let has_test = |job: &Job| job.steps.iter().any(|step| tests(job, step));
    if !pipeline.jobs.iter().any(has_test) {
        return;
    }
    for job in &pipeline.jobs {
        let waited = waited_for(job, pipeline);
        let mut tested = pipeline
            .jobs
            .iter()
            .any(|other| waited.contains(&other.name) && has_test(other));
        for step in &job.steps {
            tested |= tests(job, step);
            if pushes(step) && !tested {
                let needle = if step.action.is_empty() {
                    "push"
                } else {
                    "push:"
                };
                let line = line_of(&pipeline.file.text, step.line, needle);
                let message = format!("`{}` pushes before any test has run", job.name);
                saying.say(place, line, &PUSH_BEFORE_TEST, message);
            }
        }
    }
}

/// The names of all jobs that have ended when a job begins.
fn waited_for(job: &Job, pipeline: &Pipeline) -> BTreeSet<String> {
    let mut waited = BTreeSet::new();
    let mut open: Vec<&String> = job.needs.iter().collect();
    while let Some(name) = open.pop() {
        if waited.insert(name.clone()) {
            let job = pipeline.jobs.iter().find(|job| job.name == *name);
            open.extend(job.iter().flat_map(|job| &job.needs));
        }
    }
    waited
}

fn scan(job: &Job, step: &Step, place: &Place, saying: &mut Saying) {
    if let Some(name) = scanner(&step.action) {
        let (_, version) = step.action.split_once('@').unwrap_or((&step.action, ""));
        if matches!(version, "" | "master" | "main" | "latest") {
            let line = line_of(&place.whole, step.line, "uses:");
            let message = format!("`{}` says no version of {name}", step.action);
            saying.say(place, line, &SCANNER_NOT_PINNED, message);
        }
        let passes = step.input("exit-code").filter(|(code, _)| *code == "0");
        if let Some((_, line)) = passes {
            ignored_result(name, line, place, saying);
        }
        may_fail(job, step, name, place, saying);
    }
    for call in scans(&step.script) {
        let image = scanner_image(&call);
        let name = scanner(image.unwrap_or_else(|| program(&call))).unwrap_or_default();
        let line = line_of(&place.whole, step.line, name);
        if let Some(image) = image.filter(|image| floats(image)) {
            let message = format!("`{image}` says no version of {name}");
            saying.say(place, line, &SCANNER_NOT_PINNED, message);
        }
        let calls = [call];
        let passes = options(&calls, "--exit-code").contains(&"0");
        let ended = place
            .whole
            .lines()
            .nth(line - 1)
            .unwrap_or_default()
            .trim_end();
        if passes || ended.trim_end_matches(['"', '\'']).ends_with("|| true") {
            ignored_result(name, line, place, saying);
        }
        may_fail(job, step, name, place, saying);
    }
}

fn may_fail(job: &Job, step: &Step, name: &str, place: &Place, saying: &mut Saying) {
    if step.may_fail || job.may_fail {
        let from = if step.may_fail { step.line } else { job.line };
        let continues = line_of(&place.whole, from, "continue-on-error");
        let allowed = line_of(&place.whole, from, "allow_failure");
        ignored_result(name, continues.max(allowed), place, saying);
    }
}

fn ignored_result(name: &str, line: usize, place: &Place, saying: &mut Saying) {
    let message = format!("what {name} finds stops nothing");
    saying.say(place, line, &SCANNER_RESULT_IGNORED, message);
}

/// Build arguments that the Dockerfile does not declare. When it is not clear which Dockerfile is meant, nothing is said.
fn build_args(
    step: &Step,
    (root, recipes): (&Path, &[Recipe]),
    place: &Place,
    saying: &mut Saying,
) {
    let calls = calls(&step.script);
    let given = step.input("build-args");
    let listed = given.iter().flat_map(|(value, _)| value.lines());
    let words = options(&calls, "--build-arg");
    let names: Vec<String> = listed
        .chain(words)
        .filter_map(|pair| pair.trim().split('=').next())
        .filter(|name| !name.is_empty() && !name.contains('$'))
        .map(str::to_owned)
        .collect();
    if names.is_empty() {
        return;
    }
    let file = step.input("file").map(|(value, _)| value);
    let file = file.or_else(|| options(&calls, "--file").first().copied());
    let file = file.or_else(|| options(&calls, "-f").first().copied());
    let Some(recipe) = meant(file, root, recipes) else {
        return;
    };
    for name in undeclared_arguments(&recipe.file, names.iter()) {
        let from = given.map_or(step.line, |(_, line)| line);
        let line = line_of(&place.whole, from, name);
        let message = format!(
            "the build argument `{name}` is passed, and {} does not declare it",
            recipe.place.name
        );
        saying.say(place, line, &BUILD_ARG_NOT_DECLARED, message);
    }
}

fn meant<'r>(file: Option<&str>, root: &Path, recipes: &'r [Recipe]) -> Option<&'r Recipe> {
    match (file, recipes) {
        (None, [only]) => Some(only),
        (file, recipes) => {
            let path = root.join(file.unwrap_or("Dockerfile").trim_start_matches("./"));
            let wanted = fs_err::canonicalize(path).ok()?;
            recipes.iter().find(|recipe| {
                fs_err::canonicalize(&recipe.place.name).ok().as_ref() == Some(&wanted)
            })
        }
    }
}
