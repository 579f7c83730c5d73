//! Caches that travel, by the real binary: options, wording, compose files, and death at any instant.
#![expect(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "the whole crate is tests, and a test fails by panicking"
)]

#[path = "../../../howdah-image/tests/registry/server.rs"]
#[expect(dead_code, reason = "the tests of registries use more of it")]
mod server;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use server::Server;
use support::pause;

/// Stages without a base image; the second one only needs its copy of the first.
const DOCKERFILE: &str = "\
FROM scratch AS assets
COPY large /large
COPY small /dist/small
FROM scratch
COPY other /other
COPY --from=assets /dist /dist
COPY code /code
";

/// A context, and as many stores as there are machines.
struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Scene {
        let scene = Scene(tempfile::tempdir().unwrap());
        fs_err::create_dir(scene.path("context")).unwrap();
        fs_err::write(scene.path("context/Dockerfile"), DOCKERFILE).unwrap();
        for (name, seed) in [("large", 1_u64), ("other", 2)] {
            fs_err::write(scene.path("context").join(name), noise(seed, 8 << 20)).unwrap();
        }
        fs_err::write(scene.path("context/small"), "small").unwrap();
        scene.write_code("1");
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write_code(&self, content: &str) {
        fs_err::write(self.path("context/code"), content).unwrap();
    }

    /// `howdah build` on a machine of this name.
    fn build(&self, machine: &str, options: &[&str]) -> Command {
        let mut command = self.howdah(machine);
        command.args(["build", "--progress=plain"]).args(options);
        command
    }

    fn howdah(&self, machine: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_howdah"));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .env("HOWDAH_ROOT", self.path(machine))
            .env("XDG_RUNTIME_DIR", self.path(&format!("{machine}-run")))
            .current_dir(self.path("context"))
            .stdin(Stdio::null());
        command
    }

    fn done(&self, machine: &str, options: &[&str]) -> String {
        let output = self.build(machine, options).output().unwrap();
        let told = told(&output);
        assert!(output.status.success(), "{told}");
        told
    }

    fn from(&self) -> String {
        format!(
            "--cache-from=type=local,src={}",
            self.path("cache").display()
        )
    }

    fn to(&self) -> String {
        format!(
            "--cache-to=type=local,dest={}",
            self.path("cache").display()
        )
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Bytes that do not compress.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        u8::try_from(state >> 56).unwrap()
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn read(directory: &Path, name: &str) -> String {
    fs_err::read_to_string(directory.join(name)).unwrap()
}

#[test]
fn what_is_written_on_one_machine_is_used_on_another() {
    let scene = Scene::new();
    let first = scene.done("here", &[&scene.to(), "."]);
    // What is copied from the first stage is the layer that was made there.
    assert!(
        first.contains("has 5 steps in 4 layers, of which 4 were sent"),
        "{first}"
    );
    scene.write_code("2");
    let out = scene.path("out");
    let output = format!("--output={}", out.display());
    let second = scene.done("there", &[&scene.from(), &output, "."]);
    assert!(second.contains("4 steps cached, 1 executed"), "{second}");
    assert!(
        second.contains("2 layers fetched from caches (8"),
        "{second}"
    );
    assert_eq!(read(&out, "code") + &read(&out, "dist/small"), "2small");
}

#[test]
fn a_cache_that_cannot_be_used_is_a_warning() {
    let scene = Scene::new();
    let none = scene.done("here", &[&scene.from(), "."]);
    assert!(none.contains("there is no cache"), "{none}");
    let unwritable = "--cache-to=type=local,dest=/proc/cache";
    let warned = scene.done("here", &[unwritable, "."]);
    assert!(
        warned.contains("warning: cannot write the cache `/proc/cache`"),
        "{warned}"
    );
    let strict = format!("{unwritable},ignore-error=false");
    let output = scene.build("here", &[&strict, "."]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let wrong = scene
        .build("here", &["--cache-to=type=gha", "."])
        .output()
        .unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(told(&wrong).contains("only registry and local are supported"));
}

#[test]
fn a_cache_is_taken_to_another_machine_without_builds() {
    let scene = Scene::new();
    scene.done("here", &["."]);
    let cache = scene.path("cache");
    let command = |machine: &str, words: [&str; 2], field: &str| {
        let place = format!("type=local,{field}={}", cache.display());
        let output = scene.howdah(machine).args(words).arg(place).output();
        let output = output.unwrap();
        (output.status.code(), told(&output))
    };
    let (code, none) = command("there", ["cache", "import"], "src");
    assert_eq!(code, Some(1), "{none}");
    assert!(none.contains("there is no cache"), "{none}");
    let (code, sent) = command("here", ["cache", "export"], "dest");
    assert_eq!(code, Some(0), "{sent}");
    assert!(
        sent.contains("has 5 steps in 4 layers, of which 4 were sent"),
        "{sent}"
    );
    let (code, fetched) = command("there", ["cache", "import"], "src");
    assert_eq!(code, Some(0), "{fetched}");
    assert!(
        fetched.contains("5 steps of cache") && fetched.contains("4 layers"),
        "{fetched}"
    );
    let second = scene.done("there", &["."]);
    assert!(second.contains("5 steps cached, 0 executed"), "{second}");
    // Unlike --cache-to after a build, an export that fails is a failed command.
    let unwritable = scene
        .howdah("here")
        .args(["cache", "export", "type=local,dest=/proc/cache"])
        .output()
        .unwrap();
    assert_eq!(unwritable.status.code(), Some(1), "{}", told(&unwritable));
}

#[test]
fn cache_mounts_are_taken_along_on_request() {
    let scene = Scene::new();
    fs_err::copy("/bin/busybox", scene.path("context/busybox")).unwrap();
    let with_step = |step: &str| {
        let mount = "RUN --mount=type=cache,id=kept,target=/kept";
        let text = format!("FROM scratch\nCOPY busybox /bin/sh\n{mount} {step}\n");
        fs_err::write(scene.path("context/Dockerfile"), text).unwrap();
    };
    with_step("echo here > /kept/file");
    scene.done("here", &["--network=none", "."]);
    let place = scene.path("cache");
    let place = place.display();
    let to = format!("type=local,dest={place},mounts=true");
    let exported = scene.howdah("here").args(["cache", "export", &to]).output();
    let exported = exported.unwrap();
    assert!(exported.status.success(), "{}", told(&exported));
    with_step("read line < /kept/file; echo $line > /seen");
    let output = format!("--output={}", scene.path("out").display());
    let from = scene.from();
    scene.done("there", &["--network=none", &from, &output, "."]);
    assert_eq!(read(&scene.path("out"), "seen"), "here\n");
}

#[test]
fn a_hit_rate_that_is_missed_has_an_exit_code_of_its_own() {
    let scene = Scene::new();
    let gate = |rate: &str| {
        let mut report = scene.howdah("here");
        report.args(["cache", "report", "--json", "--min-hit-rate", rate]);
        let output = report.output().unwrap();
        (output.status.code(), told(&output))
    };
    // Nothing is built yet: no gate to pass, but a failure.
    assert_eq!(gate("0").0, Some(1));
    scene.done("here", &["."]);
    assert_eq!(gate("0").0, Some(0));
    scene.write_code("2");
    scene.done("here", &["."]);
    // The first build had to run something, and the second one found something.
    let (code, missed) = gate("0.99");
    assert_eq!(code, Some(3), "{missed}");
    assert!(
        missed.contains("of the steps were cached, and 99.0 % are asked for"),
        "{missed}"
    );
    assert_eq!(gate("0.1").0, Some(0));
    assert_eq!(gate("80").0, Some(2));
}

#[test]
fn a_compose_file_names_caches() {
    let scene = Scene::new();
    let cache = scene.path("cache");
    let cache = cache.display();
    let compose = format!(
        "services:\n  web:\n    build:\n      context: .\n      cache_from: [\"type=local,src={cache}\"]\n      cache_to: [\"type=local,dest={cache}\"]\n"
    );
    fs_err::write(scene.path("context/compose.yaml"), compose).unwrap();
    scene.done("here", &["web"]);
    let second = scene.done("there", &["web"]);
    assert!(second.contains("5 steps cached, 0 executed"), "{second}");
}

#[test]
fn death_at_any_instant_leaves_a_whole_cache_and_a_whole_store() {
    let scene = Scene::new();
    kill_at_instants(&scene, &scene.from(), &scene.to(), 16);
}

#[test]
fn death_at_any_instant_leaves_a_whole_cache_in_a_registry() {
    let scene = Scene::new();
    let server = Server::start("");
    let name = server.reference("cache:1");
    let place = |option| format!("--cache-{option}=type=registry,ref={name}");
    kill_at_instants(&scene, &place("from"), &place("to"), 12);
}

/// Builds with a cache are killed, each a little later than the one before; after each, the next build has all it needs.
fn kill_at_instants(scene: &Scene, from: &str, to: &str, rounds: u64) {
    scene.done("here", &[to, "."]);
    for round in 0..rounds {
        // Every round has something to make and to send; every other one an empty store, which fetches.
        scene.write_code(&format!("{round}"));
        let other = noise(100 + round, 4 << 20);
        fs_err::write(scene.path("context/other"), other).unwrap();
        let machine = if round % 2 == 0 {
            "here".to_owned()
        } else {
            format!("machine-{round}")
        };
        let mut child = scene
            .build(&machine, &[from, to, "."])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        pause(Duration::from_millis(40 * round));
        child.kill().unwrap();
        child.wait().unwrap();

        let out = scene.path(&format!("out-{round}"));
        let output = format!("--output={}", out.display());
        let told = scene.done(&machine, &[from, &output, "."]);
        assert!(!told.contains("warning"), "round {round}: {told}");
        assert_eq!(read(&out, "code"), round.to_string());
        assert_eq!(read(&out, "dist/small"), "small");
    }
    let last = scene.done("last", &[from, "."]);
    assert!(!last.contains("warning"), "{last}");
}
