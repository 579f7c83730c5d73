//! What a Dockerfile does that is allowed and yet wrong: BuildKit's build checks by their names
//! (<https://docs.docker.com/reference/build-checks/>), and Howdah's own.
//!
//! A walk goes through the stages as a build would, with the variables that each instruction sees, and looks at each
//! instruction on the way. Howdah's own rules then look at the whole. Findings say the line, the reason and what to do.

pub mod commands;
mod platform;
pub mod rule;
mod rules;
mod scope;
pub mod secrets;
mod settings;
mod sink;
mod walk;

use std::collections::BTreeMap;

pub use rule::{Origin, RULES, Rule};
pub use rules::undeclared_arguments;
pub use settings::{Settings, SettingsError};

use crate::ignore::Ignore;
use crate::{Dockerfile, Fault, Lines};
use sink::Sink;

/// The build argument that replaces the settings of `# check=`.
pub const SETTINGS_ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// A Dockerfile and what is known about its build.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The text that was parsed.
    pub text: &'a str,
    /// Its tree.
    pub file: &'a Dockerfile,
    /// Which rules count.
    pub settings: &'a Settings,
    /// The stage that is built; `None` looks at all of them.
    pub target: Option<usize>,
    /// The values of `--build-arg`.
    pub build_args: &'a BTreeMap<String, String>,
    /// `.dockerignore`
    pub ignore: Option<&'a Ignore>,
    /// What builds and what is built for, such as `linux/amd64`.
    pub platform: &'a str,
    /// Base images.
    pub images: &'a dyn Images,
}

/// What the checks ask about images.
pub trait Images: std::fmt::Debug {
    /// Whether a text can be the name of an image at all.
    fn is_reference(&self, name: &str) -> bool;

    /// The configuration of a base image, if it is known here.
    fn configuration(&self, name: &str) -> Option<BaseImage>;
}

/// The part of an image's configuration that the instructions on top of it see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BaseImage {
    /// `NAME=value`
    pub env: Vec<String>,
    /// It has a `SHELL` of its own.
    pub has_shell: bool,
    /// `USER`
    pub user: String,
    /// `WORKDIR`
    pub working_dir: String,
    /// Its `ONBUILD` triggers.
    pub on_build: Vec<String>,
}

/// Something that a rule found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which rule.
    pub rule: &'static Rule,
    /// What was found, naming the operand.
    pub message: String,
    /// Where.
    pub lines: Lines,
}

/// All that was found, and what stops the build on top of it.
#[derive(Debug, Default)]
pub struct Checked {
    /// In the order of the lines.
    pub findings: Vec<Finding>,
    /// What cannot be built at all, such as `${NAME:?}` without a value.
    pub faults: Vec<Fault>,
}

impl Settings {
    /// The settings that hold for a file: those of the build argument, else those of its `# check=` line.
    pub fn of(
        file: &Dockerfile,
        build_args: &BTreeMap<String, String>,
    ) -> Result<Settings, SettingsError> {
        let directive = file.directives.check.as_ref().map(|word| &word.text);
        let text = build_args.get(SETTINGS_ARGUMENT).or(directive);
        Settings::parse(text.map_or("", String::as_str))
    }
}

/// Looks at a Dockerfile.
pub fn check(subject: &Subject) -> Checked {
    let mut sink = Sink::new(subject.settings);
    rules::text::check(subject, &mut sink);
    let walked = walk::walk(subject, &mut sink);
    rules::check_whole(subject, &walked.stages, &mut sink);
    Checked {
        findings: sink.finish(),
        faults: walked.faults,
    }
}

#[cfg(test)]
mod tests;
