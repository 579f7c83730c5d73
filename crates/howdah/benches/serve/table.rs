//! Figures, their medians, and Markdown tables of them.

use std::time::Duration;

/// What one load measured.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    /// Requests a second.
    pub(crate) rate: f64,
    median: Duration,
    p99: Duration,
    faults: u64,
}

impl Figures {
    /// Of what wrk printed.
    pub(crate) fn read(output: &str) -> Figures {
        let line = output.lines().find_map(|line| line.strip_prefix("told "));
        let numbers: Vec<u64> = line
            .unwrap_or_else(|| panic!("wrk says: {output}"))
            .split(' ')
            .map(|number| number.parse().unwrap())
            .collect();
        let [requests, taken, median, p99, faults] = numbers[..] else {
            panic!("wrk says: {output}");
        };
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let rate = requests as f64 / Duration::from_micros(taken).as_secs_f64();
        Figures {
            rate,
            median: Duration::from_micros(median),
            p99: Duration::from_micros(p99),
            faults,
        }
    }
}

/// One case: in each round the figures of each contender.
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) rounds: Vec<Vec<Figures>>,
}

/// The first contender is the one that the others are compared with.
pub(crate) fn head(title: &str, names: &[&str]) {
    println!(
        "\n| {title}: requests/s (p50 / p99 ms) | {} |",
        names.join(" | ")
    );
    println!("|---|{}", "---|".repeat(names.len()));
}

impl Row {
    pub(crate) fn print(&self) {
        let cells = (0..self.rounds[0].len()).map(|index| format!(" {} |", self.cell(index)));
        println!("| {} |{}", self.case, cells.collect::<String>());
    }

    fn cell(&self, index: usize) -> String {
        let all = |value: &dyn Fn(&Figures) -> f64| {
            median(
                self.rounds
                    .iter()
                    .map(|round| value(&round[index]))
                    .collect(),
            )
        };
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        let rate = all(&|figures| figures.rate);
        let p50 = all(&|figures| milliseconds(figures.median));
        let p99 = all(&|figures| milliseconds(figures.p99));
        let faults: u64 = self.rounds.iter().map(|round| round[index].faults).sum();
        // Of each round by itself: what else the machine does changes from round to round.
        let ratio = median(
            self.rounds
                .iter()
                .map(|round| round[index].rate / round[0].rate)
                .collect(),
        );
        let ratio = if index == 0 {
            String::new()
        } else {
            format!(" **{ratio:.2}x**")
        };
        let faults = if faults == 0 {
            String::new()
        } else {
            format!(", {faults} failed")
        };
        format!("{rate:.0}{ratio} ({p50:.2} / {p99:.2}{faults})")
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
