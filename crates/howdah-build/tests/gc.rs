//! Keeping the cache small, with real builds: what goes, what stays, and that builds do not notice.
#![expect(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "the whole program is a test"
)]

mod support;

use howdah_build::{
    Cause, Item, ItemKind, Prune, Question, SizeLimits, collect, items, keep_quota, prune, why,
};
use howdah_image::{Store, StoreError};
use support::{Project, explain};

const DOCKERFILE: &str =
    "FROM busybox:test\nCOPY a /a\nRUN head -c 100000 /dev/zero > /made\nRUN date > /date\n";

fn now() -> i64 {
    let time = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    i64::try_from(time.as_millis()).unwrap()
}

/// Another process's view: what this one held is free.
fn reopen(project: &mut Project) {
    let root = project.store.root().to_owned();
    project.store = Store::open(&root).unwrap();
}

fn snapshots(project: &Project) -> usize {
    fs_err::read_dir(project.store.root().join("snapshots"))
        .unwrap()
        .count()
}

fn everything() -> Prune {
    Prune {
        all: true,
        ..Prune::default()
    }
}

#[test]
fn a_prune_frees_what_no_image_has_and_why_remembers_it() {
    let mut project = Project::new(&[("a", "1")]);
    let image = project.build(DOCKERFILE).image().clone();
    assert_eq!(snapshots(&project), 4);
    // A build is running as long as the store is open here.
    assert!(
        items(&project.store)
            .unwrap()
            .iter()
            .all(|item| item.in_use)
    );
    assert!(
        prune(&project.store, &everything(), now())
            .unwrap()
            .items
            .is_empty()
    );
    reopen(&mut project);
    let listed = items(&project.store).unwrap();
    assert_eq!(listed.len(), 3);
    assert!(
        listed
            .iter()
            .all(|item| item.shared && !item.in_use && item.uses == 1),
        "{listed:#?}"
    );
    assert!(
        listed
            .iter()
            .any(|item| item.description.contains("RUN date") && item.bytes > 0)
    );
    assert!(
        prune(&project.store, &Prune::default(), now())
            .unwrap()
            .items
            .is_empty()
    );
    // With --all the steps are forgotten; the image keeps its layers.
    assert_eq!(
        prune(&project.store, &everything(), now())
            .unwrap()
            .items
            .len(),
        3
    );
    assert_eq!(snapshots(&project), 4);
    assert!(project.read(&image, "date").is_some());
    reopen(&mut project);
    project.store.remove_image(&image.id).unwrap();
    assert!(collect(&project.store).unwrap() > 100_000);
    assert_eq!(snapshots(&project), 1);
    assert_eq!(project.build(DOCKERFILE).executed.len(), 3);
    let answer = why(&project.store, &Question::default()).unwrap();
    assert!(
        answer
            .steps
            .iter()
            .all(|step| matches!(step.causes[..], [Cause::Removed { .. }])),
        "{answer:#?}"
    );
}

