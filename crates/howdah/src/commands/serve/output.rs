//! The log of a running server: one JSON object a line on stderr, written by a thread of its own, so that a slow reader of the
//! log does not hold up requests.

use std::io::{BufWriter, Write as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use howdah_serve::log::{Line, Log};

/// Lines that wait to be written; further ones are dropped, because a log that nobody reads must not stop the server.
const WAITING: usize = 8192;

/// The thread, and the way to it.
pub(super) struct Output {
    lines: SyncSender<Line>,
    thread: JoinHandle<()>,
}

impl Output {
    pub(super) fn start() -> Self {
        let (lines, receiver) = sync_channel(WAITING);
        let thread = std::thread::spawn(move || write(&receiver));
        Self { lines, thread }
    }

    pub(super) fn log(&self) -> Log {
        let lines = self.lines.clone();
        Log::new(move |line| drop(lines.try_send(line)))
    }

    /// Waits until everything is written. All logs must be gone.
    pub(super) fn finish(self) {
        drop(self.lines);
        // The thread has nothing that could panic but the log itself, of which nobody is left to be told.
        self.thread.join().ok();
    }
}

fn write(lines: &Receiver<Line>) {
    let mut out = BufWriter::new(std::io::stderr());
    while let Ok(first) = lines.recv() {
        for line in std::iter::once(first).chain(lines.try_iter()) {
            // Nobody is left who could be told that stderr is closed.
            serde_json::to_writer(&mut out, &line).ok();
            out.write_all(b"\n").ok();
        }
        out.flush().ok();
    }
}
