//! What servers hold in memory, as `/proc/PID/smaps_rollup` tells it.

use std::path::Path;

use crate::case;
use crate::contender::{Contender, Mode};
use crate::load::{self, Plan};
use crate::process::Process;
use crate::site::Sites;

/// kB.
#[derive(Clone, Copy, Default)]
struct Memory {
    resident: u64,
    /// Shared pages counted in parts.
    proportional: u64,
}

/// Of the warm workers of Laravel; each contender alone, because PSS is less for each that shares a library.
pub(crate) fn compare(plan: &Plan, sites: &Sites, frankenphp: Option<&Path>) {
    if !plan.has("memory") {
        return;
    }
    println!(
        "\n| memory, 4 warm Laravel workers | front RSS | PHP RSS | PHP PSS | all PSS |\n|---|---|---|---|---|"
    );
    row(&Contender::fpm(sites, &sites.laravel));
    row(&Contender::howdah(sites, &sites.laravel, Mode::Worker));
    if let Some(program) = frankenphp {
        row(&Contender::frankenphp(sites, &sites.laravel, program));
    }
}

fn row(contender: &Contender) {
    for case in case::laravel() {
        load::load(contender.address, &case, 16, 3);
    }
    let (front, php) = split(contender);
    let all = front.proportional + php.proportional;
    let [front, resident, proportional, all] =
        [front.resident, php.resident, php.proportional, all].map(|kilobytes| kilobytes / 1024);
    println!(
        "| {} | {front} MiB | {resident} MiB | {proportional} MiB | {all} MiB |",
        contender.name
    );
}

/// The processes that speak HTTP, and those that run PHP with the one that forks them.
fn split(contender: &Contender) -> (Memory, Memory) {
    let tree = |process: &Process| descendants(process.pid()).into_iter();
    if let Some(fpm) = &contender.fpm {
        return (sum(tree(&contender.front)), sum(tree(fpm)));
    }
    let front = contender.front.pid();
    let others = tree(&contender.front).filter(|pid| *pid != front);
    (sum(std::iter::once(front)), sum(others))
}

fn sum(pids: impl Iterator<Item = u32>) -> Memory {
    pids.fold(Memory::default(), |sum, pid| {
        let text = fs_err::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let kilobytes = |name: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap()
                .trim()
                .trim_end_matches(" kB")
                .parse()
                .unwrap()
        };
        Memory {
            resident: sum.resident + kilobytes("Rss:"),
            proportional: sum.proportional + kilobytes("Pss:"),
        }
    })
}

/// A process and all below it.
fn descendants(pid: u32) -> Vec<u32> {
    let threads = fs_err::read_dir(format!("/proc/{pid}/task")).unwrap();
    let children = threads.map(|thread| {
        let file = thread.unwrap().path().join("children");
        fs_err::read_to_string(file).unwrap_or_default()
    });
    let children = children.collect::<Vec<_>>().join(" ");
    let below = children
        .split_whitespace()
        .flat_map(|child| descendants(child.parse().unwrap()));
    std::iter::once(pid).chain(below).collect()
}
