//! A project directory, a store with the image `busybox:test`, and builds that record what they did.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "part of several test programs, each of which uses some"
)]

#[path = "../../../howdah-image/tests/registry/server.rs"]
pub(crate) mod registry;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use howdah_build::{BuildError, Builder, Built, Cancel, Event, Forecast, Options, Target, Text};
use howdah_image::{Image, ImageConfig, Layer, SnapshotId, Store};
use howdah_runtime::{Runtime, overlay};

/// Everything one test makes; removed when dropped.
pub(crate) struct Project {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) options: Options,
    pub(crate) cancel: Cancel,
    runtime: Runtime,
}

/// A build and what it told.
pub(crate) struct Report {
    pub(crate) result: Result<Built, BuildError>,
    /// The instructions that ran, in the order they ended.
    pub(crate) executed: Vec<String>,
    /// Those that did not.
    pub(crate) cached: Vec<String>,
    pub(crate) output: String,
    /// What was wrong with caches.
    pub(crate) cache_faults: Vec<String>,
}

impl Report {
    pub(crate) fn image(&self) -> &Image {
        match &self.result {
            Ok(built) => &built.images[0],
            Err(error) => panic!("{}\n{}", explain(error), self.output),
        }
    }

    pub(crate) fn error(&self) -> &BuildError {
        self.result.as_ref().expect_err("the build should fail")
    }
}

/// An error with its causes.
pub(crate) fn explain(error: &dyn std::error::Error) -> String {
    let causes =
        std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}

impl Project {
    pub(crate) fn new(files: &[(&str, &str)]) -> Project {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        let helper = Path::new(env!("CARGO_BIN_EXE_howdah-build-helper"));
        let runtime = Runtime::new(&directory.path().join("run"), helper).unwrap();
        let project = Project {
            directory,
            store,
            options: Options::default(),
            cancel: Cancel::default(),
            runtime,
        };
        project.make_base();
        for (name, content) in files {
            project.write(name, content);
        }
        project
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("context").join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }

    pub(crate) fn target(&self, dockerfile: &str) -> Target {
        fs_err::create_dir_all(self.path("")).unwrap();
        let text = Text {
            name: "Dockerfile".into(),
            text: dockerfile.into(),
        };
        let mut target = Target::new(text, &self.path(""));
        // The host's network needs no bridge, which tests of several programs would have to share.
        target.network = howdah_build::Network::None;
        target.ignore = Text::read(&self.path(".dockerignore")).unwrap();
        target
    }

    pub(crate) fn build(&self, dockerfile: &str) -> Report {
        self.build_all(&[self.target(dockerfile)])
    }

    pub(crate) fn build_all(&self, targets: &[Target]) -> Report {
        let events = Mutex::new(Vec::new());
        let observe = |event: Event| events.lock().unwrap().push(event);
        let result = self.with_builder(&observe, |builder| builder.build(targets, &self.options));
        report(result, &events.into_inner().unwrap())
    }

    /// A build by another process: with the store opened for itself.
    pub(crate) fn build_in(&self, store: &Store, dockerfile: &str) -> Report {
        let events = Mutex::new(Vec::new());
        let observe = |event: Event| events.lock().unwrap().push(event);
        let targets = [self.target(dockerfile)];
        let result = self.with_store(store, &observe, |builder| {
            builder.build(&targets, &self.options)
        });
        report(result, &events.into_inner().unwrap())
    }

    /// What a build would do.
    pub(crate) fn predict(&self, dockerfile: &str) -> Vec<Forecast> {
        let targets = [self.target(dockerfile)];
        self.with_builder(&|_| {}, |builder| {
            builder.predict(&targets, &self.options).unwrap()
        })
    }

