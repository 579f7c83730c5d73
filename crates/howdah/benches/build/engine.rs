//! The budgets of DESIGN section 10: large contexts, steps that cost nothing themselves, no network.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::builder::{Buildah, Builder, Job};
use crate::buildkit::BuildKit;
use crate::context::{self, Context};
use crate::support::output;
use crate::table::{head, median, row, seconds, timed};

const ROUNDS: u32 = 7;
const COLD_ROUNDS: u32 = 3;
const STEPS: u32 = 20;

pub(crate) fn run(programs: &Path, directory: &Path) {
    fs_err::create_dir_all(directory).unwrap();
    let builders = builders(programs, directory);
    let names: Vec<&str> = builders.iter().map(Builder::name).collect();
    head("8,000 files, 60 MB, four stages", &names);
    times("cold", &builders, COLD_ROUNDS, |round| {
        Context::write(
            directory.join(format!("cold-{round}")),
            context::APPLICATION,
            round,
        )
        .path
    });
    let application = Context::write(directory.join("app"), context::APPLICATION, 100);
    for builder in &builders {
        timed(&mut builder.build(&Job::new(&application.path, "bench")));
    }
    let path = || application.path.clone();
    times("no change", &builders, ROUNDS, |_| path());
    times("one file changed", &builders, ROUNDS, |round| {
        application.edit(round);
        path()
    });
    run_overhead(&builders, directory);
    let many = Context::write(directory.join("many"), context::MANY, 200);
    head("100,000 files, 60 MB", &names);
    times("cold", &builders, 1, |_| many.path.clone());
    times("no change", &builders, COLD_ROUNDS, |_| many.path.clone());
    memory(&builders, &application, &many);
}

/// Howdah, BuildKit and buildah, with the base image in each.
fn builders(programs: &Path, directory: &Path) -> [Builder; 3] {
    let howdah = Builder::Howdah {
        root: directory.join("howdah"),
    };
    let buildkit = BuildKit::start(programs, &directory.join("buildkit"));
    let buildah = directory.join("buildah");
    let builders = [
        howdah,
        Builder::BuildKit(buildkit),
        Builder::Buildah(Buildah { root: buildah }),
    ];
    let archive = directory.join("base.tar");
    let howdah = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_howdah"));
        command.env("HOWDAH_ROOT", directory.join("howdah"));
        output(command.args(arguments));
    };
    howdah(&["image", "bootstrap", "debian:bookworm-slim"]);
    let archive_name = archive.to_str().unwrap();
    howdah(&["image", "save", "debian:bookworm-slim", "-o", archive_name]);
    let warm = directory.join("warm");
    context::runs(&warm, 1, 0);
    for builder in &builders {
        eprintln!("warming up {}", builder.name());
        builder.provide(&archive, "debian:bookworm-slim");
        // So that no cold build pays for unpacking the base.
        timed(&mut builder.build(&Job::new(&warm, "warm")));
    }
    builders
}

/// One row: `prepare` before each round, then every builder in turn.
fn times(case: &str, builders: &[Builder], rounds: u32, prepare: impl Fn(u32) -> PathBuf) {
    let mut all = vec![Vec::new(); builders.len()];
    for round in 0..rounds {
        let context = prepare(round);
        for (builder, times) in builders.iter().zip(&mut all) {
            eprintln!("{case}, round {round}: {}", builder.name());
            times.push(timed(&mut builder.build(&Job::new(&context, "bench"))));
        }
    }
    let medians: Vec<f64> = all
        .into_iter()
        .map(|times| median(times).as_secs_f64())
        .collect();
    row(case, &medians, seconds);
}

/// What a RUN step costs beyond its command: builds of one and of many more, divided by the difference.
fn run_overhead(builders: &[Builder], directory: &Path) {
    let costs: Vec<f64> = builders
        .iter()
        .map(|builder| {
            let mut round_costs = Vec::new();
            for round in 0..COLD_ROUNDS {
                let time = |steps: u32| -> Duration {
                    let path = directory.join(format!("runs-{steps}"));
                    context::runs(&path, steps, round + 1);
                    timed(&mut builder.build(&Job::new(&path, "runs")))
                };
                round_costs.push(time(STEPS + 1).saturating_sub(time(1)) / STEPS);
            }
            median(round_costs).as_secs_f64()
        })
        .collect();
    row("a step `RUN true`", &costs, seconds);
}

/// The most memory that a no-change build held at once. Of BuildKit it is the daemon, which has done all builds before.
fn memory(builders: &[Builder], application: &Context, many: &Context) {
    println!("\n| peak memory of a no-change build | 8,000 files | 100,000 files |\n|---|---|---|");
    for builder in builders {
        let measure = |context: &Context| match builder {
            Builder::BuildKit(buildkit) => daemon_peak(buildkit),
            _ => peak(builder, context),
        };
        println!(
            "| {} | {:.0} MB | {:.0} MB |",
            builder.name(),
            measure(application),
            measure(many)
        );
    }
}

/// Megabytes, as GNU time reads them from wait4(2).
fn peak(builder: &Builder, context: &Context) -> f64 {
    let build = builder.build(&Job::new(&context.path, "bench"));
    let mut time = Command::new("/usr/bin/time");
    time.args(["--quiet", "--format=%M"])
        .arg(build.get_program())
        .args(build.get_args());
    for (name, value) in build.get_envs() {
        time.env(name, value.unwrap_or_default());
    }
    let output = time.output().expect("GNU time is installed: make bench");
    let told = String::from_utf8_lossy(&output.stderr);
    let kibibytes: f64 = told.lines().last().unwrap().trim().parse().unwrap();
    kibibytes / 1000.0
}

fn daemon_peak(buildkit: &BuildKit) -> f64 {
    let status = fs_err::read_to_string(format!("/proc/{}/status", buildkit.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes: f64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kibibytes / 1000.0
}
