//! What the server tells while it runs: typed lines, given to whoever writes them.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

/// How much a line matters, by the names that Caddy and FrankenPHP use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Of use to who looks for a fault.
    Debug,
    /// The course of things.
    Info,
    /// Something to look at.
    Warn,
    /// Something failed.
    Error,
}

/// One line of the log, in the form of FrankenPHP's: Octane and others read it.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// How much it matters.
    pub level: Level,
    /// Seconds since 1970.
    #[serde(rename = "ts")]
    pub time: f64,
    /// The part that speaks, e.g. `http.log.access`.
    pub logger: &'static str,
    /// What happened.
    #[serde(rename = "msg")]
    pub message: String,
    /// The particulars.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// Where lines go. Cheap to clone.
#[derive(Clone)]
pub struct Log(Arc<dyn Fn(Line) + Send + Sync>);

impl Log {
    /// A log that gives each line to `sink`, which must not block.
    pub fn new(sink: impl Fn(Line) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// A log that gets what `filter` makes of each line, if anything.
    #[must_use]
    pub fn filtered(self, filter: impl Fn(Line) -> Option<Line> + Send + Sync + 'static) -> Self {
        Self::new(move |line| {
            if let Some(line) = filter(line) {
                (self.0)(line);
            }
        })
    }

    /// Tells a line; `fields` must be a JSON object.
    pub fn line(
        &self,
        level: Level,
        logger: &'static str,
        message: impl Into<String>,
        fields: Value,
    ) {
        let fields = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        let now = jiff::Timestamp::now();
        #[expect(
            clippy::cast_precision_loss,
            reason = "microseconds since 1970 fit the 52 bits of a double for another two centuries"
        )]
        let time = now.as_microsecond() as f64 / 1e6;
        (self.0)(Line {
            level,
            time,
            logger,
            message: message.into(),
            fields,
        });
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Log")
    }
}

/// An error with its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let told: Vec<String> = causes.map(ToString::to_string).collect();
    told.join(": ")
}
