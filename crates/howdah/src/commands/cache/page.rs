//! The cache report as one HTML page that needs nothing else: no script, no font, no request.

use howdah_build::{CountedBuild, Day, Part, Report};

use super::chart::{builds, date, duration, moment, percent, totals};
use crate::commands::display::human_size;

/// The chart in the units of its view box.
const WIDTH: i64 = 960;
const HEIGHT: i64 = 240;
const LEFT: i64 = 44;
const BOTTOM: i64 = 26;
const TOP: i64 = 18;
/// Older days are left out of the chart.
const MOST_DAYS: i64 = 91;
/// More days have no room for their numbers.
const NUMBERED_DAYS: i64 = 28;
/// Older builds are left out of the list.
const MOST_BUILDS: usize = 50;

const STYLE: &str = include_str!("page.css");

/// The page. `now`: milliseconds since 1970.
pub(super) fn page(report: &Report, title: &str, now: i64) -> String {
    let mut body = String::new();
    let spans = report.days.first().zip(report.days.last());
    let time = spans.map_or(String::new(), |(first, last)| {
        format!(", {} to {}", date(first.day), date(last.day))
    });
    let head = format!("{}{time}", builds(report.builds.len() as u64));
    push(
        &mut body,
        &format!(
            "<header><h1>Layer cache</h1><p>{} · {head}</p></header>\n",
            escape(title)
        ),
    );
    body.push_str("<section class=\"cards\">\n");
    for (name, rate, detail) in totals(&report.total) {
        let value = percent(rate);
        push(
            &mut body,
            &format!(
                "<div class=\"card\"><b>{value}</b><span>of {name} cached</span><small>{detail}</small></div>\n"
            ),
        );
    }
    body.push_str("</section>\n<section><h2>Day by day</h2>\n");
    body.push_str(&chart(&report.days));
    body.push_str(
        "<p class=\"legend\"><i class=\"cached\"></i> steps found in the cache <i class=\"rebuilt\"></i> steps that ran \
         <i class=\"line\"></i> seconds saved</p>\n</section>\n",
    );
    parts(&mut body, "By stage", &report.stages);
    parts(&mut body, "By step", &report.steps);
    list(&mut body, &report.builds);
    push(
        &mut body,
        &format!(
            "<footer>howdah cache report, {} UTC</footer>\n",
            moment(now)
        ),
    );
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Layer cache: {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        escape(title)
    )
}

/// One bar for each day from the first to the last, cached below, rebuilt above, and a line of the seconds saved.
fn chart(days: &[Day]) -> String {
    let (Some(first), Some(last)) = (days.first(), days.last()) else {
        return String::new();
    };
    let start = first.day.max(last.day - MOST_DAYS + 1);
    let count = last.day - start + 1;
    // A single day is no wall.
    let step = ((WIDTH - LEFT) / count).clamp(6, 60);
    let inner = HEIGHT - TOP - BOTTOM;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Cache hit rate by day\">\n"
    );
    grid(&mut svg, inner);
    let mut points = Vec::new();
    for day in days.iter().filter(|day| day.day >= start) {
        let Some(rate) = day.tally.step_rate() else {
            continue;
        };
        let x = LEFT + (day.day - start) * step + step / 8;
        let width = (step - step / 4).max(2);
        let cached = scaled(rate, inner);
        let top = TOP + inner - cached;
        let words = format!(
            "{}: {} of steps cached in {}, {} saved",
            date(day.day),
            percent(Some(rate)),
            builds(day.builds),
            duration(day.tally.saved_seconds)
        );
        push(
            &mut svg,
            &format!(
                "<g><title>{words}</title><rect class=\"rebuilt\" x=\"{x}\" y=\"{TOP}\" width=\"{width}\" height=\"{}\"/>\
                 <rect class=\"cached\" x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"{cached}\"/></g>\n",
                inner - cached
            ),
        );
        let middle = x + width / 2;
        if count <= NUMBERED_DAYS {
            push(
                &mut svg,
                &format!(
                    "<text class=\"number\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
                    TOP - 5,
                    percent(Some(rate))
                ),
            );
        }
        if let Some(rate) = day.tally.second_rate() {
            points.push(format!("{middle},{}", TOP + inner - scaled(rate, inner)));
        }
    }
    push(
        &mut svg,
        &format!(
            "<polyline class=\"seconds\" points=\"{}\"/>\n",
            points.join(" ")
        ),
    );
    for day in (start..=last.day).filter(|day| *day == start || (day + 3).rem_euclid(7) == 0) {
        // The first label would run into that of a Monday right after it.
        if day == start || (day - start) * step >= 80 {
            let x = LEFT + (day - start) * step + step / 8;
            push(
                &mut svg,
                &format!(
                    "<text class=\"axis\" x=\"{x}\" y=\"{}\">{}</text>\n",
                    HEIGHT - 8,
                    date(day)
                ),
            );
        }
    }
    svg + "</svg>\n"
}

