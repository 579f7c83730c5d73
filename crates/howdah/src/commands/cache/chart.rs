//! The cache report in the terminal.

use howdah_build::{Day, Part, Report, Tally};

use crate::commands::display::{human_size, printable, shorten};

/// Characters of a bar.
const WIDTH: usize = 20;
/// Rows of a day's bar.
const HEIGHT: usize = 5;
/// Longer names are cut.
const NAME: usize = 56;

/// What bars are drawn with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bars {
    cached: char,
    rebuilt: char,
    rule: &'static str,
}

impl Bars {
    pub(super) const UNICODE: Bars = Bars {
        cached: '▓',
        rebuilt: '░',
        rule: "─",
    };
    pub(super) const PLAIN: Bars = Bars {
        cached: '#',
        rebuilt: '.',
        rule: "-",
    };

    fn horizontal(self, rate: f64) -> String {
        let cached = parts(rate, WIDTH);
        let repeat = |character: char, count: usize| std::iter::repeat_n(character, count);
        repeat(self.cached, cached)
            .chain(repeat(self.rebuilt, WIDTH - cached))
            .collect()
    }
}

/// The whole report as text.
pub(super) fn report(report: &Report, title: &str, bars: Bars) -> String {
    let total = &report.total;
    let mut text = format!(
        "Cache of {}: {}\n\n",
        printable(title),
        builds(report.builds.len() as u64)
    );
    for (name, rate, detail) in totals(total) {
        let line = format!(
            "  {name:<8} {} {:>4}  {detail}\n",
            bars.horizontal(rate.unwrap_or(0.0)),
            percent(rate)
        );
        text.push_str(&line);
    }
    section(&mut text, "By stage", &report.stages, bars);
    section(&mut text, "By step", &report.steps, bars);
    let legend = format!("\n{} cached   {} rebuilt\n", bars.cached, bars.rebuilt);
    text.push_str(&legend);
    text.push_str(&weeks(&report.days, bars));
    text.push_str("\nLast builds\n");
    for build in report.builds.iter().take(10) {
        let summary = &build.summary;
        let line = format!(
            "  build {:<5} {}  {:>8.2} s  {:>4} cached  {} {}\n",
            summary.id,
            moment(summary.started),
            summary.seconds,
            percent(build.tally.step_rate()),
            summary.outcome,
            printable(&summary.targets),
        );
        text.push_str(&line);
    }
    text
}

/// The three hit rates with what they are made of.
pub(super) fn totals(total: &Tally) -> [(&'static str, Option<f64>, String); 3] {
    [
        (
            "steps",
            total.step_rate(),
            format!(
                "{} cached, {} executed",
                total.cached_steps, total.executed_steps
            ),
        ),
        (
            "seconds",
            total.second_rate(),
            format!(
                "{} saved, {} spent",
                duration(total.saved_seconds),
                duration(total.spent_seconds)
            ),
        ),
        (
            "bytes",
            total.byte_rate(),
            format!(
                "{} reused, {} written",
                human_size(total.saved_bytes),
                human_size(total.written_bytes)
            ),
        ),
    ]
}

fn section(text: &mut String, title: &str, parts: &[Part], bars: Bars) {
    text.extend(["\n", title, "\n"]);
    let name = |part: &Part| shorten(&printable(&part.name), NAME);
    let width = parts
        .iter()
        .map(|part| name(part).chars().count())
        .max()
        .unwrap_or(0);
    for part in parts {
        let rate = part.tally.step_rate();
        let line = format!(
            "  {:width$}  {} {:>4} cached\n",
            name(part),
            bars.horizontal(rate.unwrap_or(0.0)),
            percent(rate)
        );
        text.push_str(&line);
    }
}

/// A chart of every week with builds: a column for each day.
fn weeks(days: &[Day], bars: Bars) -> String {
    let monday = |day: i64| day - (day + 3).rem_euclid(7);
    let mut text = String::new();
    let mut rest = days;
    while let Some(first) = rest.first() {
        let start = monday(first.day);
        let count = rest.partition_point(|day| day.day < start + 7);
        let (week, later) = rest.split_at(count);
        rest = later;
        text.extend([
            "\nWeek of ",
            &date(start),
            "\n  ",
            &bars.rule.repeat(7 * 6),
            "\n",
        ]);
        let column = |cells: &dyn Fn(Option<&Day>) -> String| {
            let cells: Vec<String> = (start..start + 7)
                .map(|number| cells(week.iter().find(|day| day.day == number)))
                .collect();
            format!("  {}", cells.concat()).trim_end().to_owned() + "\n"
        };
        text.push_str("  Mon   Tue   Wed   Thu   Fri   Sat   Sun\n");
        for row in (0..HEIGHT).rev() {
            text.push_str(&column(
                &|day| match day.and_then(|day| day.tally.step_rate()) {
                    Some(rate) if row < parts(rate, HEIGHT) => {
                        bars.cached.to_string().repeat(3) + "   "
                    }
                    Some(_) => bars.rebuilt.to_string().repeat(3) + "   ",
                    None => " ".repeat(6),
                },
            ));
        }
        text.push_str(&column(&|day| {
            format!(
                "{:<6}",
                day.map_or(String::new(), |day| percent(day.tally.step_rate()))
            )
        }));
    }
    text
}

/// How many of `whole` parts a rate fills. Only a full rate fills all, only an empty one none.
fn parts(rate: f64, whole: usize) -> usize {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is between 0 and 1, and a bar is short"
    )]
    let filled = (rate.clamp(0.0, 1.0) * whole as f64).round() as usize;
    match filled {
        0 if rate > 0.0 => 1,
        filled if filled == whole && rate < 1.0 => whole - 1,
        filled => filled,
    }
}