#[test]
fn the_quota_keeps_what_was_used_last() {
    let mut project = Project::new(&[("a", "1")]);
    let run = |text: &str| format!("FROM busybox:test\nRUN head -c 100000 /dev/zero > /{text}\n");
    for (name, wait) in [
        ("one", true),
        ("two", true),
        ("three", true),
        ("one", false),
    ] {
        let image = project.build(&run(name)).image().clone();
        project.store.remove_image(&image.id).unwrap();
        if wait {
            // The order of use is in milliseconds.
            let began = now();
            while now() == began {}
        }
    }
    reopen(&mut project);
    let limits = SizeLimits {
        most: 250_000,
        ..SizeLimits::default()
    };
    let pruned = keep_quota(&project.store, &limits, now()).unwrap().unwrap();
    let names = |items: &[Item]| -> Vec<String> {
        items
            .iter()
            .map(|item| {
                item.description
                    .rsplit('/')
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect()
    };
    assert_eq!(names(&pruned.items), ["two"]);
    assert_eq!(names(&items(&project.store).unwrap()), ["three", "one"]);
    assert!(
        keep_quota(&project.store, &limits, now())
            .unwrap()
            .is_none()
    );
    assert_eq!(project.build(&run("one")).executed.len(), 0);
    // Two months later nobody wants what no image has.
    reopen(&mut project);
    fs_err::remove_file(project.store.root().join("pruned")).unwrap();
    let later = now() + 61 * 24 * 3_600_000;
    let pruned = keep_quota(&project.store, &limits, later).unwrap().unwrap();
    assert_eq!(names(&pruned.items), ["three"]);
}

#[test]
fn orphans_go_and_what_a_container_stands_on_stays() {
    let mut project = Project::new(&[("a", "1")]);
    let image = project.build(DOCKERFILE).image().clone();
    let container = project.store.root().join("containers/one");
    fs_err::create_dir_all(&container).unwrap();
    project.store.pin_image(&image, "test", &container).unwrap();
    project.store.remove_image(&image.id).unwrap();
    reopen(&mut project);
    fs_err::create_dir(project.store.root().join("snapshots").join("ab".repeat(32))).unwrap();
    prune(&project.store, &everything(), now()).unwrap();
    assert_eq!(snapshots(&project), 4);
    assert!(
        items(&project.store)
            .unwrap()
            .iter()
            .all(|item| item.in_use)
    );
    fs_err::remove_dir_all(&container).unwrap();
    prune(&project.store, &everything(), now()).unwrap();
    assert_eq!(snapshots(&project), 1);
}

#[test]
fn cache_mounts_go_unless_a_step_uses_them() {
    let mut project = Project::new(&[]);
    let dockerfile = "FROM busybox:test\nRUN --mount=type=cache,target=/c echo kept > /c/file\n";
    project.build(dockerfile).image();
    reopen(&mut project);
    let mounts = Prune {
        kind: Some(ItemKind::Mount),
        ..Prune::default()
    };
    let listed = items(&project.store).unwrap();
    let mount = listed
        .iter()
        .find(|item| item.kind == ItemKind::Mount)
        .unwrap();
    assert_eq!(
        (mount.bytes > 0, mount.description.as_str()),
        (true, "cache mount /c")
    );
    // While a step runs, its cache stays.
    let slow = "FROM busybox:test\nRUN --mount=type=cache,target=/c touch /c/begun && sleep 2 && cat /c/file\n";
    let root = project.store.root().to_owned();
    std::thread::scope(|scope| {
        let building = scope.spawn(|| project.build(slow));
        let other = Store::open(&root).unwrap();
        let begun = || {
            let mut mounts = fs_err::read_dir(root.join("mounts")).unwrap();
            mounts.any(|mount| mount.unwrap().path().join("data/begun").exists())
        };
        while !begun() {
            std::thread::yield_now();
        }
        assert!(prune(&other, &mounts, now()).unwrap().items.is_empty());
        building.join().unwrap().image();
    });
    reopen(&mut project);
    assert_eq!(
        prune(&project.store, &mounts, now()).unwrap().items.len(),
        1
    );
    assert_eq!(fs_err::read_dir(root.join("mounts")).unwrap().count(), 0);
}

#[test]
fn builds_do_not_notice_that_others_prune() {
    let project = Project::new(&[("a", "1")]);
    let root = project.store.root().to_owned();
    let done = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (project, done) = (&project, &done);
            scope.spawn(move || {
                for round in 0..4 {
                    let text = format!(
                        "FROM busybox:test\nCOPY a /a\nRUN echo shared {round} > /shared\nRUN date > /{number}\nRUN cat /shared /a > /{round}\n"
                    );
                    // Each build is a process of its own, as far as the store can tell.
                    let report = project.build_in(&Store::open(project.store.root()).unwrap(), &text);
                    let image = report.image();
                    assert!(image.lowers(&project.store).iter().all(|lower| lower.is_dir()), "{number} {round}");
                }
                done.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            });
        }
        let other = Store::open(&root).unwrap();
        while done.load(std::sync::atomic::Ordering::SeqCst) < 8 {
            prune(&other, &everything(), now()).unwrap();
        }
    });
    let store = Store::open(&root).unwrap();
    for summary in store.images().unwrap() {
        let image = store.find_image(&summary.id.hex()).unwrap().unwrap();
        store.hold_image(&image, "any").unwrap();
    }
}

