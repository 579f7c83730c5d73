//! `howdah cache report`.

use std::path::PathBuf;
use std::process::ExitCode;

use howdah_build::{Report, Selection, report};
use howdah_image::Store;

use super::chart::{self, Bars};
use super::{filter, page};
use crate::commands::{CommandError, Context};

/// Exit code when the hit rate is below `--min-hit-rate`.
const BELOW: u8 = 3;

/// Show how well the cache works: hit rates by steps, seconds and bytes, for each stage and step, day by day.
///
/// Counts the builds of this directory, or all when there is none of it. Exits with 3 when --min-hit-rate is missed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Count the builds of all directories.
    #[arg(short, long)]
    all: bool,
    /// Count builds since a date (2026-11-01, UTC) or for a time (12h, 30d, 8w).
    #[arg(long, value_name = "DATE|TIME", value_parser = since)]
    since: Option<Since>,
    /// Count only so many builds, the newest ones.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    last: Option<u32>,
    /// Fail unless this part of the steps was found in the cache, from 0 to 1.
    #[arg(long, value_name = "RATE", value_parser = hit_rate)]
    min_hit_rate: Option<f64>,
    /// Write the report as one HTML page.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
    /// Draw with ASCII characters only.
    #[arg(long)]
    plain: bool,
}

/// From when on builds are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    /// Milliseconds since 1970.
    Moment(i64),
    /// So many milliseconds ago.
    Ago(i64),
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    let store = Store::open(context.root())?;
    let now = jiff::Timestamp::now().as_millisecond();
    let directory = std::env::current_dir().ok().filter(|_| !args.all);
    let mut selection = Selection {
        directory: directory.as_deref(),
        since: args.since.map(|since| match since {
            Since::Moment(moment) => moment,
            Since::Ago(time) => now - time,
        }),
        last: args.last.and_then(|last| usize::try_from(last).ok()),
    };
    let mut counted = report(&store, &selection)?;
    if counted.builds.is_empty() && selection.directory.take().is_some() {
        counted = report(&store, &selection)?;
    }
    if counted.builds.is_empty() {
        return Err(
            CommandError::new("no build is in the history").hint("`howdah build` makes one")
        );
    }
    let title = match selection.directory {
        Some(directory) => directory.display().to_string(),
        None => "all directories".to_owned(),
    };
    if let Some(path) = &args.html {
        fs_err::write(path, page::page(&counted, &title, now))?;
    }
    if args.json {
        anstream::println!("{}", serde_json::to_string_pretty(&with_rates(&counted))?);
    } else if args.html.is_none() {
        let bars = if args.plain {
            Bars::PLAIN
        } else {
            Bars::UNICODE
        };
        anstream::print!("{}", chart::report(&counted, &title, bars));
    }
    let rate = counted.total.step_rate().unwrap_or(0.0);
    match args.min_hit_rate {
        Some(least) if rate < least => Err(CommandError::new(format!(
            "{:.1} % of the steps were cached, and {:.1} % are asked for",
            rate * 100.0,
            least * 100.0
        ))
        .hint("`howdah why` says why steps ran")
        .code(BELOW)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// The report with the rates that follow from its numbers.
fn with_rates(report: &Report) -> serde_json::Value {
    serde_json::json!({
        "step_rate": report.total.step_rate(),
        "second_rate": report.total.second_rate(),
        "byte_rate": report.total.byte_rate(),
        "report": report,
    })
}

fn hit_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&rate) {
        Ok(rate)
    } else {
        Err("not between 0 and 1".to_owned())
    }
}

fn since(text: &str) -> Result<Since, String> {
    if text.ends_with(|character: char| character.is_ascii_alphabetic()) {
        return filter::duration(text).map(Since::Ago);
    }
    let date: jiff::civil::Date = text
        .parse()
        .map_err(|_| "neither a date (2026-11-01) nor a time (30d)".to_owned())?;
    let midnight = date
        .to_zoned(jiff::tz::TimeZone::UTC)
        .map_err(|error| error.to_string())?;
    Ok(Since::Moment(midnight.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_dates() {
        assert_eq!(since("2d"), Ok(Since::Ago(172_800_000)));
        assert_eq!(since("1970-01-02"), Ok(Since::Moment(86_400_000)));
        for text in ["", "d", "5y", "yesterday", "-3d", "2026-13-01"] {
            assert!(since(text).is_err(), "{text}");
        }
        assert_eq!(hit_rate("0.8"), Ok(0.8));
        assert!(hit_rate("80").is_err() && hit_rate("x").is_err());
    }
}
