//! The same inputs make the same image, byte for byte: in another store, at another time, from another checkout, and no
//! matter what was built before.
#![expect(
    clippy::tests_outside_test_module,
    clippy::unwrap_used,
    reason = "the whole program is a test"
)]

mod support;

use std::time::{Duration, SystemTime};

use howdah_build::Target;
use howdah_image::Image;
use howdah_image::archive::{NamedImage, save};
use howdah_image::export::ExportOptions;
use support::Project;

const DOCKERFILE: &str = "FROM busybox:test AS made\nCOPY src /made\nRUN mv /made/sub /moved && chown -R 1000:1000 /made\n\
    FROM busybox:test\nWORKDIR /app\nCOPY src ./\nRUN rm sub/b && mkdir -p new/dir etc && echo x > new/file && chmod 700 a\n\
    COPY --from=made --chown=1000 /made /moved /made/\nCOPY <<EOF /inline\ntext\nEOF\n";

/// The bytes of the image as it leaves.
fn bytes(project: &Project, image: &Image) -> Vec<u8> {
    let mut bytes = Vec::new();
    let named = NamedImage {
        images: vec![image.clone()],
        references: Vec::new(),
    };
    save(
        &project.store,
        &[named],
        &mut bytes,
        &ExportOptions::default(),
    )
    .unwrap();
    bytes
}

/// Gives every file of the context another time: `moment`, to the nanosecond.
fn touch(project: &Project, moment: SystemTime) {
    for name in ["src/a", "src/sub/b", "src/sub/c", "src/sub", "src"] {
        let file = fs_err::File::open(project.path(name)).unwrap();
        file.set_modified(moment).unwrap();
    }
}

fn project() -> Project {
    Project::new(&[("src/a", "a"), ("src/sub/b", "b"), ("src/sub/c", "c")])
}

#[test]
fn another_store_and_another_checkout_give_the_same_bytes() {
    let (first, second) = (project(), project());
    // One as old as an unpacked archive, one of today.
    touch(
        &first,
        SystemTime::UNIX_EPOCH + Duration::from_hours(250_000),
    );
    let images = [&first, &second].map(|project| {
        let report = project.build(DOCKERFILE);
        (bytes(project, report.image()), report.image().clone())
    });
    assert!(images[0].0 == images[1].0);
    let config = &images[0].1.config;
    assert_eq!(config.created.as_deref(), Some("1970-01-01T00:00:00Z"));
    assert!(
        config
            .history
            .iter()
            .all(|step| step.created == config.created)
    );
}

#[test]
fn what_was_built_before_does_not_show() {
    let (clean, used) = (project(), project());
    let expected = bytes(&clean, clean.build(DOCKERFILE).image());
    // Deltas over deltas: a file that goes, one that comes, a directory that becomes a file and the other way round.
    used.write("src/gone", "x");
    used.write("src/many/1", "1");
    for name in ["2", "3", "4", "5", "6", "7", "8"] {
        used.write(&format!("src/many/{name}"), name);
    }
    used.build(DOCKERFILE).image();
    fs_err::remove_file(used.path("src/gone")).unwrap();
    fs_err::create_dir(used.path("src/gone")).unwrap();
    used.write("src/gone/inside", "x");
    used.build(DOCKERFILE).image();
    fs_err::remove_dir_all(used.path("src/gone")).unwrap();
    used.write("src/gone", "again a file");
    used.write("src/sub/c", "changed");
    used.build(DOCKERFILE).image();
    fs_err::remove_file(used.path("src/gone")).unwrap();
    used.write("src/sub/c", "c");
    used.build(DOCKERFILE).image();
    fs_err::remove_dir_all(used.path("src/many")).unwrap();
    assert!(bytes(&used, used.build(DOCKERFILE).image()) == expected);
}

#[test]
fn source_date_epoch_is_the_time_of_everything_new() {
    let project = project();
    let target = |epoch: &str| -> Target {
        let mut target = project.target("FROM busybox:test\nARG SOURCE_DATE_EPOCH\nCOPY src /app\nRUN echo $SOURCE_DATE_EPOCH > /epoch\n");
        let name = howdah_build::SOURCE_DATE_EPOCH.to_owned();
        target.build_args.insert(name, epoch.to_owned());
        target
    };
    let report = project.build_all(&[target("1000000000")]);
    let image = report.image();
    assert_eq!(
        image.config.created.as_deref(),
        Some("2001-09-09T01:46:40Z")
    );
    assert_eq!(
        project.read(image, "epoch").as_deref(),
        Some("1000000000\n")
    );
    let mut tar = Vec::new();
    howdah_image::layer::pack_merged(&project.store, &[(None, image)], &mut tar).unwrap();
    let mut archive = tar::Archive::new(tar.as_slice());
    let mut new = 0;
    for entry in archive.entries().unwrap().map(Result::unwrap) {
        let path = entry.path().unwrap().display().to_string();
        if path.starts_with("app") || path == "epoch" {
            new += 1;
            assert_eq!(entry.header().mtime().unwrap(), 1_000_000_000, "{path}");
        }
    }
    assert_eq!(new, 6);
    let wrong = project.build_all(&[target("yesterday")]);
    assert!(wrong.error().to_string().contains("`yesterday`"));
}
