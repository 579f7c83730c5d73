//! Dockerfile builds: operations, lowering, cache, history.

mod context;
mod tree;
mod view;
