//! Two machines give the same images: other stores, other checkouts, other times.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::ONE_AT_A_TIME;
use crate::support::output;
use crate::support::project::Project;

/// Builds the example in a store of its own below `machine`; gives the digest of each image.
fn digests(machine: &Path, name: &str, touched: Option<&str>) -> BTreeMap<String, String> {
    let project = Project::new(name, &machine.join("store"));
    if let Some(time) = touched {
        output(
            Command::new("find")
                .arg(project.path("."))
                .args(["-exec", "touch", "-h", "-d", time, "{}", "+"]),
        );
    }
    let metadata = machine.join("metadata.json");
    project.howdah(&["build", "--metadata-file", metadata.to_str().unwrap()]);
    let told: Value = serde_json::from_slice(&fs_err::read(metadata).unwrap()).unwrap();
    let digest = |fields: &Value| fields["containerimage.digest"].as_str().unwrap().to_owned();
    told.as_object()
        .unwrap()
        .iter()
        .map(|(service, fields)| (service.clone(), digest(fields)))
        .collect()
}

#[test]
fn the_example_has_the_same_digests_everywhere() {
    let _alone = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let machines = tempfile::Builder::new()
        .prefix("howdah-machines-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap();
    let [first, second] = ["one", "the-other"].map(|name| machines.path().join(name));
    let here = digests(&first, "e2e-digests", None);
    let there = digests(
        &second,
        "e2e-digests-elsewhere",
        Some("2019-03-04 05:06:07"),
    );
    assert_eq!(here.len(), 6, "{here:?}");
    assert_eq!(
        here["web"], here["migrate"],
        "the same image under two names"
    );
    assert_eq!(here, there);
}
