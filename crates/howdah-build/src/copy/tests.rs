//! Copies on real trees, without the rest of the builder.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use howdah_dockerfile::ignore::Ignore;
use howdah_image::Store;

use super::*;
use crate::context::{Scan, StatCache};
use crate::pattern::Excludes;
use crate::tree::Tree;
use crate::view::View;

/// A context, an image and a store.
struct Bench {
    directory: tempfile::TempDir,
    store: Store,
}

impl Bench {
    fn new(context: &[(&str, &str)], image: &[(&str, &str)]) -> Bench {
        let directory = tempfile::tempdir().unwrap();
        for (place, files) in [("context", context), ("image", image)] {
            fs_err::create_dir(directory.path().join(place)).unwrap();
            for (name, content) in files {
                write(&directory.path().join(place).join(name), content);
            }
        }
        let store = Store::open(&directory.path().join("store")).unwrap();
        Bench { directory, store }
    }

    fn context(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join("context").join(name)
    }

    fn image(&self) -> View {
        View::new(vec![self.directory.path().join("image")])
    }

    fn plan(&self, patterns: &[&str], destination: &Destination) -> Result<Plan, CopyError> {
        let context = self.directory.path().join("context");
        let (scan, _) = Scan::new(&context, &Ignore::default(), &StatCache::default()).unwrap();
        let patterns: Vec<Pattern> = patterns
            .iter()
            .map(|text| Pattern {
                text: (*text).to_owned(),
                parents: false,
            })
            .collect();
        let selection = select(&scan, &patterns, &Excludes::default(), "the build context")?;
        let sources: Vec<Source<'_>> = selection
            .sources
            .iter()
            .map(|selected| Source::Selected {
                selected,
                keep_owner: false,
                modified: None,
                unpacked: false,
            })
            .collect();
        Plan::new(&sources, destination, &self.image())
    }

    fn copy(&self, plan: &Plan, previous: Option<&Previous>) -> CopyLayer {
        make_layer(
            &self.store,
            plan,
            previous,
            &self.image(),
            &AtomicBool::new(false),
        )
        .unwrap()
    }

    /// The layer's own tree, and the merged one.
    fn views(&self, layer: &CopyLayer) -> (View, View) {
        let own: Vec<_> = layer
            .layer
            .snapshots
            .iter()
            .map(|id| self.store.snapshot_path(id))
            .collect();
        let mut all = vec![self.directory.path().join("image")];
        all.extend(own.clone());
        (View::new(own), View::new(all))
    }
}

fn write(path: &Path, content: &str) {
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, content).unwrap();
}

fn to(path: &str) -> Destination {
    Destination {
        path: path.to_owned(),
        into_directory: path.ends_with('/'),
        owner: None,
        chmod: None,
    }
}

fn names(plan: &Plan) -> Vec<String> {
    plan.placed
        .keys()
        .map(|path| String::from_utf8_lossy(path).into_owned())
        .collect()
}

fn paths(view: &View) -> Vec<String> {
    view.below(b"")
        .unwrap()
        .iter()
        .map(|entry| String::from_utf8_lossy(&entry.path).into_owned())
        .collect()
}

fn remembered(plan: &Plan, layer: &CopyLayer) -> Previous {
    Previous {
        layer: layer.layer.clone(),
        manifest: Manifest::of(plan),
        masks: layer.masks.clone(),
    }
}

#[test]
fn the_destination_decides_between_file_and_directory() {
    let bench = Bench::new(
        &[("a", "1"), ("dir/b", "2"), ("dir/sub/c", "3")],
        &[("app/x", ""), ("file", "")],
    );
    let names = |patterns: &[&str], destination: &str| {
        bench
            .plan(patterns, &to(destination))
            .map(|plan| names(&plan))
    };
    assert_eq!(names(&["a"], "/new").unwrap(), ["", "new"]);
    assert_eq!(names(&["a"], "/new/").unwrap(), ["", "new", "new/a"]);
    assert_eq!(names(&["a"], "/app").unwrap(), ["", "app", "app/a"]);
    assert_eq!(
        names(&["dir"], "/app").unwrap(),
        ["", "app", "app/b", "app/sub", "app/sub/c"]
    );
    assert_eq!(
        names(&["dir"], "/x/y").unwrap(),
        ["", "x", "x/y", "x/y/b", "x/y/sub", "x/y/sub/c"]
    );
    assert_eq!(names(&["*"], "/").unwrap(), ["", "a", "b", "sub", "sub/c"]);
    assert_eq!(names(&["d*/[b]"], "/app/").unwrap(), ["", "app", "app/b"]);
    assert!(names(&["none*"], "/new/").unwrap().is_empty());
    assert!(matches!(names(&["../../a"], "/new"), Ok(list) if list == ["", "new"]));
    assert!(
        matches!(names(&["none"], "/app"), Err(CopyError::NotFound { source_path, .. }) if source_path == "none")
    );
    assert!(
        matches!(names(&["dir"], "/file"), Err(CopyError::NotADirectory { path }) if path == "/file")
    );
    assert!(matches!(
        names(&["a"], "/file/"),
        Err(CopyError::NotADirectory { .. })
    ));
}

