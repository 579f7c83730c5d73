//! Findings for people.

use std::fmt::Write as _;

use howdah_dockerfile::lint::Finding;
use howdah_dockerfile::{Fault, Span};
use howdah_lint::{Located, Report, Source};

/// Every finding with its line, reason and fix, and how many there are.
pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for Located { source, what } in &report.faults {
        let source = &report.sources[*source];
        let _ = writeln!(text, "{}", what.render(&source.name, &source.text));
    }
    for Located { source, what } in &report.findings {
        let _ = writeln!(text, "{}", finding(&report.sources[*source], what));
    }
    let _ = match (report.findings.len(), report.faults.len()) {
        (0, 0) => writeln!(text, "Check complete, no warnings found."),
        (0, _) => writeln!(text, "Check complete, the build would fail."),
        (1, _) => writeln!(text, "Check complete, 1 warning has been found!"),
        (count, _) => writeln!(text, "Check complete, {count} warnings have been found!"),
    };
    text
}

/// Shown as the faults of the parser are, with the reason and the rule's page below.
fn finding(source: &Source, finding: &Finding) -> String {
    let rule = finding.rule;
    let message = format!("{}: {}", rule.name, finding.message);
    let fault = Fault::warning(line_span(&source.text, finding.lines.first), message);
    let mut text = fault.with_help(rule.fix).render(&source.name, &source.text);
    let margin = " ".repeat(finding.lines.first.to_string().len());
    let _ = writeln!(text, "{margin} = why: {}", rule.reason);
    if let Some(url) = rule.url() {
        let _ = writeln!(text, "{margin} = see: {url}");
    }
    text
}

/// A line without the white space around it.
fn line_span(text: &str, number: usize) -> Span {
    let mut start = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if index + 1 == number {
            let indent = line.len() - line.trim_start().len();
            return Span::new(start + indent, start + line.trim_end().len());
        }
        start += line.len();
    }
    Span::new(start, start)
}

/// One line for each finding; nothing when there is none.
pub(super) fn summary(report: &Report) -> String {
    let count = report.findings.len();
    if count == 0 {
        return String::new();
    }
    let plural = if count == 1 { "" } else { "s" };
    let mut text = format!("{count} warning{plural} found (howdah build --check explains):\n");
    for Located { source, what } in &report.findings {
        let place = if report.sources.len() == 1 {
            format!("line {}", what.lines.first)
        } else {
            format!("{}:{}", report.sources[*source].name, what.lines.first)
        };
        let _ = writeln!(text, " - {}: {} ({place})", what.rule.name, what.message);
    }
    text
}
