//! The log of a running server: one JSON object a line on stderr, written by a thread of its own, so that a slow reader of the
//! log does not hold up requests.

use std::io::{BufWriter, Write as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use howdah_serve::log::{Line, Log};

/// Lines that wait to be written; further ones are dropped, because a log that nobody reads must not stop the server.
const WAITING: usize = 8192;

/// Starts the thread. It ends with the last clone of the log.
pub(super) fn log() -> Log {
    let (sender, receiver): (SyncSender<Line>, _) = sync_channel(WAITING);
    std::thread::spawn(move || write(&receiver));
    Log::new(move |line| drop(sender.try_send(line)))
}

fn write(lines: &Receiver<Line>) {
    let mut out = BufWriter::new(std::io::stderr());
    while let Ok(first) = lines.recv() {
        for line in std::iter::once(first).chain(lines.try_iter()) {
            // Nobody is left who could be told that stderr is closed.
            drop(serde_json::to_writer(&mut out, &line));
            drop(out.write_all(b"\n"));
        }
        drop(out.flush());
    }
}
