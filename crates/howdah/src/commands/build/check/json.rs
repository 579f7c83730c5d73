//! Findings as JSON: what BuildKit's `frontend.lint` answers, so that tools which read that read this; `reason` and `fix`
//! are added.

use base64::Engine as _;
use howdah_dockerfile::Lines;
use howdah_dockerfile::lint::Finding;
use howdah_lint::{Located, Report};
use serde_json::{Value, json};

pub(super) fn value(report: &Report) -> Value {
    let warnings: Vec<Value> = report.findings.iter().map(warning).collect();
    let sources = report.sources.iter().map(|source| {
        json!({
            "filename": source.name,
            "data": base64::engine::general_purpose::STANDARD.encode(&source.text),
        })
    });
    let mut value = json!({ "warnings": warnings, "sources": sources.collect::<Vec<_>>() });
    if let Some(Located { source, what }) = report.faults.first() {
        let lines = what.span.lines(&report.sources[*source].text);
        value["buildError"] =
            json!({ "message": what.message, "location": location(*source, lines) });
    }
    value
}

fn warning(Located { source, what }: &Located<Finding>) -> Value {
    let mut value = json!({
        "ruleName": what.rule.name,
        "description": what.rule.reason,
        "detail": what.message,
        "reason": what.rule.reason,
        "fix": what.rule.fix,
        "location": location(*source, what.lines),
    });
    if let Some(url) = what.rule.url() {
        value["url"] = url.into();
    }
    value
}

/// One range for each line, as BuildKit has it.
fn location(source: usize, lines: Lines) -> Value {
    let ranges = (lines.first..=lines.last)
        .map(|line| json!({ "start": { "line": line }, "end": { "line": line } }));
    json!({ "sourceIndex": source, "ranges": ranges.collect::<Vec<_>>() })
}
