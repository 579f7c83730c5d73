//! The example from source tree to running stack, by the real binary: real containers, `PostgreSQL`, Redis, mail catcher, Docker.
#![expect(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "the whole crate is tests, and a test fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod confinement;
mod digests;
mod images;
mod rebuild;
mod served;
mod stack;
mod stop;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use support::project::Project;

// The stacks would fit side by side, but two cores would not give each of them its health checks in time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The example, alone on the machine while the test runs.
pub(crate) struct Scene {
    pub(crate) project: Project,
    _alone: MutexGuard<'static, ()>,
}

impl Scene {
    pub(crate) fn new(name: &str) -> Self {
        Self::of(|| Project::new(name, &root()))
    }

    /// Its second packaging.
    pub(crate) fn served(name: &str) -> Self {
        Self::of(|| Project::served(name, &root()))
    }

    fn of(project: impl FnOnce() -> Project) -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            project: project(),
            _alone: alone,
        }
    }
}

/// One store for all tests, kept between runs: the first run pays for the packages, as a developer's does.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("howdah-root")
}
