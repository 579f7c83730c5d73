//! Plain progress, in the form of BuildKit's: `#5 [web build 2/6] RUN ...`, `#5 0.31 output`, `#5 DONE 1.2s`.

use std::collections::HashSet;
use std::time::Instant;

use howdah_build::{Event, StepInfo};

use super::cache;
use super::progress::seconds;

/// What was printed so far.
pub(super) struct Plain {
    started: Instant,
    steps: Vec<StepInfo>,
    begun: Vec<Option<Instant>>,
    named: HashSet<usize>,
    last: Option<usize>,
}

impl Plain {
    pub(super) fn new(started: Instant) -> Plain {
        Plain {
            started,
            steps: Vec::new(),
            begun: Vec::new(),
            named: HashSet::new(),
            last: None,
        }
    }

    pub(super) fn tell(&mut self, event: Event) {
        match event {
            Event::Planned { steps } => {
                self.begun = vec![None; steps.len()];
                self.steps = steps;
            }
            Event::Started { step } => {
                self.begun[step] = Some(Instant::now());
                self.name(step);
            }
            Event::Output { step, line, .. } => {
                let begun = self.begun[step].unwrap_or(self.started);
                let time = begun.elapsed().as_secs_f64();
                self.line(step, &format!("{time:.3} {line}"));
            }
            Event::Cached { step, .. } => self.line(step, "CACHED"),
            Event::Finished { step, duration } => {
                self.line(step, &format!("DONE {}", seconds(duration)));
            }
            Event::Failed { step, duration } => {
                self.line(step, &format!("FAILED {}", seconds(duration)));
            }
            Event::CacheFault { cache, error } => {
                self.finish();
                anstream::eprintln!("{}", cache::unusable(&cache, &error));
            }
        }
    }

    pub(super) fn finish(&mut self) {
        if self.last.take().is_some() {
            anstream::eprintln!();
        }
    }

    fn line(&mut self, step: usize, text: &str) {
        self.name(step);
        anstream::eprintln!("#{} {text}", step + 1);
    }

    /// Says which step the next lines are about: once in full, and again by name when another one came between.
    fn name(&mut self, step: usize) {
        if self.last == Some(step) {
            return;
        }
        if self.last.is_some() {
            anstream::eprintln!();
        }
        let again = if self.named.insert(step) { "" } else { " ..." };
        anstream::eprintln!("#{} {}{again}", step + 1, self.steps[step].name);
        self.last = Some(step);
    }
}
