//! GitHub workflows (<https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax>).

use howdah_compose::tree::Node;

use super::{Job, Pipeline, Step};
use crate::project::files::ProjectFile;
use crate::project::yaml;

pub(super) fn pipeline(file: ProjectFile) -> Option<Pipeline> {
    let root = yaml::parse(&file.text, &file.name)?;
    let jobs = yaml::entries(yaml::at(&root, &["jobs"])).map(|(name, line, job)| Job {
        name: name.to_owned(),
        line,
        needs: yaml::texts(yaml::at(job, &["needs"]))
            .map(str::to_owned)
            .collect(),
        may_fail: yaml::is_true(yaml::at(job, &["continue-on-error"])),
        image: image(job),
        steps: yaml::items(yaml::at(job, &["steps"]))
            .iter()
            .map(step)
            .collect(),
    });
    let jobs = jobs.collect();
    Some(Pipeline { file, jobs })
}

fn image(job: &Node) -> Option<(String, usize)> {
    let container = yaml::at(job, &["container"])?;
    let image = if container.as_str().is_some() {
        container
    } else {
        yaml::at(container, &["image"])?
    };
    Some((image.as_str()?.to_owned(), image.origin.line))
}

fn step(node: &Node) -> Step {
    let text = |key: &str| yaml::text(node, &[key]).unwrap_or_default().to_owned();
    let inputs = yaml::entries(yaml::at(node, &["with"])).filter_map(|(name, line, value)| {
        Some((name.to_owned(), value.as_str()?.to_owned(), line))
    });
    Step {
        line: node.origin.line,
        name: text("name"),
        script: text("run"),
        action: text("uses"),
        inputs: inputs.collect(),
        may_fail: yaml::is_true(yaml::at(node, &["continue-on-error"])),
    }
}
