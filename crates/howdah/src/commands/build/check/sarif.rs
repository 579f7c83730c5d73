//! Findings as SARIF 2.1.0 (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/>), which code scanning of forges reads.

use howdah_dockerfile::Lines;
use howdah_lint::{Located, Report, Rule};
use serde_json::{Value, json};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
/// The rule that faults of the Dockerfile itself are reported under.
const FAULT: &str = "DockerfileFault";

pub(super) fn value(report: &Report) -> Value {
    let mut rules: Vec<&Rule> = Vec::new();
    for Located { what, .. } in &report.findings {
        if !rules.contains(&what.rule) {
            rules.push(what.rule);
        }
    }
    let findings = report.findings.iter().map(|Located { source, what }| {
        let text = format!("{}. {}", what.message, what.rule.fix);
        result(
            what.rule.name,
            "warning",
            &text,
            &physical(report, *source, what.lines),
        )
    });
    let faults = report.faults.iter().map(|Located { source, what }| {
        let lines = what.span.lines(&report.sources[*source].text);
        result(
            FAULT,
            "error",
            &what.message,
            &physical(report, *source, lines),
        )
    });
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "howdah",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.into_iter().map(rule).collect::<Vec<_>>(),
            } },
            "results": faults.chain(findings).collect::<Vec<_>>(),
        }],
    })
}

fn rule(rule: &Rule) -> Value {
    let mut value = json!({
        "id": rule.name,
        "shortDescription": { "text": rule.reason },
        "help": { "text": rule.fix },
    });
    if let Some(url) = rule.url() {
        value["helpUri"] = url.into();
    }
    value
}

fn result(id: &str, level: &str, text: &str, place: &Value) -> Value {
    json!({
        "ruleId": id,
        "level": level,
        "message": { "text": text },
        "locations": [{ "physicalLocation": place }],
    })
}

fn physical(report: &Report, source: usize, lines: Lines) -> Value {
    json!({
        "artifactLocation": { "uri": uri(&report.sources[source].name) },
        "region": { "startLine": lines.first, "endLine": lines.last },
    })
}

/// A path as a relative reference (RFC 3986, section 4.2).
fn uri(path: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(byte);
    let path = path.trim_start_matches("./");
    path.bytes()
        .map(|byte| {
            if plain(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