/// `95%`, `-` without a rate.
pub(super) fn percent(rate: Option<f64>) -> String {
    rate.map_or_else(
        || "-".to_owned(),
        |rate| format!("{:.0}%", (rate * 100.0).floor()),
    )
}

pub(super) fn builds(count: u64) -> String {
    if count == 1 {
        "1 build".to_owned()
    } else {
        format!("{count} builds")
    }
}

/// `0.35 s`, `12 s`, `3m05s`, `2h04m`.
pub(super) fn duration(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.*} s", if seconds < 10.0 { 2 } else { 0 });
    }
    let whole = std::time::Duration::from_secs_f64(seconds).as_secs();
    let (hours, minutes) = (whole / 3600, whole / 60 % 60);
    if hours > 0 {
        format!("{hours}h{minutes:02}m")
    } else {
        format!("{minutes}m{:02}s", whole % 60)
    }
}

/// The date of a day since 1970.
pub(super) fn date(day: i64) -> String {
    let time = jiff::Timestamp::from_second(day * 24 * 3600).unwrap_or_default();
    time.strftime("%Y-%m-%d").to_string()
}

/// A moment in milliseconds since 1970.
pub(super) fn moment(milliseconds: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(cached: u64, executed: u64) -> Tally {
        Tally {
            cached_steps: cached,
            executed_steps: executed,
            saved_seconds: 95.0,
            spent_seconds: 5.0,
            ..Tally::default()
        }
    }

    #[test]
    fn bars_and_words() {
        assert_eq!(
            [0.0, 0.001, 0.5, 0.999, 1.0].map(|rate| parts(rate, 10)),
            [0, 1, 5, 9, 10]
        );
        assert_eq!(
            [0.5, 12.3, 185.0, 7440.0].map(duration),
            ["0.50 s", "12 s", "3m05s", "2h04m"]
        );
        assert_eq!(
            (percent(Some(0.999)), percent(None)),
            ("99%".to_owned(), "-".to_owned())
        );
        assert_eq!(date(20_779), "2026-11-22");
    }

    #[test]
    fn a_report_in_the_terminal() {
        let part = |name: &str, cached, executed| Part {
            name: name.to_owned(),
            tally: tally(cached, executed),
        };
        // A Monday, a Wednesday, and the Monday after.
        let day = |day, cached, executed| Day {
            day,
            builds: 1,
            tally: tally(cached, executed),
        };
        let counted = Report {
            total: tally(3, 1),
            stages: vec![part("base", 4, 0), part("app", 1, 3)],
            steps: vec![part("[app] COPY . .", 0, 4)],
            days: vec![day(20_773, 0, 4), day(20_775, 2, 2), day(20_780, 4, 0)],
            builds: Vec::new(),
        };
        insta::assert_snapshot!(report(&counted, "/shop", Bars::PLAIN), @r#"
Cache of /shop: 0 builds

  steps    ###############.....  75%  3 cached, 1 executed
  seconds  ###################.  95%  1m35s saved, 5.00 s spent
  bytes    ....................    -  0B reused, 0B written

By stage
  base  #################### 100% cached
  app   #####...............  25% cached

By step
  [app] COPY . .  ....................   0% cached

# cached   . rebuilt

Week of 2026-11-16
  ------------------------------------------
  Mon   Tue   Wed   Thu   Fri   Sat   Sun
  ...         ...
  ...         ...
  ...         ###
  ...         ###
  ...         ###
  0%          50%

Week of 2026-11-23
  ------------------------------------------
  Mon   Tue   Wed   Thu   Fri   Sat   Sun
  ###
  ###
  ###
  ###
  ###
  100%

Last builds
"#);
    }
}
