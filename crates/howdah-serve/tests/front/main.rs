//! A whole server of files, and clients of each version of HTTP.
#![expect(
    clippy::tests_outside_test_module,
    clippy::unwrap_used,
    reason = "the whole program is a test"
)]

mod http;
mod http3;
mod running;
