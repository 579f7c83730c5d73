//! The rules, grouped by what they look at. BuildKit's are called by the walk; Howdah's look at whole stages afterwards.

mod arguments;
pub(super) mod config;
pub(super) mod copy;
pub(super) mod expose;
pub(super) mod from;
mod layers;
mod packages;
mod process;
pub(super) mod text;
pub(super) mod variables;

pub use arguments::undeclared_arguments;

use super::Subject;
use super::sink::Sink;
use super::walk::{Step, WalkedStage};
use crate::{Command, Lexer, Names};

/// The stages and images that an instruction takes files from.
pub(super) fn sources(command: &Command) -> Vec<&str> {
    match command {
        Command::Copy(copy) => copy.from.iter().map(|from| from.text.as_str()).collect(),
        Command::Run(run) => run
            .mounts
            .iter()
            .flat_map(|mount| mount.options.text.split(','))
            .filter_map(|field| field.trim_matches('"').strip_prefix("from="))
            .collect(),
        _ => Vec::new(),
    }
}

/// A stage with everything that it is built on.
struct Lineage<'w> {
    /// The stages it is based on, the first one first, itself last.
    stages: Vec<&'w WalkedStage<'w>>,
    /// Nothing is based on it: an image, or a stage that others only copy from.
    is_leaf: bool,
    /// It is what a build without or with this `--target` gives.
    is_target: bool,
}

impl<'w> Lineage<'w> {
    /// Whether it is meant to run: the target, or a leaf that says what it starts.
    fn is_image(&self) -> bool {
        let starts = |step: &Step| {
            matches!(
                step.command,
                Command::Cmd(_) | Command::Entrypoint(_) | Command::Healthcheck(_)
            )
        };
        self.is_target || (self.is_leaf && self.steps().any(starts))
    }

    /// A path as the shell of a `RUN` sees it, with the variables of the stage; what has other variables stays as it is.
    fn path(&self, text: &str) -> String {
        let scope = self.stages.last().map(|stage| &stage.end);
        let mut names = Names::default();
        let expanded = scope.and_then(|scope| Lexer::new('\\').word(text, scope, &mut names).ok());
        expanded
            .filter(|_| names.unmatched.is_empty())
            .unwrap_or_else(|| text.to_owned())
    }

    fn steps(&self) -> impl DoubleEndedIterator<Item = &'w Step> {
        self.stages.iter().flat_map(|stage| &stage.steps)
    }
}

/// Howdah's rules.
pub(super) fn check_whole(subject: &Subject, stages: &[Option<WalkedStage>], sink: &mut Sink) {
    arguments::not_declared(subject, sink);
    let target = subject.target.unwrap_or(stages.len().saturating_sub(1));
    for (index, stage) in stages.iter().enumerate() {
        let Some(stage) = stage else { continue };
        let mut ancestors = vec![stage];
        while let Some(parent) = ancestors.last().and_then(|stage| stage.parent) {
            ancestors.extend(&stages[parent]);
        }
        ancestors.reverse();
        let mut others = stages.iter().flatten();
        let lineage = Lineage {
            is_leaf: others.all(|other| other.parent != Some(index)),
            is_target: index == target,
            stages: ancestors,
        };
        from::final_stage(&lineage, sink);
        packages::check(&lineage, sink);
        layers::changed_copies(&lineage, sink);
        layers::overwritten(subject, &lineage, sink);
        process::check(&lineage, sink);
    }
}
