//! BuildKit's side: a daemon of its own for the time of the recording.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::OnceLock;

use rayon::prelude::*;

use crate::buildkit::BuildKit;
use crate::case::{Case, Group};
use crate::images::Bases;
use crate::outcome::{Outcome, Recorded};
use crate::remote::Remote;
use crate::scene::Scene;

/// Asks BuildKit for the outcome of every case whose `group::name` begins with `filter`, and writes `recorded/`.
pub(crate) fn record(programs: &Path, filter: &str) -> ExitCode {
    let directory = tempfile::tempdir().unwrap();
    let judge = Judge::start(programs, directory.path());
    for group in Group::all() {
        let chosen: Vec<&Case> = group
            .cases
            .iter()
            .filter(|case| format!("{}::{}", group.name, case.name).starts_with(filter))
            .collect();
        if chosen.is_empty() {
            continue;
        }
        let outcomes: BTreeMap<String, Outcome> = chosen
            .par_iter()
            .map(|case| (case.name.clone(), judge.build(case)))
            .collect();
        let mut recorded = Recorded::read(&group.name);
        let names: Vec<String> = group.cases.iter().map(|case| case.name.clone()).collect();
        recorded.update(&names, &outcomes);
        recorded.write(&group.name);
        let failed = outcomes
            .values()
            .filter(|outcome| outcome.failure.is_some())
            .count();
        eprintln!(
            "{}: {} recorded, {failed} of them failures",
            group.name,
            outcomes.len()
        );
    }
    ExitCode::SUCCESS
}

/// BuildKit with the base images.
struct Judge {
    buildkit: BuildKit,
    bases: Bases,
    /// Where they are.
    layout: PathBuf,
    remote: OnceLock<Remote>,
}

impl Judge {
    fn start(programs: &Path, directory: &Path) -> Judge {
        let layout = directory.join("bases");
        let bases = Bases::write(&layout);
        let buildkit = BuildKit::start(programs, directory);
        for name in Bases::names() {
            buildkit.provide(&format!("oci:{}:{name}", layout.display()), name);
        }
        Judge {
            buildkit,
            bases,
            layout,
            remote: OnceLock::new(),
        }
    }

    fn build(&self, case: &Case) -> Outcome {
        if !case.is_remote() {
            return self.build_filled(case);
        }
        let remote = self.remote.get_or_init(Remote::start);
        remote.mask(self.build_filled(&remote.fill(case)))
    }

    fn build_filled(&self, case: &Case) -> Outcome {
        let scene = Scene::new(case, None);
        let mut command = self.buildkit.command();
        command.args([
            "build",
            "--progress",
            "plain",
            "--no-cache",
            "--frontend",
            "dockerfile.v0",
        ]);
        if case.at.is_none() {
            for name in ["context", "dockerfile"] {
                command
                    .arg("--local")
                    .arg(format!("{name}={}", scene.context().display()));
            }
        }
        let mut option = |name: &str, value: &str| {
            command.arg("--opt").arg(format!("{name}={value}"));
        };
        if let Some(address) = &case.at {
            option("context", address);
        }
        option("filename", case.local_file());
        if let Some(bytes) = case.shm_size {
            option("shm-size", &bytes.to_string());
        }
        if !case.ulimits.is_empty() {
            option("ulimit", &case.ulimits.join(","));
        }
        // Whoever gives it has followed `# syntax=` already: the frontend that is built in is the one meant.
        option("cmdline", "docker/dockerfile:1");
        match case.network.as_deref().unwrap_or("none") {
            "default" => {}
            network => option("force-network-mode", network),
        }
        for (name, value) in [("target", &case.target), ("platform", &case.platform)] {
            if let Some(value) = value {
                option(name, value);
            }
        }
        for (kind, pairs) in [("build-arg", &case.build_args), ("label", &case.labels)] {
            for (name, value) in pairs {
                option(&format!("{kind}:{name}"), value);
            }
        }
        if !case.add_hosts.is_empty() {
            option("add-hosts", &case.add_hosts.join(",").replace(':', "="));
        }
        self.add_contexts(&mut command, case, &scene);
        for id in case.secrets.keys() {
            command
                .arg("--secret")
                .arg(format!("id={id},src={}", scene.secret(id).display()));
        }
        for entitlement in &case.allow {
            command.args(["--allow", entitlement]);
        }
        if case.ssh {
            command
                .arg("--ssh")
                .arg(format!("default={}", scene.agent().display()));
        }
        command
            .arg("--output")
            .arg(format!("type=oci,dest={}", scene.image().display()));
        let output = command.output().unwrap();
        if output.status.success() {
            return self.bases.outcome(&scene.image());
        }
        Outcome::failed(&message(&String::from_utf8_lossy(&output.stderr)))
    }

    /// Named contexts, as buildx gives them.
    fn add_contexts(&self, command: &mut Command, case: &Case, scene: &Scene) {
        for (name, place) in &case.build_contexts {
            let place = scene.named_context(place, &self.layout);
            if let Some(layout) = place.strip_prefix("oci-layout://") {
                // The client looks the tag up.
                let (directory, tag) = layout.rsplit_once(':').unwrap();
                let digest = self.bases.digest(tag);
                command
                    .arg("--oci-layout")
                    .arg(format!("bases={directory}"));
                command
                    .arg("--opt")
                    .arg(format!("context:{name}=oci-layout://bases:{tag}@{digest}"));
            } else if place.contains("://") {
                command.arg("--opt").arg(format!("context:{name}={place}"));
            } else {
                command
                    .arg("--opt")
                    .arg(format!("context:{name}=local:{name}"));
                command.arg("--local").arg(format!("{name}={place}"));
            }
        }
    }
}

/// What `buildctl` says last, without the parts that differ from run to run.
fn message(stderr: &str) -> String {
    let error = stderr
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("error: "));
    let text = error.unwrap_or(stderr).trim();
    let text = text.trim_start_matches("failed to solve: ");
    // Names of references: `iwebhk0ngj12u3av9jjzwib3b::ssnjbb6nsqn9y0w3jsl7wrt9s`.
    let words = text.split(' ').map(|word| match word.rsplit_once("::") {
        Some((_, random)) if random.len() > 20 => "…".to_owned(),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}
