//! Caches that travel from one store to another: what runs there, what is fetched, and what happens when something is
//! wrong with them.
#![expect(
    clippy::tests_outside_test_module,
    clippy::unwrap_used,
    reason = "the whole program is a test"
)]

mod support;

use std::path::{Path, PathBuf};

use howdah_build::{CacheExport, Exported, FetchedLayers, Target, import_cache};
use support::registry::Server;
use support::{Project, Report};

/// Three stages; the random bytes are what must not be made or moved twice.
const DOCKERFILE: &str = "\
FROM busybox:test AS assets
COPY package.json /src/
RUN head -c 3000000 /dev/urandom > /src/node_modules && mkdir /dist && echo built > /dist/app.js
FROM busybox:test AS vendor
COPY composer.json /app/
RUN head -c 1000000 /dev/urandom > /app/vendor
FROM busybox:test
RUN head -c 500000 /dev/urandom > /php
COPY --from=vendor /app/vendor /app/vendor
COPY --from=assets /dist /app/public
COPY app /app/src
RUN cat /app/src/a.php > /compiled
";

const FILES: &[(&str, &str)] = &[
    ("package.json", "{}"),
    ("composer.json", "{}"),
    ("app/a.php", "1"),
];

fn with_cache(project: &Project, dockerfile: &str, from: &[&str], to: &[&str]) -> Target {
    let mut target = project.target(dockerfile);
    target.cache_from = from.iter().map(|text| text.parse().unwrap()).collect();
    target.cache_to = to.iter().map(|text| text.parse().unwrap()).collect();
    target
}

fn local(directory: &Path, field: &str) -> String {
    format!("type=local,{field}={}", directory.display())
}

/// Builds and exports into a directory.
fn export(project: &Project, dockerfile: &str, directory: &Path) -> (Report, Exported) {
    let target = with_cache(project, dockerfile, &[], &[&local(directory, "dest")]);
    let report = project.build_all(&[target]);
    report.image();
    let exports = &report.result.as_ref().unwrap().exports;
    let exported = exports[0].write(&project.store).unwrap();
    (report, exported)
}

fn import(project: &Project, dockerfile: &str, directory: &Path) -> Report {
    let target = with_cache(project, dockerfile, &[&local(directory, "src")], &[]);
    let report = project.build_all(&[target]);
    report.image();
    report
}

fn fetched(report: &Report) -> FetchedLayers {
    report.result.as_ref().unwrap().fetched
}

