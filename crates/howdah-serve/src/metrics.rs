//! Counting for Prometheus, and the text that it reads (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets in seconds, as the client libraries of Prometheus have them.
const BOUNDS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// How long things took.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// Not yet added up; the last one has no bound.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    microseconds: AtomicU64,
}

impl Histogram {
    pub(crate) fn observe(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bucket = BOUNDS.partition_point(|bound| seconds > *bound);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }
}

/// A page of metrics in the making.
#[derive(Debug, Default)]
pub(crate) struct Page(String);

impl Page {
    /// Begins a family; its samples follow.
    pub(crate) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    /// One sample.
    pub(crate) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels = list(labels);
        self.line(format_args!("{name}{labels} {value}"));
    }

    /// The samples of a histogram.
    pub(crate) fn histogram(&mut self, name: &str, label: (&str, &str), histogram: &Histogram) {
        let mut count = 0;
        let bounds = BOUNDS.iter().map(ToString::to_string);
        let bounds = bounds.chain(std::iter::once("+Inf".to_owned()));
        for (bound, bucket) in bounds.zip(&histogram.buckets) {
            count += bucket.load(Ordering::Relaxed);
            let labels = [label, ("le", bound.as_str())];
            self.sample(&format!("{name}_bucket"), &labels, count);
        }
        let sum = Duration::from_micros(histogram.microseconds.load(Ordering::Relaxed));
        self.sample(&format!("{name}_sum"), &[label], sum.as_secs_f64());
        self.sample(&format!("{name}_count"), &[label], count);
    }

    /// A family of one sample without labels.
    pub(crate) fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // A String takes everything.
        writeln!(self.0, "{line}").ok();
    }
}

impl From<Page> for String {
    fn from(page: Page) -> Self {
        page.0
    }
}

fn list(labels: &[(&str, &str)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let label = |(name, value): &(&str, &str)| format!("{name}=\"{}\"", escape(value));
    let labels: Vec<String> = labels.iter().map(label).collect();
    format!("{{{}}}", labels.join(","))
}

fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_added_up() {
        let histogram = Histogram::default();
        for milliseconds in [5, 6, 700, 60_000] {
            histogram.observe(Duration::from_millis(milliseconds));
        }
        let mut page = Page::default();
        page.histogram("t", ("who", "a\"b\\"), &histogram);
        let text = String::from(page);
        let value = |line: &str| {
            let found = text.lines().find_map(|one| one.strip_prefix(line));
            found
                .unwrap_or_else(|| panic!("{line} in {text}"))
                .to_owned()
        };
        assert_eq!(value(r#"t_bucket{who="a\"b\\",le="0.005"} "#), "1");
        assert_eq!(value(r#"t_bucket{who="a\"b\\",le="0.01"} "#), "2");
        assert_eq!(value(r#"t_bucket{who="a\"b\\",le="10"} "#), "3");
        assert_eq!(value(r#"t_bucket{who="a\"b\\",le="+Inf"} "#), "4");
        assert_eq!(value(r#"t_count{who="a\"b\\"} "#), "4");
        assert_eq!(value(r#"t_sum{who="a\"b\\"} "#), "60.711");
    }

    #[test]
    fn families_are_described() {
        let mut page = Page::default();
        page.single("up", "gauge", "Is it?", 1);
        assert_eq!(
            String::from(page),
            "# HELP up Is it?\n# TYPE up gauge\nup 1\n"
        );
    }
}
