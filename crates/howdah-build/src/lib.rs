//! Dockerfile builds: operations, lowering, cache, history.

mod cache;
mod context;
mod copy;
mod error;
mod op;
mod pattern;
mod root;
mod tree;
mod view;

pub use copy::CopyError;
pub use error::StepError;
