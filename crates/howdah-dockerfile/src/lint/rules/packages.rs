//! Packages that are removed where it does not help, or where it hurts.

use std::collections::{BTreeMap, BTreeSet};

use super::Lineage;
use crate::lint::commands::{Call, operands, program};
use crate::lint::rule::{HEALTHCHECK_TOOL_REMOVED, PURGE_IN_LATER_LAYER};
use crate::lint::sink::{Sink, Site};
use crate::{Command, Healthcheck, Probe};

/// What a package manager is told to do.
enum Change<'call> {
    Install(Vec<&'call str>),
    Remove(Vec<&'call str>),
}

/// Both rules, on one stage with all that is below it.
pub(super) fn check(lineage: &Lineage, sink: &mut Sink) {
    let mut installed: BTreeSet<String> = BTreeSet::new();
    let mut removed: BTreeMap<String, Site> = BTreeMap::new();
    let mut probe = None;
    for step in lineage.steps() {
        match &step.command {
            Command::Run(run) => {
                let calls = run.calls();
                let changes: Vec<Change> = calls.iter().filter_map(change).collect();
                later_removal(&step.site, &changes, &installed, sink);
                for change in changes {
                    match change {
                        Change::Install(packages) => {
                            removed.retain(|package, _| !packages.contains(&package.as_str()));
                            installed.extend(packages.into_iter().map(str::to_owned));
                        }
                        Change::Remove(packages) => removed.extend(
                            packages
                                .into_iter()
                                .map(|package| (package.to_owned(), step.site.clone())),
                        ),
                    }
                }
                package_lists(&step.site, &calls, sink);
            }
            Command::Healthcheck(Healthcheck::Probe(found)) => probe = Some(found),
            Command::Healthcheck(Healthcheck::None) => probe = None,
            _ => {}
        }
    }
    if let Some(probe) = probe {
        removed_tool(probe, &removed, sink);
    }
}

fn change(call: &Call) -> Option<Change<'_>> {
    let mut words = operands(call);
    match program(call) {
        "apt-get" | "apt" | "aptitude" | "dnf" | "yum" | "microdnf" => match words.next()? {
            "install" => Some(Change::Install(words.collect())),
            "purge" | "remove" | "autoremove" | "erase" => Some(Change::Remove(words.collect())),
            _ => None,
        },
        "apk" => match words.next()? {
            "add" => Some(Change::Install(words.collect())),
            "del" => Some(Change::Remove(words.collect())),
            _ => None,
        },
        "dpkg"
            if call
                .iter()
                .any(|word| matches!(word.as_str(), "-r" | "-P" | "--purge" | "--remove")) =>
        {
            Some(Change::Remove(words.collect()))
        }
        _ => None,
    }
}

/// A removal only helps in the layer that installs. A `RUN` that installs may remove what it has installed; of the rest
/// only what surely came with an earlier instruction is told.
fn later_removal(site: &Site, changes: &[Change], installed: &BTreeSet<String>, sink: &mut Sink) {
    let here: Vec<&str> = changes
        .iter()
        .flat_map(|change| match change {
            Change::Install(packages) => packages.as_slice(),
            Change::Remove(_) => &[],
        })
        .copied()
        .collect();
    let installs = changes
        .iter()
        .any(|change| matches!(change, Change::Install(_)));
    for change in changes {
        let Change::Remove(packages) = change else {
            continue;
        };
        let late: Vec<&str> = packages
            .iter()
            .copied()
            .filter(|package| !here.contains(package))
            .filter(|package| !installs || installed.contains(*package))
            .collect();
        if !late.is_empty() {
            let message = format!("`{}` stays in the layer below", late.join(" "));
            sink.report(site, &PURGE_IN_LATER_LAYER, message);
        } else if packages.is_empty() && !installs && changes.len() == 1 {
            sink.report(
                site,
                &PURGE_IN_LATER_LAYER,
                "what is removed stays in the layers below",
            );
        }
    }
}

/// Package lists that are deleted by another `RUN` than the one that fetched them.
fn package_lists(site: &Site, calls: &[Call], sink: &mut Sink) {
    let deletes = |call: &Call| {
        program(call) == "rm" && operands(call).any(|path| path.starts_with("/var/lib/apt/lists"))
    };
    let fetches = |call: &Call| {
        matches!(
            program(call),
            "apt-get" | "apt" | "aptitude" | "install-php-extensions"
        )
    };
    if calls.iter().any(deletes) && !calls.iter().any(fetches) {
        let message = "the package lists stay in the layer that fetched them";
        sink.report(site, &PURGE_IN_LATER_LAYER, message);
    }
}

fn removed_tool(probe: &Probe, removed: &BTreeMap<String, Site>, sink: &mut Sink) {
    for call in probe.command.calls() {
        let name = program(&call);
        let site = packages_of(name)
            .into_iter()
            .find_map(|package| removed.get(package));
        if let Some(site) = site {
            let message = format!("`{name}` is removed, and the health check calls it");
            sink.report(site, &HEALTHCHECK_TOOL_REMOVED, message);
        }
    }
}

/// The packages that bring a program, where their names differ from its name.
fn packages_of(program: &str) -> Vec<&str> {
    let others: &[&str] = match program {
        "nc" => &["netcat", "netcat-openbsd", "netcat-traditional", "ncat"],
        "pg_isready" | "psql" => &["postgresql-client"],
        "redis-cli" => &["redis-tools", "redis"],
        "mysqladmin" | "mysql" | "mariadb-admin" => {
            &["default-mysql-client", "mariadb-client", "mysql-client"]
        }
        "ps" | "pgrep" => &["procps"],
        "ss" | "ip" => &["iproute2"],
        _ => &[],
    };
    std::iter::once(program)
        .chain(others.iter().copied())
        .collect()
}
