//! Containers' output as Compose prints it: merged, each line with the container it came from, in a colour of its own.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;

use howdah_compose::{Container, LogLine, LogReader};
use jiff::Timestamp;

/// Compose's colours, in its order.
const COLOURS: [&str; 10] = [
    "36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1",
];

/// How lines look.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Style {
    /// Leave out the container's name.
    pub(crate) no_prefix: bool,
    /// Leave out colours.
    pub(crate) no_colour: bool,
    /// Show each line's time.
    pub(crate) timestamps: bool,
}

/// Which lines are shown.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Range {
    /// Only so many of the last lines of each container.
    pub(crate) tail: Option<usize>,
    /// Only lines written since.
    pub(crate) since: Option<Timestamp>,
    /// Only lines written before.
    pub(crate) until: Option<Timestamp>,
}

#[derive(Debug)]
struct Source {
    label: String,
    colour: &'static str,
    reader: LogReader,
}

/// The logs of several containers, printed as they grow.
#[derive(Debug, Default)]
pub(crate) struct Output {
    style: Style,
    sources: BTreeMap<String, Source>,
    labels: Vec<String>,
}

impl Output {
    /// Prints nothing yet.
    pub(crate) fn new(style: Style) -> Self {
        Self {
            style,
            ..Self::default()
        }
    }

    /// Room for the longest name, so that all lines are aligned.
    pub(crate) fn expect(&mut self, containers: &[Container]) {
        for container in containers {
            self.label_of(container);
        }
    }

    /// `web-1`, as Compose has it; a container with a name of its own is called that.
    fn label_of(&mut self, container: &Container) -> String {
        let plan = &container.plan.service;
        let label = match &plan.container.container_name {
            Some(name) => name.clone(),
            None => format!("{}-{}", plan.name, container.index),
        };
        if !self.labels.contains(&label) {
            self.labels.push(label.clone());
        }
        label
    }

    /// Follows a container's log from `reader` on.
    pub(crate) fn add(&mut self, container: &Container, reader: LogReader) {
        if self.sources.contains_key(&container.id) {
            return;
        }
        let label = self.label_of(container);
        let number = self
            .labels
            .iter()
            .position(|known| *known == label)
            .unwrap_or_default();
        self.sources.insert(
            container.id.clone(),
            Source {
                label,
                colour: COLOURS[number % COLOURS.len()],
                reader,
            },
        );
    }

    /// Prints what is there, in the order it was written.
    pub(crate) fn print_range(&mut self, range: Range) -> io::Result<()> {
        let mut all: Vec<(String, &'static str, LogLine)> = Vec::new();
        for source in self.sources.values_mut() {
            let in_range = |line: &LogLine| {
                range.since.is_none_or(|since| line.time >= since)
                    && range.until.is_none_or(|until| line.time < until)
            };
            let mut lines: Vec<LogLine> =
                source.reader.read()?.into_iter().filter(in_range).collect();
            if let Some(tail) = range.tail {
                lines.drain(..lines.len().saturating_sub(tail));
            }
            all.extend(
                lines
                    .into_iter()
                    .map(|line| (source.label.clone(), source.colour, line)),
            );
        }
        all.sort_by_key(|(_, _, line)| line.time);
        let mut text = String::new();
        for (label, colour, line) in &all {
            self.format(label, colour, line, &mut text);
        }
        write(&text)
    }

    /// Prints what was added since the last call.
    pub(crate) fn print_new(&mut self) -> io::Result<()> {
        self.print_range(Range::default())
    }

    fn format(&self, label: &str, colour: &str, line: &LogLine, text: &mut String) {
        if !self.style.no_prefix {
            let width = self
                .labels
                .iter()
                .map(|label| label.chars().count())
                .max()
                .unwrap_or_default();
            let prefix = format!("{label:width$}  | ");
            if self.style.no_colour {
                text.push_str(&prefix);
            } else {
                text.extend(["\u{1b}[", colour, "m", &prefix, "\u{1b}[0m"]);
            }
        }
        if self.style.timestamps {
            text.extend([&format!("{:.9}", line.time), " "]);
        }
        text.push_str(&line.log);
        if !line.log.ends_with('\n') {
            text.push('\n');
        }
    }
}

/// Data goes to stdout; a reader that closes the pipe ends the command quietly.
fn write(text: &str) -> io::Result<()> {
    let mut stream = anstream::stdout().lock();
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

/// A reader for a container: from the start of its log, or from its end.
pub(crate) fn reader(log: &Path, from_start: bool) -> io::Result<LogReader> {
    if from_start {
        Ok(LogReader::new(log))
    } else {
        LogReader::at_end(log)
    }
}
