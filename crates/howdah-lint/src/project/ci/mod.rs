//! CI pipelines: GitHub workflows and GitLab's file, brought to one form.

mod facts;
mod github;
mod gitlab;
mod rules;

use std::path::{Path, PathBuf};

use super::files::{ProjectFile, read};
use super::{Recipe, Saying};

/// How far above a project its CI files may be.
const LEVELS: usize = 4;

/// The jobs of one file.
#[derive(Debug)]
struct Pipeline {
    file: ProjectFile,
    jobs: Vec<Job>,
}

/// A job and what it waits for.
#[derive(Debug, Default)]
struct Job {
    name: String,
    line: usize,
    /// The jobs that have ended well before it begins.
    needs: Vec<String>,
    /// Its failure is no failure.
    may_fail: bool,
    /// The image it runs in, and where that is said.
    image: Option<(String, usize)>,
    steps: Vec<Step>,
}

/// One step: a script, or an action with its inputs.
#[derive(Debug, Default)]
struct Step {
    line: usize,
    name: String,
    script: String,
    action: String,
    inputs: Vec<(String, String, usize)>,
    may_fail: bool,
}

impl Step {
    fn input(&self, name: &str) -> Option<(&str, usize)> {
        let input = self.inputs.iter().find(|(known, _, _)| known == name);
        input.map(|(_, value, line)| (value.as_str(), *line))
    }
}

/// Looks at the CI files of the repository that the directory is in.
pub(super) fn check(directory: &Path, recipes: &[Recipe], saying: &mut Saying) {
    for root in roots(directory) {
        let pipelines = pipelines(&root);
        if pipelines.is_empty() {
            continue;
        }
        for pipeline in &pipelines {
            rules::check(pipeline, &pipelines, (&root, recipes), saying);
        }
        return;
    }
}

/// The directory and those above it, up to the root of the repository.
fn roots(directory: &Path) -> Vec<PathBuf> {
    let mut roots = vec![directory.to_owned()];
    while roots.len() < LEVELS {
        let last = &roots[roots.len() - 1];
        if last.join(".git").exists() || last.is_absolute() && last.parent().is_none() {
            break;
        }
        let above = if directory.is_absolute() {
            last.parent().map(Path::to_owned)
        } else {
            Some(last.join(".."))
        };
        match above {
            Some(above) => roots.push(above),
            None => break,
        }
    }
    // Above a directory that is in no repository, files belong to something else.
    let in_repository = roots.last().is_some_and(|last| last.join(".git").exists());
    roots.truncate(if in_repository { LEVELS } else { 1 });
    roots
}

fn pipelines(root: &Path) -> Vec<Pipeline> {
    let mut pipelines = Vec::new();
    if let Ok(entries) = fs_err::read_dir(root.join(".github/workflows")) {
        let mut paths: Vec<PathBuf> = entries
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .collect();
        paths.sort();
        let workflows = paths.iter().filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yml" || extension == "yaml")
        });
        pipelines.extend(workflows.filter_map(|path| github::pipeline(read(path)?)));
    }
    let gitlab = [".gitlab-ci.yml", ".gitlab-ci.yaml"]
        .iter()
        .find_map(|name| read(&root.join(name)));
    pipelines.extend(gitlab.and_then(gitlab::pipeline));
    pipelines
}
