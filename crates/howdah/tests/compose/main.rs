//! Stacks run by the real binary: real containers of a tiny image, real networks, volumes and signals.
#![allow(
    clippy::tests_outside_test_module,
    clippy::unwrap_used,
    reason = "all of this file is a test"
)]

mod commands;
mod lifecycle;
mod network;
mod recovery;
mod scene;
mod storage;
