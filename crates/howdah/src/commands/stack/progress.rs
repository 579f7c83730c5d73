//! What happens to a stack, as Compose shows it: a line that changes for each container on a terminal, else a line for each change.

use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

use howdah_compose::{Change, StackEvent, Subject};
use rustix::termios::tcgetwinsize;

use super::super::display::shorten;

const GREEN: &str = "\u{1b}[32m";
const RED: &str = "\u{1b}[31m";
const YELLOW: &str = "\u{1b}[33m";

/// Draws on stderr.
#[derive(Debug)]
pub(crate) struct Progress {
    rows: Vec<Row>,
    is_terminal: bool,
    drawn: usize,
}

#[derive(Debug)]
struct Row {
    label: String,
    words: String,
    colour: &'static str,
    since: Instant,
    is_settled: bool,
    seconds: f64,
}

impl Progress {
    /// `in_place`: lines may change, because nothing else is written meanwhile.
    pub(crate) fn new(in_place: bool) -> Self {
        Self {
            rows: Vec::new(),
            is_terminal: in_place && std::io::stderr().is_terminal(),
            drawn: 0,
        }
    }

    /// Shows an event.
    pub(crate) fn show(&mut self, event: &StackEvent) {
        let label = match &event.subject {
            Subject::Container { name, .. } => format!("Container {name}"),
            Subject::Network(name) => format!("Network {name}"),
            Subject::Volume(name) => format!("Volume {name}"),
        };
        let (words, colour, is_settled) = words(&event.change);
        let known = self.rows.iter().position(|row| row.label == label);
        let index = known.unwrap_or(self.rows.len());
        if known.is_none() {
            let (words, since) = (String::new(), Instant::now());
            self.rows.push(Row {
                label,
                words,
                colour,
                since,
                is_settled,
                seconds: 0.0,
            });
        }
        let row = &mut self.rows[index];
        if row.is_settled {
            row.since = Instant::now();
        }
        row.seconds = row.since.elapsed().as_secs_f64();
        (row.words, row.colour, row.is_settled) = (words, colour, is_settled);
        if self.is_terminal {
            self.draw();
        } else {
            let row = &self.rows[index];
            anstream::eprintln!(
                " {}  {colour}{}\u{1b}[0m  {:.1}s",
                row.label,
                row.words,
                row.seconds
            );
        }
    }

    fn draw(&mut self) {
        let columns = tcgetwinsize(std::io::stderr())
            .map_or(80, |size| usize::from(size.ws_col))
            .max(20);
        let label_of = |row: &Row| row.label.chars().count();
        let width = self.rows.iter().map(label_of).max().unwrap_or_default();
        let mut stream = anstream::stderr().lock();
        let mut draw = || {
            if self.drawn > 0 {
                write!(stream, "\u{1b}[{}A", self.drawn)?;
            }
            for row in &self.rows {
                let mark = if row.is_settled { "✔" } else { "…" };
                let Row {
                    label,
                    words,
                    colour,
                    seconds,
                    ..
                } = row;
                // A line that wraps would be drawn anew instead of over itself.
                let words = shorten(words, columns.saturating_sub(width + 12).max(8));
                writeln!(
                    stream,
                    "\r\u{1b}[K {colour}{mark}\u{1b}[0m {label:width$}  {colour}{words}\u{1b}[0m  {seconds:.1}s"
                )?;
            }
            stream.flush()
        };
        // A terminal that is gone needs no progress.
        drop(draw());
        self.drawn = self.rows.len();
    }
}

/// The words, their colour, and whether the subject has come to rest.
fn words(change: &Change) -> (String, &'static str, bool) {
    let (words, colour, is_settled) = match change {
        Change::Unchanged => ("Running", GREEN, true),
        Change::Created => ("Created", GREEN, true),
        Change::Recreating => ("Recreate", YELLOW, false),
        Change::Waiting => ("Waiting", YELLOW, false),
        Change::Starting => ("Starting", YELLOW, false),
        Change::Started => ("Started", GREEN, true),
        Change::Healthy => ("Healthy", GREEN, true),
        Change::Unhealthy { .. } => ("Unhealthy", RED, true),
        Change::Stopping => ("Stopping", YELLOW, false),
        Change::Restarting => ("Restarting", YELLOW, false),
        Change::Removed => ("Removed", GREEN, true),
        Change::Killed { grace } => {
            return (format!("did not stop within {grace}s, killed"), RED, false);
        }
        Change::Exited { expected: true, .. } => ("Stopped", GREEN, true),
        Change::Exited { code: 0, .. } => ("Exited (0)", GREEN, true),
        Change::Exited {
            code,
            oom_killed: true,
            ..
        } => return (format!("Exited ({code}), out of memory"), RED, true),
        Change::Exited { code, .. } => return (format!("Exited ({code})"), RED, true),
        Change::Failed { message } => return (format!("Error: {message}"), RED, true),
        Change::Note { message } => return (message.clone(), YELLOW, true),
    };
    (words.to_owned(), colour, is_settled)
}
