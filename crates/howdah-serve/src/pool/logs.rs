//! The lines that a pool writes to the log.

use std::sync::atomic::Ordering;

use howdah_wire::control::Exit;
use howdah_wire::{Kind, LogLine};
use serde_json::{Map, Value};

use super::worker::{Busy, Card, Phase};
use crate::log::{Level, Log};

const LOGGER: &str = "php";

/// A `Log` or `Backtrace` frame.
pub(super) fn from_worker(log: &Log, card: &Card, kind: Kind, payload: &[u8]) {
    match kind {
        Kind::Log => {
            let line = serde_json::from_slice(payload)
                .unwrap_or_else(|_| LogLine::new(8, String::from_utf8_lossy(payload)));
            written(log, Some(card), line);
        }
        Kind::Backtrace => backtrace(log, card, &String::from_utf8_lossy(payload)),
        _ => {}
    }
}

/// A line that PHP code or PHP itself wrote.
pub(super) fn written(log: &Log, card: Option<&Card>, line: LogLine) {
    let level = match line.level {
        ..0 => Level::Debug,
        0..4 => Level::Info,
        4..8 => Level::Warn,
        8.. => Level::Error,
    };
    let mut fields = match line.context {
        Some(Value::Object(fields)) => fields,
        Some(other) => Map::from_iter([("context".to_owned(), other)]),
        None => Map::new(),
    };
    if let Some(card) = card {
        fields.insert("pid".into(), card.pid.into());
    }
    log.line(level, LOGGER, line.message, Value::Object(fields));
}

fn backtrace(log: &Log, card: &Card, trace: &str) {
    let trace = trace.trim_end();
    if card.is_overdue() {
        return killed(log, card, trace);
    }
    let mut fields = request_fields(card);
    fields.insert("backtrace".into(), trace.into());
    log.line(Level::Warn, LOGGER, "slow request", Value::Object(fields));
}

/// A request's time is over. Said once, be it with an empty backtrace.
pub(super) fn killed(log: &Log, card: &Card, trace: &str) {
    if card.told.swap(true, Ordering::AcqRel) {
        return;
    }
    let mut fields = request_fields(card);
    fields.insert("backtrace".into(), trace.into());
    let message = "request killed: it took too long";
    log.line(Level::Warn, LOGGER, message, Value::Object(fields));
}

/// A worker that was not told to end has ended.
pub(super) fn ended(log: &Log, card: &Card, exit: Exit) {
    let mut fields = request_fields(card);
    let served = card.served.load(Ordering::Relaxed);
    fields.insert("served".into(), served.into());
    let (level, message) = match exit {
        Exit::Code(0) => (Level::Debug, "worker script ended, restarting"),
        Exit::Code(code) => {
            fields.insert("exit_status".into(), code.into());
            (Level::Warn, "unexpected termination, restarting")
        }
        Exit::Signal(signal) => {
            fields.insert("signal".into(), signal_name(signal).into());
            (Level::Error, "worker killed by a signal, restarting")
        }
    };
    log.line(level, LOGGER, message, Value::Object(fields));
}

/// A worker did not end in time and is killed.
pub(super) fn killed_at_end(log: &Log, card: &Card) {
    let fields = Value::Object(request_fields(card));
    let message = "worker killed: it did not end in time";
    log.line(Level::Warn, LOGGER, message, fields);
}

/// Any other line.
pub(super) fn tell(log: &Log, level: Level, message: &str, fields: Value) {
    log.line(level, LOGGER, message, fields);
}

fn request_fields(card: &Card) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("pid".into(), card.pid.into());
    if let Phase::Busy(busy) = &*card.phase() {
        fields.insert("method".into(), busy.method.as_str().into());
        fields.insert("uri".into(), busy.uri().into());
        fields.insert("script".into(), (*busy.script).into());
        fields.insert("seconds".into(), busy.since.elapsed().as_secs_f64().into());
    }
    fields
}

impl Busy {
    pub(super) fn path(&self) -> &str {
        self.target
            .as_ref()
            .map_or("/", http::uri::PathAndQuery::path)
    }

    pub(super) fn uri(&self) -> &str {
        self.target
            .as_ref()
            .map_or("/", http::uri::PathAndQuery::as_str)
    }
}

/// `SIGSEGV` rather than a number.
fn signal_name(signal: i32) -> String {
    let known = rustix::process::Signal::from_named_raw(signal);
    let debug = known.map(|signal| format!("{signal:?}"));
    // rustix's text has the name last: `Signal::KILL`.
    let name = debug.as_deref().and_then(|text| text.rsplit("::").next());
    name.map_or_else(
        || signal.to_string(),
        |name| format!("SIG{}", name.trim_matches('"')),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names() {
        assert_eq!(signal_name(9), "SIGKILL");
        assert_eq!(signal_name(11), "SIGSEGV");
        assert_eq!(signal_name(0), "0");
    }
}