#[test]
fn links_of_sources_are_followed_and_links_in_trees_are_kept() {
    let bench = Bench::new(&[("real/f", "1")], &[("data/keep", "")]);
    symlink("real/f", bench.context("to-file")).unwrap();
    symlink("real", bench.context("to-dir")).unwrap();
    symlink("f", bench.context("real/inner")).unwrap();
    symlink("/data", bench.directory.path().join("image/link")).unwrap();
    let plan = bench
        .plan(&["to-file", "to-dir"], &to("/link/in/"))
        .unwrap();
    assert_eq!(
        names(&plan),
        [
            "",
            "data",
            "data/in",
            "data/in/f",
            "data/in/inner",
            "data/in/to-file"
        ]
    );
    let (_, merged) = bench.views(&bench.copy(&plan, None));
    assert_eq!(merged.read(b"link/in/to-file", 9).unwrap().unwrap(), b"1");
    assert_eq!(
        fs_err::read_link(merged.entry(b"data/in/inner").unwrap().unwrap().real()).unwrap(),
        Path::new("f")
    );
}

#[test]
fn attributes_are_the_sources_unless_told_otherwise() {
    let bench = Bench::new(&[("d/script", "x"), ("d/plain", "y")], &[("app/x", "")]);
    fs_err::set_permissions(bench.context("d/script"), PermissionsExt::from_mode(0o4755)).unwrap();
    let image_directory = bench.directory.path().join("image/app");
    fs_err::set_permissions(&image_directory, PermissionsExt::from_mode(0o2750)).unwrap();
    let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    fs_err::File::options()
        .write(true)
        .open(bench.context("d/plain"))
        .unwrap()
        .set_modified(time)
        .unwrap();
    let plan = bench.plan(&["d"], &to("/app")).unwrap();
    let (own, _) = bench.views(&bench.copy(&plan, None));
    let entry = |path: &str| own.entry(path.as_bytes()).unwrap().unwrap();
    assert_eq!(
        (entry("app/script").mode, entry("app").mode),
        (0o4755, 0o2750)
    );
    // A nanosecond marks the time as one of the context's.
    assert_eq!(entry("app/plain").mtime, (1_000_000, 1));
    assert_eq!((entry("app/plain").uid, entry("app/plain").gid), (0, 0));

    let owner = Some(Owner { uid: 1000, gid: 33 });
    let destination = Destination {
        owner,
        chmod: Some(Chmod::parse("u=rwX,go=").unwrap()),
        ..to("/new/sub")
    };
    let plan = bench.plan(&["d"], &destination).unwrap();
    let (own, _) = bench.views(&bench.copy(&plan, None));
    let entry = |path: &str| own.entry(path.as_bytes()).unwrap().unwrap();
    assert_eq!(
        (entry("new/sub/plain").mode, entry("new/sub/script").mode),
        (0o600, 0o700)
    );
    assert_eq!((entry("new/sub/plain").uid, entry("new").gid), (1000, 33));
    assert_eq!(entry("new").mode, 0o755);
}

#[test]
fn a_changed_file_is_a_small_delta() {
    let files: Vec<(String, String)> = (0..20)
        .map(|index| (format!("src/f{index}"), format!("{index}")))
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, content)| (name.as_str(), content.as_str()))
        .collect();
    let bench = Bench::new(&files, &[("app/own", "")]);
    let first_plan = bench.plan(&["src"], &to("/app")).unwrap();
    let first = bench.copy(&first_plan, None);
    write(&bench.context("src/f3"), "changed");
    write(&bench.context("src/new/deep"), "new");
    fs_err::remove_file(bench.context("src/f7")).unwrap();
    let plan = bench.plan(&["src"], &to("/app")).unwrap();
    assert_ne!(plan.key(), first_plan.key());
    let second = bench.copy(&plan, Some(&remembered(&first_plan, &first)));
    assert_eq!((second.layer.snapshots.len(), second.bytes), (2, 10));
    assert_eq!(second.masks, [b"app/f7".to_vec()]);
    let (own, merged) = bench.views(&second);
    assert_eq!(merged.read(b"app/f3", 99).unwrap().unwrap(), b"changed");
    assert!(
        merged.entry(b"app/f7").unwrap().is_none() && merged.entry(b"app/own").unwrap().is_some()
    );
    assert_eq!(paths(&own).len(), 22);
    // A whole copy of the same files is the same layer.
    let whole = bench.views(&bench.copy(&plan, None)).0;
    assert_eq!(paths(&whole), paths(&own));
}

