//! Progress on stderr: live on a terminal, else plain lines.

use std::io::IsTerminal as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use howdah_build::{Built, Event, Target};

use super::cache;
use super::live::Live;
use super::plain::Plain;

/// How progress looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// Live on a terminal, else plain.
    Auto,
    /// One line for each thing that happens.
    Plain,
    /// Running steps with their time, redrawn.
    Tty,
    /// Nothing.
    Quiet,
}

/// How often running times move.
const TICK: Duration = Duration::from_millis(100);

enum Display {
    Quiet,
    Plain(Plain),
    Live(Live),
}

struct Shared {
    display: Mutex<(Display, bool)>,
    finished: Condvar,
}

/// A build's progress.
pub(super) struct Progress {
    mode: Mode,
    started: Instant,
    shared: Arc<Shared>,
    ticker: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Progress {
    /// Begins; nothing is shown before the first event.
    pub(super) fn start(mode: Mode) -> Progress {
        let started = Instant::now();
        let display = match mode {
            Mode::Quiet => Display::Quiet,
            Mode::Tty => Display::Live(Live::new(started)),
            Mode::Auto if std::io::stderr().is_terminal() => Display::Live(Live::new(started)),
            Mode::Auto | Mode::Plain => Display::Plain(Plain::new(started)),
        };
        let shared = Arc::new(Shared {
            display: Mutex::new((display, false)),
            finished: Condvar::new(),
        });
        Progress {
            mode,
            started,
            shared,
            ticker: Mutex::new(None),
        }
    }

    /// How it looks.
    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// Shows an event.
    pub(super) fn tell(&self, event: Event) {
        let begins_work = matches!(event, Event::Started { .. });
        let live = {
            let mut guard = lock(&self.shared);
            match &mut guard.0 {
                Display::Quiet => {}
                Display::Plain(plain) => plain.tell(event),
                Display::Live(live) => live.tell(event),
            }
            matches!(guard.0, Display::Live(_))
        };
        // A build of which everything is cached needs no clock.
        if live && begins_work {
            let mut ticker = self.ticker.lock().unwrap_or_else(PoisonError::into_inner);
            if ticker.is_none() {
                let shared = Arc::clone(&self.shared);
                *ticker = Some(std::thread::spawn(move || tick(&shared)));
            }
        }
    }

    /// Leaves the last state on the screen.
    pub(super) fn finish(&self) {
        {
            let mut guard = lock(&self.shared);
            guard.1 = true;
            match &mut guard.0 {
                Display::Live(live) => live.finish(),
                Display::Plain(plain) => plain.finish(),
                Display::Quiet => {}
            }
        }
        self.shared.finished.notify_all();
        let ticker = self
            .ticker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // A panic of the ticker has been printed already.
        drop(ticker.map(std::thread::JoinHandle::join));
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, (Display, bool)> {
    shared
        .display
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

fn tick(shared: &Shared) {
    let mut guard = lock(shared);
    while !guard.1 {
        guard = shared
            .finished
            .wait_timeout(guard, TICK)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        if let (Display::Live(live), false) = &mut *guard {
            live.draw();
        }
    }
}

/// One line for each image, and what it took.
pub(super) fn summary(targets: &[Target], built: &Built, elapsed: Duration) {
    for (target, image) in targets.iter().zip(&built.images) {
        let names: Vec<String> = target
            .tags
            .iter()
            .map(howdah_image::Reference::familiar)
            .collect();
        let names = if names.is_empty() {
            "image".to_owned()
        } else {
            names.join(", ")
        };
        anstream::eprintln!("{names} is {}", image.id.short());
    }
    let counts = built.counts;
    let seconds = elapsed.as_secs_f64();
    anstream::eprintln!(
        "built in {seconds:.2} s: {} steps cached, {} executed",
        counts.cached,
        counts.executed
    );
    cache::tell_fetched(built.fetched);
}

/// `1.2s`, `3m05s`.
pub(super) fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.1}s")
    } else {
        let whole = duration.as_secs();
        format!("{}m{:02}s", whole / 60, whole % 60)
    }
}
