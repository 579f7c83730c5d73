//! `make bench`: Howdah beside a current BuildKit and Debian's buildah, on the same files, in turns, in one run. Prints tables of
//! medians and ratios for docs/performance.md; asserts nothing.
//!
//!     cargo bench -p howdah --bench build -- DIRECTORY-OF-BUILDKIT
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its tables, and what it is at"
)]
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]
#![allow(dead_code, reason = "the support module serves the tests too")]

mod builder;
#[path = "../../tests/support/buildkit.rs"]
mod buildkit;
mod context;
mod engine;
mod example;
#[path = "../../tests/support/mod.rs"]
mod support;
mod table;

use std::path::PathBuf;

fn main() {
    let programs = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let programs = PathBuf::from(programs.expect("the directory that `make buildkit` fills"));
    // Not below /tmp, which may be a tmpfs: overlayfs and the page cache must be those of the machine's disk.
    let directory = tempfile::Builder::new()
        .prefix("howdah-bench-")
        .tempdir_in("/var/tmp")
        .unwrap();
    engine::run(&programs, &directory.path().join("engine"));
    example::run(&programs, &directory.path().join("example"));
}