#[test]
fn a_removal_does_not_hide_what_the_image_has_there() {
    let files = [
        ("src/a", "1"),
        ("src/b", "2"),
        ("src/c", "3"),
        ("src/d", "4"),
    ];
    let bench = Bench::new(&files, &[("app/b", "the image's")]);
    let plan = bench.plan(&["src"], &to("/app")).unwrap();
    let first = bench.copy(&plan, None);
    fs_err::remove_file(bench.context("src/b")).unwrap();
    let without = bench.plan(&["src"], &to("/app")).unwrap();
    let second = bench.copy(&without, Some(&remembered(&plan, &first)));
    assert_eq!(
        (
            second.layer.snapshots.len(),
            second.masks.len(),
            second.bytes
        ),
        (1, 0, 0)
    );
    let (own, merged) = bench.views(&second);
    assert_eq!(merged.read(b"app/b", 99).unwrap().unwrap(), b"the image's");
    // What did not change is the same inode, not a copy.
    let inode = |view: &View, path: &[u8]| {
        fs_err::metadata(view.entry(path).unwrap().unwrap().real())
            .unwrap()
            .ino()
    };
    assert_eq!(
        inode(&own, b"app/a"),
        inode(&bench.views(&first).0, b"app/a")
    );
}

#[test]
fn the_chain_of_deltas_is_bounded() {
    let files = [
        ("src/a", "1"),
        ("src/b", "2"),
        ("src/c", "3"),
        ("src/d", "4"),
        ("src/e", "5"),
        ("src/f", "6"),
    ];
    let bench = Bench::new(&files, &[]);
    let mut previous: Option<Previous> = None;
    let mut longest = 0;
    for round in 0..30 {
        write(&bench.context("src/a"), &format!("round {round}"));
        let plan = bench.plan(&["src"], &to("/app/src")).unwrap();
        let layer = bench.copy(&plan, previous.as_ref());
        longest = longest.max(layer.layer.snapshots.len());
        let (own, _) = bench.views(&layer);
        assert_eq!(
            own.read(b"app/src/a", 99).unwrap().unwrap(),
            format!("round {round}").into_bytes()
        );
        assert_eq!(paths(&own).len(), 8);
        previous = Some(remembered(&plan, &layer));
    }
    assert!(longest > 5 && longest < 15, "{longest}");
}

#[test]
fn a_file_becomes_a_directory_and_back() {
    let files = [
        ("src/x", "1"),
        ("src/b", "2"),
        ("src/c", "3"),
        ("src/d", "4"),
        ("src/e", "5"),
        ("src/f", "6"),
        ("src/g", "7"),
    ];
    let bench = Bench::new(&files, &[]);
    let first_plan = bench.plan(&["src"], &to("/app")).unwrap();
    let first = bench.copy(&first_plan, None);
    fs_err::remove_file(bench.context("src/x")).unwrap();
    write(&bench.context("src/x/inner"), "dir now");
    let plan = bench.plan(&["src"], &to("/app")).unwrap();
    let second = bench.copy(&plan, Some(&remembered(&first_plan, &first)));
    assert_eq!(second.layer.snapshots.len(), 2);
    assert_eq!(
        bench
            .views(&second)
            .1
            .read(b"app/x/inner", 99)
            .unwrap()
            .unwrap(),
        b"dir now"
    );
    let third = bench.copy(&first_plan_again(&bench), Some(&remembered(&plan, &second)));
    assert_eq!(
        bench.views(&third).1.read(b"app/x", 99).unwrap().unwrap(),
        b"file again"
    );
}

fn first_plan_again(bench: &Bench) -> Plan {
    fs_err::remove_dir_all(bench.context("src/x")).unwrap();
    write(&bench.context("src/x"), "file again");
    bench.plan(&["src"], &to("/app")).unwrap()
}

#[test]
fn a_source_that_moves_under_the_copy_is_noticed() {
    let bench = Bench::new(&[("a", "1")], &[]);
    let plan = bench.plan(&["a"], &to("/a")).unwrap();
    write(&bench.context("a"), "longer");
    assert!(bench.copy(&plan, None).moved);
}

#[test]
fn times_are_not_in_the_key() {
    let bench = Bench::new(&[("a", "1")], &[]);
    let before = bench.plan(&["a"], &to("/a")).unwrap().key();
    let file = fs_err::File::options()
        .write(true)
        .open(bench.context("a"))
        .unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    assert_eq!(bench.plan(&["a"], &to("/a")).unwrap().key(), before);
    fs_err::set_permissions(bench.context("a"), PermissionsExt::from_mode(0o600)).unwrap();
    assert_ne!(bench.plan(&["a"], &to("/a")).unwrap().key(), before);
}
