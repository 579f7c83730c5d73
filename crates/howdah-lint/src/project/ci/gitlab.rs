//! GitLab's `.gitlab-ci.yml` (<https://docs.gitlab.com/ci/yaml/>).

use howdah_compose::tree::Node;

use super::{Job, Pipeline, Step};
use crate::project::files::ProjectFile;
use crate::project::yaml;

/// Top-level keys that are no jobs.
const KEYWORDS: [&str; 9] = [
    "default",
    "include",
    "stages",
    "variables",
    "workflow",
    "image",
    "services",
    "cache",
    "before_script",
];

pub(super) fn pipeline(file: ProjectFile) -> Option<Pipeline> {
    let root = yaml::parse(&file.text, &file.name)?;
    let mut stages: Vec<&str> = yaml::texts(yaml::at(&root, &["stages"])).collect();
    if stages.is_empty() {
        stages = vec!["build", "test", "deploy"];
    }
    let stage_of = |job: &Node| {
        let stage = yaml::text(job, &["stage"]).unwrap_or("test");
        match stage {
            ".pre" => 0,
            ".post" => usize::MAX,
            stage => {
                stages
                    .iter()
                    .position(|known| *known == stage)
                    .unwrap_or_default()
                    + 1
            }
        }
    };
    let nodes: Vec<(&str, usize, &Node)> = yaml::entries(Some(&root))
        .filter(|(name, _, job)| {
            !KEYWORDS.contains(name)
                && !name.starts_with('.')
                && yaml::at(job, &["script"]).is_some()
        })
        .collect();
    let jobs = nodes.iter().map(|(name, line, job)| {
        let needs = match yaml::at(job, &["needs"]) {
            Some(needs) => yaml::items(Some(needs))
                .iter()
                .filter_map(|need| need.as_str().or_else(|| yaml::text(need, &["job"])))
                .map(str::to_owned)
                .collect(),
            None => nodes
                .iter()
                .filter(|(_, _, other)| stage_of(other) < stage_of(job))
                .map(|(other, _, _)| (*other).to_owned())
                .collect(),
        };
        Job {
            name: (*name).to_owned(),
            line: *line,
            needs,
            may_fail: yaml::is_true(yaml::at(job, &["allow_failure"])),
            image: image(job),
            steps: steps(job),
        }
    });
    let jobs = jobs.collect();
    Some(Pipeline { file, jobs })
}

fn image(job: &Node) -> Option<(String, usize)> {
    let image = yaml::at(job, &["image"])?;
    let image = if image.as_str().is_some() {
        image
    } else {
        yaml::at(image, &["name"])?
    };
    Some((image.as_str()?.to_owned(), image.origin.line))
}

fn steps(job: &Node) -> Vec<Step> {
    let lines = ["before_script", "script"]
        .into_iter()
        .flat_map(|key| yaml::items(yaml::at(job, &[key])));
    lines
        .filter_map(|line| {
            Some(Step {
                line: line.origin.line,
                script: line.as_str()?.to_owned(),
                ..Step::default()
            })
        })
        .collect()
}
