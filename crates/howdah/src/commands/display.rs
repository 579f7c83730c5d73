//! How lists look: Docker's tables, sizes and ages.

use std::io::Write as _;

/// Rows under headings, columns as wide as their widest text.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
    hidden: Vec<usize>,
}

impl<const N: usize> Table<N> {
    /// A table with headings and no rows.
    pub(crate) fn new(headings: [&str; N]) -> Self {
        Self {
            rows: vec![headings.map(str::to_owned)],
            hidden: Vec::new(),
        }
    }

    /// Leaves a column out.
    pub(crate) fn hide(&mut self, heading: &str) {
        let headings = self.rows.first().into_iter().flatten();
        let found = headings.zip(0..).filter(|(known, _)| *known == heading);
        self.hidden.extend(found.map(|(_, column)| column));
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, row: [String; N]) {
        self.rows.push(row);
    }

    /// Prints it on stdout; a reader that closes the pipe (`| head`) is no error.
    pub(crate) fn print(&self) {
        drop(
            anstream::stdout()
                .lock()
                .write_all(self.to_text().as_bytes()),
        );
    }

    pub(crate) fn to_text(&self) -> String {
        let widths: Vec<usize> = (0..N)
            .map(|column| {
                self.rows
                    .iter()
                    .map(|row| row[column].chars().count())
                    .max()
                    .unwrap_or_default()
            })
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells = row
                .iter()
                .zip(&widths)
                .enumerate()
                .filter(|(column, _)| !self.hidden.contains(column))
                .map(|(_, (cell, width))| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("   ");
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// The choice between a table and JSON, for lists.
#[derive(Debug, clap::Args)]
pub(crate) struct ListFormat {
    /// How the list looks; json prints one object a line.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The same as --format json.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
}

impl ListFormat {
    /// Whether JSON was asked for.
    pub(crate) fn is_json(&self) -> bool {
        self.json || self.format == Format::Json
    }
}

/// `74.8MB`: three digits, powers of a thousand, as Docker's `go-units`.
pub(crate) fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut unit = 0;
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut size = bytes as f64;
    while size >= 1000.0 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    let decimals = if size < 10.0 {
        2
    } else {
        usize::from(size < 100.0)
    };
    let text = format!("{size:.decimals$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{}", UNITS[unit])
}

/// How long ago an RFC 3339 time was, in the words of Docker's `go-units`; `N/A` without one.
pub(crate) fn age(time: Option<&str>) -> String {
    let Some(time) = time.and_then(|time| time.parse::<jiff::Timestamp>().ok()) else {
        return "N/A".to_owned();
    };
    let seconds = jiff::Timestamp::now().as_second() - time.as_second();
    format!(
        "{} ago",
        human_duration(u64::try_from(seconds).unwrap_or_default())
    )
}

pub(crate) fn human_duration(seconds: u64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match hours {
        _ if seconds < 1 => "Less than a second".to_owned(),
        _ if seconds == 1 => "1 second".to_owned(),
        _ if seconds < 60 => format!("{seconds} seconds"),
        _ if minutes == 1 => "About a minute".to_owned(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        1 => "About an hour".to_owned(),
        2..48 => format!("{hours} hours"),
        48..336 => format!("{} days", hours / 24),
        336..1440 => format!("{} weeks", hours / 24 / 7),
        1440..17520 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

/// At most `most` characters, the last an ellipsis when some are missing.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// Control characters of a file do not reach the terminal.
pub(crate) fn printable(line: &str) -> String {
    line.chars()
        .map(|character| {
            if character.is_control() && character != '\t' {
                '\u{fffd}'
            } else {
                character
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_as_docker_prints_them() {
        let sizes: Vec<String> = [0, 999, 1000, 1234, 74_812_345, 156_000_000, 12_300_000_000]
            .map(human_size)
            .into();
        assert_eq!(
            sizes,
            ["0B", "999B", "1kB", "1.23kB", "74.8MB", "156MB", "12.3GB"]
        );
        let ages: Vec<String> = [
            0, 1, 59, 60, 119, 120, 3599, 3600, 90_000, 260_000, 2_000_000, 8_000_000, 99_999_999,
        ]
        .map(human_duration)
        .into();
        assert_eq!(
            ages,
            [
                "Less than a second",
                "1 second",
                "59 seconds",
                "About a minute",
                "About a minute",
                "2 minutes",
                "59 minutes",
                "About an hour",
                "25 hours",
                "3 days",
                "3 weeks",
                "3 months",
                "3 years"
            ]
        );
        assert_eq!(
            (age(None), age(Some("not a time"))),
            ("N/A".to_owned(), "N/A".to_owned())
        );
    }

    #[test]
    fn columns_are_aligned_and_nothing_trails() {
        let mut table = Table::new(["A", "LONG", "C"]);
        table.row(["wide".into(), "x".into(), String::new()]);
        assert_eq!(table.to_text(), "A      LONG   C\nwide   x\n");
        assert_eq!(shorten("äbcdef", 4), "äbc…");
    }
}
