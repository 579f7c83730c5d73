//! The container helper alone: what `howdah __container` does, for this crate's own tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    howdah_runtime::helper(std::env::args_os().skip(2))
}
