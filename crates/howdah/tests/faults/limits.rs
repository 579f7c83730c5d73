//! What `RUN` may use up is what the kernel holds it to.

use std::path::{Path, PathBuf};

use crate::Scene;

/// A step that notes its limits, as control groups of version 2 or 1 tell them.
const NOTES: &str = r#"FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "cd /sys/fs/cgroup; for file in memory.max memory/memory.limit_in_bytes cpu.max cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us; do [ ! -e $file ] || /bin/busybox cat $file; done > /limits"]
"#;

#[test]
fn a_step_has_the_limits_that_it_was_given() {
    let scene = Scene::new();
    scene.write("Dockerfile", NOTES);
    let output = format!("type=local,dest={}", scene.path("out").display());
    let mut words = vec!["build", "--network=none", "-o", &output, "--memory=64m"];
    words.extend(["--cpu-quota=20000", "--cpu-period=50000", "."]);
    scene.run(&words);
    let limits = fs_err::read_to_string(scene.path("out/limits")).unwrap();
    let numbers: Vec<u64> = limits
        .split_whitespace()
        .map(|number| number.parse().unwrap())
        .collect();
    let [memory, quota, period] = numbers.as_slice() else {
        panic!("{limits}");
    };
    assert_eq!(*memory, 64 << 20);
    assert_eq!(quota * 50_000, period * 20_000, "{limits}");
}

#[test]
fn a_step_that_takes_more_memory_is_killed_and_that_is_said() {
    let scene = Scene::new();
    let step = r#"RUN ["/bin/busybox", "tail", "/dev/zero"]"#;
    scene.write(
        "Dockerfile",
        &format!("FROM scratch\nCOPY busybox /bin/busybox\n{step}\n"),
    );
    let mut build = scene.command(&["build", "--network=none", "--memory=32m"]);
    let output = build.args(["--memory-swap=32m", "."]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("137 (out of memory)"), "{said}");
}

#[test]
fn a_step_is_in_the_group_that_was_named() {
    let scene = Scene::new();
    scene.write("Dockerfile", NOTES);
    let group = Group(format!("howdah-test-{}", std::process::id()));
    assert_eq!(group.directories(), Vec::<PathBuf>::new());
    let parent = format!("--cgroup-parent={}", group.0);
    scene.run(&["build", "--network=none", &parent, "."]);
    let left = group.directories();
    assert!(!left.is_empty());
    // The step's own are gone; the named one is its maker's to remove, as Docker leaves it.
    for directory in left {
        let mut entries = fs_err::read_dir(&directory).unwrap();
        let is_group = |entry: &fs_err::DirEntry| entry.file_type().unwrap().is_dir();
        assert!(
            entries.all(|entry| !is_group(&entry.unwrap())),
            "{directory:?}"
        );
    }
}

/// A control group by name, removed when the test is over.
struct Group(String);

impl Group {
    /// Where it is: in the one hierarchy of version 2, in each of version 1.
    fn directories(&self) -> Vec<PathBuf> {
        let root = Path::new("/sys/fs/cgroup");
        let hierarchies = fs_err::read_dir(root).unwrap();
        let hierarchies = hierarchies.map(|entry| entry.unwrap().path());
        let places = hierarchies.chain([root.to_owned()]);
        places
            .map(|place| place.join(&self.0))
            .filter(|directory| directory.is_dir())
            .collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for directory in self.directories() {
            drop(fs_err::remove_dir(directory));
        }
    }
}