/// The lines of the percentages.
fn grid(svg: &mut String, inner: i64) {
    for line in [0, 25, 50, 75, 100] {
        let y = TOP + inner - inner * line / 100;
        push(
            svg,
            &format!(
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y}\" y2=\"{y}\"/><text class=\"axis\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{line}%</text>\n",
                LEFT - 6,
                y + 4
            ),
        );
    }
}

fn scaled(rate: f64, height: i64) -> i64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "a rate is between 0 and 1, and a chart is small"
    )]
    let scaled = (rate.clamp(0.0, 1.0) * height as f64).round() as i64;
    scaled
}

fn parts(body: &mut String, title: &str, parts: &[Part]) {
    push(
        body,
        &format!(
            "<section><h2>{title}</h2>\n<table>\n<tr><th></th><th>steps cached</th><th></th><th>saved</th><th>spent</th><th>written</th></tr>\n"
        ),
    );
    for part in parts {
        let tally = &part.tally;
        let rate = tally.step_rate();
        let width = scaled(rate.unwrap_or(0.0), 100);
        push(
            body,
            &format!(
                "<tr><td class=\"name\">{}</td><td class=\"bar\"><div><i style=\"width:{width}%\"></i></div></td><td>{}</td>\
                 <td>{}</td><td>{}</td><td>{}</td></tr>\n",
                escape(&part.name),
                percent(rate),
                duration(tally.saved_seconds),
                duration(tally.spent_seconds),
                human_size(tally.written_bytes)
            ),
        );
    }
    body.push_str("</table>\n</section>\n");
}

fn list(body: &mut String, builds: &[CountedBuild]) {
    body.push_str("<section><h2>Builds</h2>\n<table>\n<tr><th>build</th><th>begun (UTC)</th><th>took</th><th>cached</th><th></th><th>of</th></tr>\n");
    for build in builds.iter().take(MOST_BUILDS) {
        let summary = &build.summary;
        let (begun, took) = (moment(summary.started), duration(summary.seconds));
        let (cached, outcome) = (percent(build.tally.step_rate()), escape(&summary.outcome));
        let (id, targets) = (summary.id, escape(&summary.targets));
        push(
            body,
            &format!(
                "<tr><td>{id}</td><td>{begun}</td><td>{took}</td><td>{cached}</td><td class=\"{outcome}\">{outcome}</td>\
                 <td class=\"name\">{targets}</td></tr>\n"
            ),
        );
    }
    body.push_str("</table>\n</section>\n");
}

fn push(text: &mut String, more: &str) {
    text.push_str(more);
}

/// Names come from Dockerfiles and directories.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            character if character.is_control() => escaped.push('\u{fffd}'),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use howdah_build::Tally;

    use super::*;

    #[test]
    fn the_page_needs_nothing_else_and_trusts_no_name() {
        let tally = Tally {
            cached_steps: 3,
            executed_steps: 1,
            ..Tally::default()
        };
        let report = Report {
            total: tally,
            steps: vec![Part {
                name: "[app] RUN echo \"<script>\" && x".to_owned(),
                tally,
            }],
            days: vec![Day {
                day: 20_779,
                builds: 2,
                tally,
            }],
            ..Report::default()
        };
        let page = page(&report, "/shop & more", 0);
        assert!(
            page.contains("[app] RUN echo &quot;&lt;script&gt;&quot; &amp;&amp; x"),
            "{page}"
        );
        assert!(
            !page.contains("<script") && !page.contains("http"),
            "{page}"
        );
        assert!(
            page.contains(
                "<title>2026-11-22: 75% of steps cached in 2 builds, 0.00 s saved</title>"
            ),
            "{page}"
        );
        assert_eq!(chart(&[]), "");
        // Years of builds do not make the chart wider than it is.
        let years: Vec<Day> = (0..2000)
            .map(|day| Day {
                day,
                builds: 1,
                tally,
            })
            .collect();
        let bars = chart(&years).matches("class=\"cached\"").count();
        assert_eq!(i64::try_from(bars), Ok(MOST_DAYS));
    }
}
