//! Live progress on a terminal: finished steps scroll away above, running ones are redrawn below with their time and the
//! end of their output.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use howdah_build::{Event, StepInfo};

use super::cache;
use super::progress::seconds;

/// Lines of output under a running step.
const OUTPUT_LINES: usize = 4;
/// Steps drawn at once; a small terminal must hold them.
const STEPS: usize = 6;
/// Where the width is not known.
const WIDTH: usize = 80;
/// Redrawing more often only costs time.
const FRAME: Duration = Duration::from_millis(40);

struct Running {
    began: Instant,
    output: VecDeque<String>,
}

/// What is on the screen.
pub(super) struct Live {
    started: Instant,
    steps: Vec<StepInfo>,
    running: BTreeMap<usize, Running>,
    done: usize,
    /// Lines of the last frame, which the next one replaces.
    drawn: usize,
    last_frame: Option<Instant>,
}

impl Live {
    pub(super) fn new(started: Instant) -> Live {
        Live {
            started,
            steps: Vec::new(),
            running: BTreeMap::new(),
            done: 0,
            drawn: 0,
            last_frame: None,
        }
    }

    pub(super) fn tell(&mut self, event: Event) {
        match event {
            Event::Planned { steps } => self.steps = steps,
            Event::Started { step } => {
                self.running.insert(
                    step,
                    Running {
                        began: Instant::now(),
                        output: VecDeque::new(),
                    },
                );
                self.draw_soon();
            }
            Event::Output { step, line, .. } => {
                if let Some(running) = self.running.get_mut(&step) {
                    if running.output.len() == OUTPUT_LINES {
                        running.output.pop_front();
                    }
                    running.output.push_back(line);
                }
                self.draw_soon();
            }
            Event::Cached { step, .. } => self.leave(step, "\u{1b}[36mCACHED\u{1b}[0m ", None),
            Event::Finished { step, duration } => self.leave(step, "", Some(duration)),
            Event::Failed { step, duration } => {
                self.leave(step, "\u{1b}[31mFAILED\u{1b}[0m ", Some(duration));
            }
            Event::CacheFault { cache, error } => {
                let frame = self.clear();
                anstream::eprintln!("{frame}{}", cache::unusable(&cache, &error));
                self.draw();
            }
        }
    }

    pub(super) fn finish(&mut self) {
        self.running.clear();
        let frame = self.clear();
        anstream::eprint!("{frame}");
    }

    /// Draws the running steps.
    pub(super) fn draw(&mut self) {
        let mut frame = self.clear();
        self.append_running(&mut frame);
        self.last_frame = Some(Instant::now());
        anstream::eprint!("{frame}");
    }

    fn draw_soon(&mut self) {
        if self.last_frame.is_none_or(|last| last.elapsed() >= FRAME) {
            self.draw();
        }
    }

    /// Prints a step for good, above the running ones.
    fn leave(&mut self, step: usize, mark: &str, duration: Option<Duration>) {
        self.running.remove(&step);
        self.done += 1;
        let mut frame = self.clear();
        let time = duration.map(seconds).unwrap_or_default();
        let mark_width = if mark.is_empty() { 0 } else { 7 };
        let name = fit(
            &self.steps[step].name,
            width().saturating_sub(mark_width + time.len() + 5),
        );
        // Writing to a String cannot fail.
        let _ = writeln!(frame, " => {mark}{name} {time}");
        self.append_running(&mut frame);
        anstream::eprint!("{frame}");
    }

    fn clear(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            0 => String::new(),
            lines => format!("\u{1b}[{lines}A\r\u{1b}[J"),
        }
    }

    fn append_running(&mut self, frame: &mut String) {
        if self.running.is_empty() {
            return;
        }
        let width = width();
        let total = self.steps.len();
        let _ = writeln!(
            frame,
            "[+] {} {}/{total}",
            seconds(self.started.elapsed()),
            self.done
        );
        self.drawn += 1;
        for (step, running) in self.running.iter().take(STEPS) {
            let time = seconds(running.began.elapsed());
            let name = fit(
                &self.steps[*step].name,
                width.saturating_sub(time.len() + 5),
            );
            let _ = writeln!(frame, " => \u{1b}[1m{name}\u{1b}[0m {time}");
            self.drawn += 1;
            for line in &running.output {
                let _ = writeln!(
                    frame,
                    "\u{1b}[2m    {}\u{1b}[0m",
                    fit(line, width.saturating_sub(5))
                );
                self.drawn += 1;
            }
        }
        if let Some(more) = self
            .running
            .len()
            .checked_sub(STEPS)
            .filter(|more| *more > 0)
        {
            let _ = writeln!(frame, "    and {more} more");
            self.drawn += 1;
        }
    }
}

fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stderr());
    size.map(|size| usize::from(size.ws_col))
        .ok()
        .filter(|width| *width > 0)
        .unwrap_or(WIDTH)
}

/// One line of at most `width` characters, without anything that moves the cursor.
fn fit(text: &str, width: usize) -> String {
    let mut shown: Vec<char> = text
        .chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect();
    if shown.len() > width {
        shown.truncate(width.saturating_sub(1));
        shown.push('…');
    }
    shown.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_never_breaks() {
        assert_eq!(fit("abc", 3), "abc");
        assert_eq!(fit("abcd", 3), "ab…");
        assert_eq!(fit("a\u{1b}[2Jb\n", 10), "a [2Jb ");
    }
}
