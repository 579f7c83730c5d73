//! Conformance: Howdah builds every case of `cases/` and must give what BuildKit gave when the case was recorded.
//!
//!     cargo test -p howdah --test conformance [FILTER]              compare with recorded/
//!     make conformance-record [CASES=copy::]                        ask BuildKit again
//!
//! README.md beside this file says how a case is written.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "the whole program is a test, and a test fails by panicking"
)]

#[path = "../support/buildkit.rs"]
#[expect(dead_code, reason = "benchmarks need more of it")]
mod buildkit;
mod case;
#[path = "../../../howdah-build/tests/support/git.rs"]
#[expect(dead_code, reason = "other tests of repositories need more of it")]
mod git;
mod howdah;
#[path = "../../../howdah-build/tests/support/http.rs"]
#[expect(dead_code, reason = "other tests of URLs need more of it")]
mod http;
mod images;
mod outcome;
mod record;
mod remote;
mod scene;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod support;
mod tree;
#[path = "../support/user.rs"]
#[expect(dead_code, reason = "other tests of ordinary users need more of it")]
mod user;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};

use case::{Case, Group};
use howdah::Howdah;
use outcome::{Outcome, Recorded};
use user::User;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some("record") {
        let programs = words.next().expect("record DIRECTORY-OF-BUILDKIT [FILTER]");
        return record::record(&PathBuf::from(programs), &words.next().unwrap_or_default());
    }
    let arguments = Arguments::from_args();
    let temporary = tempfile::tempdir().unwrap();
    let remote = Arc::default();
    let by_root = Arc::new(Howdah::new(temporary.path(), None, &remote));
    let user = Some(User::with_ranges());
    let by_user = Arc::new(Howdah::new(temporary.path(), user, &remote));
    let groups = Group::all();
    let trials = [("", by_root), ("rootless::", by_user)]
        .iter()
        .flat_map(|(prefix, howdah)| {
            groups
                .iter()
                .flat_map(|group| trials(prefix, group, howdah))
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// One test for each case of a group.
fn trials(prefix: &str, group: &Group, howdah: &Arc<Howdah>) -> Vec<Trial> {
    let recorded = Arc::new(Recorded::read(&group.name));
    let unknown = recorded
        .names()
        .find(|name| group.cases.iter().all(|case| case.name != *name));
    assert_eq!(
        unknown, None,
        "recorded/{}.json has a case that is gone: record the group again",
        group.name
    );
    let trial = |case: Case| {
        let (howdah, recorded) = (Arc::clone(howdah), Arc::clone(&recorded));
        Trial::test(
            format!("{prefix}{}::{}", group.name, case.name),
            move || {
                let checked = check(&case, &recorded, &howdah);
                if !howdah.is_users() || !needs_root(&case, &recorded) {
                    return checked.map_err(Failed::from);
                }
                match checked {
                    Ok(()) => Err("passes, but is said to need root".into()),
                    Err(_) => Ok(()),
                }
            },
        )
    };
    group.cases.iter().cloned().map(trial).collect()
}

/// Whether an ordinary user cannot have the case's result: for a reason of its own, or because a user namespace makes no device
/// nodes (mknod(2): only the first one's `CAP_MKNOD` counts).
fn needs_root(case: &Case, recorded: &Recorded) -> bool {
    let has_devices = recorded.get(&case.name).is_some_and(Outcome::has_devices);
    case.needs_root.is_some() || has_devices
}

fn check(case: &Case, recorded: &Recorded, howdah: &Howdah) -> Result<(), String> {
    let expected = recorded
        .get(&case.name)
        .ok_or("not recorded: make conformance-record")?;
    let expected = case
        .differs
        .as_ref()
        .map_or_else(|| expected.clone(), |own| own.over(expected));
    if case.fails.is_some() != expected.failure.is_some() {
        return Err(format!(
            "`fails` of the case is wrong, BuildKit: {expected:#?}"
        ));
    }
    let actual = howdah.build(case);
    expected.compare(&actual, case.fails.as_deref())
}
