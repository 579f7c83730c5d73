//! What a pool of PHP workers is told.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How requests are shared out to processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The application is booted once, and each worker answers many requests with it.
    Worker,
    /// The application is booted once, and each request gets a process of its own, forked from it.
    Fork,
    /// Each request boots the application anew, as under PHP-FPM.
    Classic,
}

impl Mode {
    /// Its name on the command line and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Worker => "worker",
            Mode::Fork => "fork",
            Mode::Classic => "classic",
        }
    }
}

/// What the workers of a pool run.
#[derive(Debug, Clone)]
pub enum WorkerScript {
    /// A file.
    File(PathBuf),
    /// A part of this program, which PHP is given in memory.
    Embedded {
        /// What it is called in messages.
        name: &'static str,
        /// PHP code.
        source: &'static str,
    },
}

impl WorkerScript {
    /// The file, if it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            WorkerScript::File(file) => Some(file),
            WorkerScript::Embedded { .. } => None,
        }
    }
}

/// How many workers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Always so many.
    Fixed(usize),
    /// As many as are needed, between the two.
    Between {
        /// Kept when nothing is to do.
        least: usize,
        /// Never exceeded.
        most: usize,
    },
}

impl Size {
    /// Workers that a new pool starts with.
    pub(super) fn least(self) -> usize {
        match self {
            Size::Fixed(count) => count,
            Size::Between { least, .. } => least,
        }
    }

    /// Workers that there are at most.
    pub fn most(self) -> usize {
        match self {
            Size::Fixed(count) => count,
            Size::Between { least, most } => most.max(least),
        }
    }
}

/// Everything about one pool. [`PoolConfig::new`] gives the defaults.
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// What it is called in the log and in metrics.
    pub name: String,
    /// How requests are served.
    pub mode: Mode,
    /// The `howdah-php` to run.
    pub program: PathBuf,
    /// The script that the workers run; without one each request names its own.
    pub script: Option<WorkerScript>,
    /// The directory that the workers start in.
    pub directory: PathBuf,
    /// Added to the workers' environment, and to `$_SERVER`.
    pub environment: Vec<(OsString, OsString)>,
    /// `php.ini` to read instead of the distribution's.
    pub php_ini: Option<PathBuf>,
    /// Settings, as `php -d`: `key=value`.
    pub settings: Vec<String>,
    /// How many workers.
    pub size: Size,
    /// Requests that may wait for a worker; a further one is a 503.
    pub queue: usize,
    /// How long a request waits for a worker before it is a 503.
    pub max_wait: Duration,
    /// The wall-clock limit of a request: the worker is killed, the client gets a 504.
    pub request_timeout: Option<Duration>,
    /// Requests that take longer are logged with PHP's backtrace.
    pub slow_after: Option<Duration>,
    /// A worker is replaced after about so many requests.
    pub max_requests: Option<u64>,
    /// A worker is replaced when PHP holds more memory than this between two requests, in bytes.
    pub memory_limit: Option<u64>,
    /// How long workers may take to end when they are replaced or stopped; then they are killed.
    pub stop_timeout: Duration,
    /// Never give up the start when the script does not boot, because somebody is about to mend it.
    pub patient: bool,
}

impl PoolConfig {
    /// The defaults.
    pub fn new(mode: Mode, program: impl Into<PathBuf>, directory: impl Into<PathBuf>) -> Self {
        Self {
            name: "php".into(),
            mode,
            program: program.into(),
            script: None,
            directory: directory.into(),
            environment: Vec::new(),
            php_ini: None,
            settings: Vec::new(),
            size: super::size::automatic(),
            queue: 1024,
            max_wait: Duration::from_secs(30),
            request_timeout: None,
            slow_after: None,
            max_requests: None,
            memory_limit: None,
            stop_timeout: Duration::from_secs(30),
            patient: false,
        }
    }

    /// What its workers run, for messages.
    pub(super) fn what_runs(&self) -> String {
        match &self.script {
            Some(WorkerScript::File(file)) => file.display().to_string(),
            Some(WorkerScript::Embedded { name, .. }) => (*name).to_owned(),
            None => self.program.display().to_string(),
        }
    }
}
