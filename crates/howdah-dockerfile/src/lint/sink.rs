//! Where findings go: past the settings of the file and of the comments right above the instruction.

use super::{Finding, Rule, Settings};
use crate::{Instruction, Lines, Stage};

/// The instruction that something is said about.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) lines: Lines,
    pub(super) comments: Vec<String>,
}

impl From<&Instruction> for Site {
    fn from(instruction: &Instruction) -> Site {
        Site {
            lines: instruction.lines,
            comments: instruction.comments.clone(),
        }
    }
}

impl From<&Stage> for Site {
    fn from(stage: &Stage) -> Site {
        Site {
            lines: stage.lines,
            comments: stage.comments.clone(),
        }
    }
}

impl From<Lines> for Site {
    /// A place that the comments of no instruction have a say in.
    fn from(lines: Lines) -> Site {
        Site {
            lines,
            comments: Vec::new(),
        }
    }
}

/// Gathers findings.
#[derive(Debug)]
pub(super) struct Sink<'a> {
    settings: &'a Settings,
    findings: Vec<Finding>,
}

impl<'a> Sink<'a> {
    pub(super) fn new(settings: &'a Settings) -> Sink<'a> {
        Sink {
            settings,
            findings: Vec::new(),
        }
    }

    /// Takes a finding, unless the settings leave its rule out. The same thing is said once for each line.
    pub(super) fn report(&mut self, site: &Site, rule: &'static Rule, message: impl Into<String>) {
        let local = self.settings.with_comments(&site.comments);
        if !local.as_ref().unwrap_or(self.settings).allow(rule) {
            return;
        }
        let finding = Finding {
            rule,
            message: message.into(),
            lines: site.lines,
        };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// The findings in the order of their lines.
    pub(super) fn finish(mut self) -> Vec<Finding> {
        self.findings.sort_by_key(|finding| finding.lines.first);
        self.findings
    }
}
