//! The payload of a `Log` frame.

use serde::{Deserialize, Serialize};

/// A line for the log, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// How grave it is: -4 debug, 0 information, 4 warning, 8 error, as Go's `slog` and `FrankenPHP` count; any number may come.
    pub level: i64,
    /// The line; what was not UTF-8 is replaced.
    pub message: String,
    /// What `frankenphp_log()` was given as its context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<serde_json::Value>,
}

impl LogLine {
    /// A line without context.
    pub fn new(level: i64, message: impl Into<String>) -> LogLine {
        LogLine {
            level,
            message: message.into(),
            context: None,
        }
    }
}