fn blobs(directory: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(directory.join("blobs/sha256")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_code_change_elsewhere_runs_only_code_steps_and_fetches_only_what_they_use() {
    let cache = tempfile::tempdir().unwrap();
    let here = Project::new(FILES);
    let (_, exported) = export(&here, DOCKERFILE, cache.path());
    // The copy of vendor is the same layer as the step that made it.
    assert_eq!((exported.steps, exported.layers, exported.sent), (9, 8, 8));

    let there = Project::new(FILES);
    there.write("app/a.php", "2");
    let report = import(&there, DOCKERFILE, cache.path());
    assert_eq!(
        report.executed,
        ["COPY app /app/src", "RUN cat /app/src/a.php > /compiled"]
    );
    assert_eq!(there.read(report.image(), "compiled").as_deref(), Some("2"));
    // Neither what the two other stages made, nor anything twice: php, vendor, public.
    let fetched = fetched(&report);
    assert_eq!(fetched.layers, 3);
    assert!(
        (1_500_000..1_600_000).contains(&fetched.bytes),
        "{fetched:?}"
    );
    // Seven results came from the cache, each with what it had taken.
    assert_eq!(
        there.query::<u32>("SELECT count(*) FROM build_elsewhere WHERE seconds > 0"),
        7
    );
    // What has arrived is there without the cache too.
    assert_eq!(there.build(DOCKERFILE).executed.len(), 0);
}

#[test]
fn a_registry_gives_only_what_is_used() {
    let server = Server::start("");
    let reference = format!("type=registry,ref={}/acme/web:cache", server.address);
    let here = Project::new(FILES);
    let report = here.build_all(&[with_cache(&here, DOCKERFILE, &[], &[&reference])]);
    let exports = &report.result.as_ref().unwrap().exports;
    let exported = exports[0].write(&here.store).unwrap();
    assert_eq!((exported.steps, exported.sent), (9, 8));
    assert_eq!(exports[0].write(&here.store).unwrap().sent, 0);

    let there = Project::new(FILES);
    there.write("app/a.php", "2");
    let report = there.build_all(&[with_cache(&there, DOCKERFILE, &[&reference], &[])]);
    assert_eq!(there.read(report.image(), "compiled").as_deref(), Some("2"));
    assert_eq!(report.executed.len(), 2);
    // The second export read the list, and this import the list and three layers.
    let (blobs, bytes) = server.given();
    assert_eq!(blobs, 1 + 1 + 3);
    assert!((1_500_000..1_700_000).contains(&bytes), "{bytes}");
}

#[test]
fn a_registry_that_is_not_there_is_done_without() {
    let project = Project::new(FILES);
    let server = Server::start("");
    let name = |tag: &str| format!("type=registry,ref={}/acme/web:{tag}", server.address);
    let report = project.build_all(&[with_cache(&project, DOCKERFILE, &[&name("none")], &[])]);
    assert_eq!(report.executed.len(), 9);
    assert!(report.cache_faults[0].ends_with(": there is no cache"));
    let reference = name("gone");
    drop(server);
    let other = Project::new(FILES);
    let target = with_cache(&other, DOCKERFILE, &[&reference], &[&reference]);
    let report = other.build_all(&[target]);
    assert_eq!(report.executed.len(), 9);
    assert_eq!(report.cache_faults.len(), 1);
    assert!(
        report.result.as_ref().unwrap().exports[0]
            .write(&other.store)
            .is_err()
    );
}

#[test]
fn what_did_not_change_is_fetched_for_the_image_alone() {
    let cache = tempfile::tempdir().unwrap();
    let here = Project::new(FILES);
    let (first, _) = export(&here, DOCKERFILE, cache.path());
    let there = Project::new(FILES);
    let report = import(&there, DOCKERFILE, cache.path());
    assert_eq!((report.executed.len(), report.cached.len()), (0, 10));
    assert_eq!(fetched(&report).layers, 5);
    assert_eq!(there.read(report.image(), "compiled").as_deref(), Some("1"));
    assert_eq!(report.image().config, first.image().config);
    // A store that has everything does not ask.
    fs_err::remove_file(cache.path().join("index.json")).unwrap();
    assert!(
        import(&here, DOCKERFILE, cache.path())
            .cache_faults
            .is_empty()
    );
}

#[test]
fn a_step_below_changes_and_copies_from_other_stages_stay() {
    let cache = tempfile::tempdir().unwrap();
    let here = Project::new(FILES);
    export(&here, DOCKERFILE, cache.path());
    let there = Project::new(FILES);
    let changed = DOCKERFILE.replace("> /php", "> /php8");
    let report = import(&there, &changed, cache.path());
    assert_eq!(
        report.executed,
        [
            "RUN head -c 500000 /dev/urandom > /php8",
            "COPY app /app/src",
            "RUN cat /app/src/a.php > /compiled"
        ]
    );
    // The layers of the two copies, and nothing of the stages they come from.
    let fetched = fetched(&report);
    assert_eq!(fetched.layers, 2);
    assert!(fetched.bytes < 1_100_000, "{fetched:?}");
    assert_eq!(
        there.read(report.image(), "app/public/app.js").as_deref(),
        Some("built\n")
    );
}

#[test]
fn a_damaged_layer_makes_its_step_run_again() {
    let cache = tempfile::tempdir().unwrap();
    let here = Project::new(FILES);
    export(&here, DOCKERFILE, cache.path());
    // The list stays whole; of everything else the end is missing.
    for blob in blobs(cache.path()) {
        let bytes = fs_err::read(&blob).unwrap();
        if bytes.first() != Some(&b'{') {
            fs_err::write(&blob, &bytes[..bytes.len() / 2]).unwrap();
        }
    }
    let there = Project::new(FILES);
    there.write("app/a.php", "2");
    let report = import(&there, DOCKERFILE, cache.path());
    assert_eq!(there.read(report.image(), "compiled").as_deref(), Some("2"));
    assert!(report.executed.len() >= 4, "{:?}", report.executed);
    assert!(
        report.cache_faults[0].contains("its step runs again"),
        "{:?}",
        report.cache_faults
    );
    assert_eq!(fetched(&report).layers, 0);
    assert_eq!(
        there.query::<u32>("SELECT count(*) FROM build_vertices WHERE outcome = 'failed'"),
        0
    );
}

#[test]
fn a_blob_that_was_cut_is_sent_again() {
    let cache = tempfile::tempdir().unwrap();
    let here = Project::new(FILES);
    export(&here, DOCKERFILE, cache.path());
    let size = |blob: &PathBuf| fs_err::metadata(blob).unwrap().len();
    let largest = blobs(cache.path()).into_iter().max_by_key(size).unwrap();
    fs_err::write(&largest, "cut").unwrap();
    assert_eq!(export(&here, DOCKERFILE, cache.path()).1.sent, 1);
    assert!(size(&largest) > 3_000_000);
}

#[test]
fn a_cache_that_is_none_is_done_without() {
    let cache = tempfile::tempdir().unwrap();
    let project = Project::new(FILES);
    let report = import(&project, DOCKERFILE, cache.path());
    assert_eq!(report.executed.len(), 9);
    assert!(report.cache_faults[0].ends_with(": there is no cache"));
    fs_err::write(cache.path().join("index.json"), "no JSON").unwrap();
    let report = import(&Project::new(FILES), DOCKERFILE, cache.path());
    assert!(report.cache_faults[0].ends_with("its index.json is no index"));
}

#[test]
fn branches_share_a_cache_and_send_what_is_missing() {
    let cache = tempfile::tempdir().unwrap();
    let here = Project::new(FILES);
    export(&here, DOCKERFILE, cache.path());
    here.write("app/a.php", "branch");
    let (_, exported) = export(&here, DOCKERFILE, cache.path());
    assert_eq!((exported.steps, exported.sent), (9, 2));
    let (_, again) = export(&here, DOCKERFILE, cache.path());
    assert_eq!(again.sent, 0);
    // Both are known now.
    for content in ["1", "branch"] {
        let there = Project::new(FILES);
        there.write("app/a.php", content);
        assert_eq!(import(&there, DOCKERFILE, cache.path()).executed.len(), 0);
    }
}

#[test]
fn a_cache_can_be_passed_on() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let here = Project::new(FILES);
    export(&here, DOCKERFILE, first.path());
    let there = Project::new(FILES);
    there.write("app/a.php", "2");
    let target = with_cache(
        &there,
        DOCKERFILE,
        &[&local(first.path(), "src")],
        &[&local(first.path(), "dest"), &local(second.path(), "dest")],
    );
    let report = there.build_all(&[target]);
    report.image();
    let exports = &report.result.as_ref().unwrap().exports;
    let sent: Vec<_> = exports
        .iter()
        .map(|export| export.write(&there.store).unwrap().sent)
        .collect();
    // All that is new; what was never fetched is fetched to be passed on.
    assert_eq!(sent, [2, 8]);
    let last = Project::new(FILES);
    last.write("app/a.php", "2");
    assert_eq!(import(&last, DOCKERFILE, second.path()).executed.len(), 0);
}

#[test]
fn a_small_cache_has_only_what_is_in_the_image() {
    let cache = tempfile::tempdir().unwrap();
    let here = Project::new(FILES);
    let to = format!("{},mode=min", local(cache.path(), "dest"));
    let report = here.build_all(&[with_cache(&here, DOCKERFILE, &[], &[&to])]);
    let exports = &report.result.as_ref().unwrap().exports;
    assert_eq!(exports[0].write(&here.store).unwrap().steps, 5);
    let there = Project::new(FILES);
    assert_eq!(import(&there, DOCKERFILE, cache.path()).executed.len(), 0);
}

#[test]
fn an_image_built_here_is_the_same_base_elsewhere() {
    let cache = tempfile::tempdir().unwrap();
    let build = |project: &Project| {
        let directory = |field| local(cache.path(), field);
        let base = "FROM busybox:test\nRUN date +%N > /base\n";
        let mut base = with_cache(project, base, &[&directory("src")], &[&directory("dest")]);
        base.tags = vec!["base:1".parse().unwrap()];
        let built = project.build_all(&[base]);
        built.result.as_ref().unwrap().exports[0]
            .write(&project.store)
            .unwrap();
        let dockerfile = "FROM base:1\nRUN date +%N > /made\n";
        let app = with_cache(
            project,
            dockerfile,
            &[&directory("src")],
            &[&directory("dest")],
        );
        let report = project.build_all(&[app]);
        report.result.as_ref().unwrap().exports[0]
            .write(&project.store)
            .unwrap();
        project.read(report.image(), "made")
    };
    assert_eq!(build(&Project::new(&[])), build(&Project::new(&[])));
}

#[test]
fn cache_mounts_travel_on_request() {
    let cache = tempfile::tempdir().unwrap();
    let dockerfile = "FROM busybox:test\nARG N\nRUN --mount=type=cache,id=npm,target=/npm,uid=1000 \
        cat /npm/* > /seen; echo $N > /npm/$N; echo $N; stat -c %u /npm/$N\n";
    let build = |project: &Project, number: &str| {
        let to = format!("{},mounts=true", local(cache.path(), "dest"));
        let from = local(cache.path(), "src");
        let mut target = with_cache(project, dockerfile, &[&from], &[&to]);
        target.build_args.insert("N".into(), number.into());
        let report = project.build_all(&[target]);
        report.image();
        let built = report.result.as_ref().unwrap();
        built.exports[0].write(&project.store).unwrap();
        project.read(report.image(), "seen").unwrap()
    };
    assert_eq!(build(&Project::new(&[]), "1"), "");
    let there = Project::new(&[]);
    assert_eq!(build(&there, "2"), "1\n");
    assert_eq!(build(&there, "3"), "1\n2\n");
    assert_eq!(build(&Project::new(&[]), "4"), "1\n2\n3\n");
}

#[test]
fn a_store_is_taken_elsewhere_without_a_build() {
    let cache = tempfile::tempdir().unwrap();
    let here = Project::new(FILES);
    here.build(DOCKERFILE).image();
    here.write("app/a.php", "branch");
    here.build(DOCKERFILE).image();
    let registry = howdah_image::RegistryOptions::default();
    let export = |to: &str| {
        let target = to.parse().unwrap();
        let export = CacheExport::of_store(&here.store, target, registry.clone()).unwrap();
        export.write(&here.store).unwrap()
    };
    // Nine steps of the first build, and two more of the second one.
    let exported = export(&local(cache.path(), "dest"));
    assert_eq!((exported.steps, exported.sent), (11, 10));
    let small = tempfile::tempdir().unwrap();
    let small = format!("{},mode=min", local(small.path(), "dest"));
    assert_eq!(export(&small).steps, 7);

    let there = Project::new(FILES);
    let source = local(cache.path(), "src").parse().unwrap();
    let import = || import_cache(&there.store, &source, &registry, &|error| panic!("{error}"));
    let imported = import().unwrap();
    assert_eq!((imported.steps, imported.fetched.layers), (11, 10));
    assert_eq!(import().unwrap().fetched.layers, 0);
    // The cache is not needed any more.
    drop(cache);
    for content in ["1", "branch"] {
        there.write("app/a.php", content);
        let report = there.build(DOCKERFILE);
        assert_eq!(report.executed.len(), 0, "{:?}", report.executed);
        assert_eq!(
            there.read(report.image(), "compiled").as_deref(),
            Some(content)
        );
    }
}

#[test]
fn a_blob_with_other_bytes_is_noticed_and_written_anew() {
    let cache = tempfile::tempdir().unwrap();
    let here = Project::new(FILES);
    export(&here, DOCKERFILE, cache.path());
    // One byte of each layer; the sizes stay.
    let layers = || {
        let all = blobs(cache.path()).into_iter();
        all.filter(|blob| fs_err::read(blob).unwrap()[0] != b'{')
    };
    for blob in layers() {
        let mut bytes = fs_err::read(&blob).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs_err::write(&blob, bytes).unwrap();
    }
    let there = Project::new(FILES);
    let report = import(&there, DOCKERFILE, cache.path());
    assert_eq!(there.read(report.image(), "compiled").as_deref(), Some("1"));
    let faults = &report.cache_faults;
    assert!(
        faults[0].contains("its step runs again: the blob sha256:"),
        "{faults:?}"
    );
    assert!(faults[0].ends_with("is damaged"), "{faults:?}");
    // Whoever has the layers sends those that were found to be damaged.
    let (_, exported) = export(&here, DOCKERFILE, cache.path());
    assert!(exported.sent > 0);
    let last = Project::new(FILES);
    let report = import(&last, DOCKERFILE, cache.path());
    assert_eq!((report.executed.len(), report.cache_faults.len()), (0, 0));
}
