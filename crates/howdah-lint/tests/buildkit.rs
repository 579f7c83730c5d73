//! `BuildKit`'s checks against what a current `BuildKit` says: rule and line of every finding, case by case.
//!
//! `buildkit/recorded.json` holds its answers. To record them again, as root and with `make buildkit` done:
//! `HOWDAH_RECORD_CHECKS=$PWD/target/buildkit cargo test -p howdah-lint --test buildkit`.
#![expect(
    clippy::tests_outside_test_module,
    clippy::unwrap_used,
    reason = "the whole program is a test"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use howdah_build::Target;
use howdah_lint::{KnownImages, Origin, check_targets};

/// The findings of each case, as `Rule:line`, sorted.
type Findings = BTreeMap<String, Vec<String>>;

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    dockerfile: String,
    ignore: Option<String>,
    target: Option<String>,
    #[serde(default)]
    build_args: BTreeMap<String, String>,
}

#[derive(Debug, serde::Deserialize)]
struct Cases {
    case: Vec<Case>,
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/buildkit")
}

#[test]
fn every_case_is_answered_as_buildkit_does() {
    let text = fs_err::read_to_string(directory().join("cases.toml")).unwrap();
    let cases = toml::from_str::<Cases>(&text).unwrap().case;
    let recorded = directory().join("recorded.json");
    if let Some(programs) = std::env::var_os("HOWDAH_RECORD_CHECKS") {
        let answers = record(Path::new(&programs), &cases);
        let text = serde_json::to_string_pretty(&answers).unwrap();
        fs_err::write(&recorded, text + "\n").unwrap();
    }
    let recorded: Findings =
        serde_json::from_str(&fs_err::read_to_string(recorded).unwrap()).unwrap();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    assert_eq!(cases.len(), recorded.len(), "record again");
    let mut wrong = Vec::new();
    for case in &cases {
        let expected = &recorded[&case.name];
        let found = found(case);
        if found != *expected {
            wrong.push(format!("{}: {found:?} instead of {expected:?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The files of a case.
fn write(case: &Case, directory: &Path) {
    fs_err::create_dir_all(directory).unwrap();
    fs_err::write(directory.join("Dockerfile"), &case.dockerfile).unwrap();
    if let Some(ignore) = &case.ignore {
        fs_err::write(directory.join(".dockerignore"), ignore).unwrap();
    }
}

/// What our checks say, without our own rules.
fn found(case: &Case) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    write(case, directory.path());
    let mut target = Target::load(&directory.path().join("Dockerfile"), directory.path()).unwrap();
    target.stage.clone_from(&case.target);
    target.build_args.clone_from(&case.build_args);
    let report = check_targets(&[target], &KnownImages { find: &|_| None });
    let ours = report.findings.iter().map(|finding| &finding.what);
    let ours = ours.filter(|finding| finding.rule.origin == Origin::BuildKit);
    let mut found: Vec<String> = ours
        .map(|finding| format!("{}:{}", finding.rule.name, finding.lines.first))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Asks `BuildKit` about every case.
fn record(programs: &Path, cases: &[Case]) -> Findings {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(programs, directory.path());
    cases
        .iter()
        .enumerate()
        .map(|(index, case)| {
            let files = directory.path().join(index.to_string());
            write(case, &files);
            (case.name.clone(), daemon.lint(case, &files))
        })
        .collect()
}

/// A `buildkitd` that ends with the test.
struct Daemon {
    process: Child,
    buildctl: PathBuf,
    address: String,
}

impl Daemon {
    fn start(programs: &Path, directory: &Path) -> Daemon {
        let address = format!("unix://{}/socket", directory.display());
        let process = Command::new(programs.join("buildkitd"))
            .args(["--addr", &address, "--root"])
            .arg(directory.join("root"))
            .args([
                "--containerd-worker=false",
                "--oci-worker-no-process-sandbox=false",
            ])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let daemon = Daemon {
            process,
            buildctl: programs.join("buildctl"),
            address,
        };
        let deadline = Instant::now() + Duration::from_mins(1);
        while !daemon
            .command()
            .args(["debug", "workers"])
            .output()
            .unwrap()
            .status
            .success()
        {
            assert!(Instant::now() < deadline, "buildkitd does not answer");
        }
        daemon
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.buildctl);
        command.args(["--addr", &self.address]);
        command
    }

    /// `WARNING: Rule - page`, the message, `file:line`, and the lines.
    fn lint(&self, case: &Case, files: &Path) -> Vec<String> {
        let mut command = self.command();
        command.args(["build", "--progress=plain", "--frontend=dockerfile.v0"]);
        for name in ["context", "dockerfile"] {
            command
                .arg("--local")
                .arg(format!("{name}={}", files.display()));
        }
        let mut option = |option: String| {
            command.arg("--opt").arg(option);
        };
        option("requestid=frontend.lint".to_owned());
        option("platform=linux/amd64".to_owned());
        for (name, value) in &case.build_args {
            option(format!("build-arg:{name}={value}"));
        }
        if let Some(target) = &case.target {
            option(format!("target={target}"));
        }
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {errors}", case.name);
        let mut rule = "";
        let mut found = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("WARNING: ") {
                rule = rest.split(' ').next().unwrap();
            } else if let Some(number) = line.strip_prefix("Dockerfile:") {
                found.push(format!("{rule}:{number}"));
            }
        }
        found.sort();
        found.dedup();
        found
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        self.process.wait().ok();
    }
}
