//! Times, their medians, and a Markdown table of them.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::output;

/// How long a command takes, process start included. What was written before is on the disk by then, so that no builder
/// pays for its neighbour's writes.
pub(crate) fn timed(command: &mut Command) -> Duration {
    rustix::fs::sync();
    let start = Instant::now();
    output(command);
    start.elapsed()
}

pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Prints a table's head; the first builder is the one that the others are compared with.
pub(crate) fn head(title: &str, builders: &[&str]) {
    let (first, rivals) = builders.split_first().unwrap();
    let rivals = rivals.iter().map(|name| format!(" {name} | ratio |"));
    println!("\n| {title} | {first} |{}", rivals.collect::<String>());
    println!("|---|{}", "---|".repeat(builders.len() * 2 - 1));
}

/// Prints a row of values, the more the worse, `show`n with their unit.
pub(crate) fn row(case: &str, values: &[f64], show: impl Fn(f64) -> String) {
    let (first, rivals) = values.split_first().unwrap();
    let rivals = rivals
        .iter()
        .map(|value| format!(" {} | {:.1}x |", show(*value), value / first));
    println!(
        "| {case} | {} |{}",
        show(*first),
        rivals.collect::<String>()
    );
}

/// Seconds in the unit that reads best.
pub(crate) fn seconds(value: f64) -> String {
    if value < 1.0 {
        format!("{:.1} ms", value * 1000.0)
    } else {
        format!("{value:.2} s")
    }
}