    fn with_builder<T>(
        &self,
        observe: &(dyn Fn(Event) + Sync),
        work: impl FnOnce(&Builder<'_>) -> T,
    ) -> T {
        self.with_store(&self.store, observe, work)
    }

    fn with_store<T>(
        &self,
        store: &Store,
        observe: &(dyn Fn(Event) + Sync),
        work: impl FnOnce(&Builder<'_>) -> T,
    ) -> T {
        work(&Builder {
            store,
            runtime: &self.runtime,
            runtime_directory: &self.directory.path().join("run"),
            pull: &|name, _| Err(format!("`{name}` cannot be pulled in a test").into()),
            observe,
            cancel: self.cancel.clone(),
        })
    }

    /// Runs `look` on the merged root filesystem of an image.
    pub(crate) fn inspect<T>(&self, image: &Image, look: impl FnOnce(&Path) -> T) -> T {
        let staging = self.store.stage().unwrap();
        let merged = staging.directory().join("merged");
        fs_err::create_dir(&merged).unwrap();
        overlay::mount(
            &image.lowers(&self.store),
            Some((staging.upper(), staging.work())),
            &merged,
        )
        .unwrap();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| look(&merged)));
        overlay::unmount(&merged).unwrap();
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    pub(crate) fn read(&self, image: &Image, path: &str) -> Option<String> {
        self.inspect(image, |root| fs_err::read_to_string(root.join(path)).ok())
    }

    /// Asks the store's database for one value.
    pub(crate) fn query<T: rusqlite::types::FromSql>(&self, sql: &str) -> T {
        self.store
            .database()
            .with(|connection| connection.query_row(sql, [], |row| row.get(0)))
            .unwrap()
    }

    fn make_base(&self) {
        let staging = self.store.stage().unwrap();
        let base = staging.upper();
        for name in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
            fs_err::create_dir_all(base.join(name)).unwrap();
        }
        // Debian's package busybox-static.
        fs_err::copy("/bin/busybox", base.join("bin/busybox")).unwrap();
        for name in [
            "sh", "cat", "echo", "ls", "mkdir", "rm", "cp", "sleep", "env", "id", "stat", "true",
            "test", "mv", "touch", "wget", "chmod", "date", "grep", "head",
        ] {
            fs_err::os::unix::fs::symlink("busybox", base.join("bin").join(name)).unwrap();
        }
        fs_err::write(
            base.join("etc/passwd"),
            "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/app:/bin/sh\n",
        )
        .unwrap();
        fs_err::write(base.join("etc/group"), "root:x:0:\napp:x:1000:\n").unwrap();
        // As a pulled image has it: the same in every store.
        let id: SnapshotId = "ba5e".repeat(16).parse().unwrap();
        staging.seal(&id).unwrap();
        let mut config = ImageConfig::default();
        config.config.env.push("PATH=/bin".to_owned());
        config.config.cmd = Some(vec!["sh".to_owned()]);
        let image = self
            .store
            .save_image(
                config,
                vec![Layer {
                    snapshots: vec![id],
                }],
            )
            .unwrap();
        self.store
            .tag(&image.id, &"busybox:test".parse().unwrap())
            .unwrap();
    }
}

fn report(result: Result<Built, BuildError>, events: &[Event]) -> Report {
    let mut report = Report {
        result,
        executed: Vec::new(),
        cached: Vec::new(),
        output: String::new(),
        cache_faults: Vec::new(),
    };
    let mut steps = &Vec::new();
    for event in events {
        match event {
            Event::Planned { steps: planned } => steps = planned,
            Event::Finished { step, .. } => report.executed.push(steps[*step].place.text.clone()),
            Event::Cached { step, .. } => report.cached.push(steps[*step].place.text.clone()),
            Event::Output { line, .. } => report.output.extend([line.as_str(), "\n"]),
            Event::CacheFault { cache, error } => {
                let fault = format!("{cache}: {}", explain(&**error));
                report.cache_faults.push(fault);
            }
            Event::Started { .. } | Event::Failed { .. } => {}
        }
    }
    report
}
