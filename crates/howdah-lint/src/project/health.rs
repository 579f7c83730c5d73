//! Health checks: which paths they ask for, and which commands they call.

use std::collections::BTreeSet;

use howdah_dockerfile::lint::commands::{Call, program};

/// Paths that people give to health checks.
const USUAL: [&str; 11] = [
    "/up",
    "/health",
    "/healthz",
    "/health-check",
    "/healthcheck",
    "/ready",
    "/readyz",
    "/live",
    "/livez",
    "/ping",
    "/status",
];

/// The paths whose answers say whether a container is healthy.
#[derive(Debug, Default)]
pub(super) struct HealthPaths {
    probed: BTreeSet<String>,
}

impl HealthPaths {
    /// Adds the paths that a probe asks for.
    pub(super) fn add(&mut self, calls: &[Call]) {
        for call in calls
            .iter()
            .filter(|call| matches!(program(call), "curl" | "wget" | "php" | "node"))
        {
            self.probed
                .extend(call.iter().filter_map(|word| path_of(word)));
        }
    }

    /// Whether a path is one of them.
    pub(super) fn has(&self, path: &str) -> bool {
        let path = path
            .trim_matches('"')
            .trim_start_matches('^')
            .trim_end_matches(['$', '*']);
        let path = match path.trim_end_matches('/') {
            "" => "/",
            path => path,
        };
        USUAL.contains(&path) || (path != "/" && self.probed.contains(path))
    }
}

/// The path of the URL in a word.
fn path_of(word: &str) -> Option<String> {
    let (_, rest) = word.split_once("://")?;
    let path = &rest[rest.find('/')?..];
    let end = path.find(['?', '\'', '"', ')', '#']).unwrap_or(path.len());
    Some(path[..end].to_owned())
}
