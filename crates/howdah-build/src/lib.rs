//! Dockerfile builds: from Dockerfiles and a context to images in the store.
//!
//! [`Builder::build`] lowers its targets into one graph ([`lower`]), solves it with what earlier builds remembered
//! ([`cache`]), executes what is left ([`exec`]) and makes the images ([`assemble`]). It tells what happens as a stream of
//! [`Event`]s and writes a history of every build into the database.

mod assemble;
pub mod attest;
mod build;
mod cache;
mod context;
mod copy;
mod error;
mod event;
mod exec;
mod export;
mod gc;
mod history;
mod lower;
mod machine;
mod op;
mod pattern;
mod remote;
mod request;
mod root;
mod timing;
mod transport;
mod tree;
mod upper;
mod view;

pub use build::{Builder, Built};
pub use copy::CopyError;
pub use error::{BuildError, LowerError, Place, StepError};
pub use event::{CacheHit, Event, StepInfo, Stream};
pub use exec::RunError;
pub use export::{common_file, export_tree};
pub use gc::{
    Item, ItemKind, Prune, PruneError, Pruned, SizeLimits, collect, directory_size, disk_limits,
    items, keep_quota, prune,
};
pub use history::{
    Answer, BuildSummary, Cause, CountedBuild, Counts, Day, FileChange, FileDifference, Forecast,
    HistoryError, LineChange, Part, Question, Report, Selection, StepCost, StepOutcome, Tally, Why,
    report, why,
};
pub use howdah_dockerfile::Network;
pub use howdah_solver::{Cancel, Prediction};
pub use lower::Pull;
pub use machine::{MachineError, check_machine};
pub use remote::{
    Fetched, GitReference, ParseGitReferenceError, Remote, RemoteContext, RemoteError,
};
pub use request::{
    ContextSource, DEFAULT_AGENT, Entitlement, NamedContext, NoCache, Options, SOURCE_DATE_EPOCH,
    Secret, Target, Text,
};
pub use timing::Phase;
pub use transport::{
    CacheError, CacheExport, CacheMode, CachePlace, CacheSource, CacheTarget, DocumentError,
    Exported, FetchedLayers, Imported, ParseCacheError, import_cache,
};