#[test]
fn a_lost_base_is_named() {
    let mut project = Project::new(&[("a", "1")]);
    project.build(DOCKERFILE).image();
    reopen(&mut project);
    let base = project.store.find_image("busybox:test").unwrap().unwrap();
    fs_err::remove_dir_all(project.store.snapshot_path(&base.layers[0].snapshots[0])).unwrap();
    let report = project.build(DOCKERFILE);
    let told = explain(report.error());
    assert!(told.contains("image `busybox:test` is damaged"), "{told}");
}

#[test]
fn a_damaged_database_is_told_from_a_busy_one() {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(
        directory.path().join("howdah.db"),
        "not a database, but long enough to be taken for one".repeat(40),
    )
    .unwrap();
    let error = Store::open(directory.path()).unwrap_err();
    assert!(
        matches!(error, StoreError::DamagedDatabase { .. }),
        "{error:?}"
    );
}

#[test]
fn digests_of_parts_go_with_the_last_root_that_has_them() {
    let mut project = Project::new(&[("a", "1")]);
    let dockerfile =
        "FROM busybox:test AS one\nCOPY a /a\nFROM busybox:test\nCOPY --from=one /a /b\n";
    project.build(dockerfile).image();
    let remembered = |project: &Project| {
        project.query::<u32>("SELECT count(*) FROM build_contents WHERE subject IS NOT NULL")
    };
    let known = remembered(&project);
    assert!(known > 0);
    reopen(&mut project);
    let nothing = Prune {
        ids: vec!["none".to_owned()],
        ..Prune::default()
    };
    prune(&project.store, &nothing, now()).unwrap();
    assert_eq!(remembered(&project), known);
    prune(&project.store, &everything(), now()).unwrap();
    let image =
        project.query::<String>("SELECT id FROM images WHERE id NOT IN (SELECT image FROM tags)");
    project.store.remove_image(&image.parse().unwrap()).unwrap();
    prune(&project.store, &everything(), now()).unwrap();
    assert_eq!(remembered(&project), 0);
}

#[test]
fn a_clock_that_jumps_takes_no_blob_that_is_on_its_way() {
    use std::io::Write as _;
    use std::time::{Duration, SystemTime};

    let project = Project::new(&[]);
    let mut writer = project.store.write_blob().unwrap();
    writer.write_all(b"blob").unwrap();
    let (digest, _) = writer.commit(None).unwrap();
    let path = project.store.blob_path(&digest);
    let touch = |time| {
        let file = fs_err::File::open(&path).unwrap();
        file.set_modified(time).unwrap();
    };
    let day = Duration::from_hours(24);
    touch(SystemTime::now() + 10 * day);
    collect(&project.store).unwrap();
    assert!(path.exists());
    // Its day began with the sweep that saw it; from then on it is as others are.
    let touched = fs_err::metadata(&path).unwrap().modified().unwrap();
    assert!(touched <= SystemTime::now());
    touch(SystemTime::now() - 2 * day);
    collect(&project.store).unwrap();
    assert!(!path.exists());
}

#[test]
fn a_clock_that_jumps_makes_no_wrong_hit() {
    let project = Project::new(&[("a", "1")]);
    let dockerfile = "FROM busybox:test\nCOPY a /a\nRUN cat /a > /b\n";
    for (content, days) in [("1", 0), ("2", -400), ("3", 800)] {
        // The same size, and all that the store remembers from another time than the file's.
        project.write("a", content);
        let sql = format!(
            "UPDATE build_records SET used = used + {days} * 86400; UPDATE builds SET started = started + {days} * 86400000"
        );
        if days != 0 {
            let shifted = project.store.database();
            shifted
                .with(|connection| connection.execute_batch(&sql))
                .unwrap();
        }
        let report = project.build(dockerfile);
        assert_eq!(project.read(report.image(), "b").as_deref(), Some(content));
        assert!(project.build(dockerfile).executed.is_empty());
    }
}
