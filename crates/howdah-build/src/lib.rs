//! Dockerfile builds: operations, lowering, cache, history.
