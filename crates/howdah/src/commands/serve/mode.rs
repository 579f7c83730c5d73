//! Which mode serves an application, and which script its workers run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use howdah_serve::pool::{Mode, WorkerScript};

use super::php::named;
use crate::commands::CommandError;

/// The modes on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ModeArg {
    /// The best one that the application allows; the log says which and why.
    Auto,
    /// The application is booted once; each worker answers many requests with it.
    Worker,
    /// The application is booted once; each request gets a process of its own, forked from it.
    Fork,
    /// Each request boots the application anew.
    Classic,
    /// A PHP-FPM server runs PHP.
    Fastcgi,
}

/// How PHP is run.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) mode: Mode,
    pub(super) script: Option<WorkerScript>,
    /// What the script expects of its environment.
    pub(super) environment: Vec<(OsString, OsString)>,
    /// For the log.
    pub(super) reason: &'static str,
}

/// What the files of an application say of it.
#[derive(Debug, PartialEq, Eq)]
enum Application {
    /// Laravel with Octane, and the worker script that came with it.
    Octane(PathBuf),
    /// Symfony's runtime 7.4 and later: the front controller is a worker script by itself.
    SymfonyRuntime(PathBuf),
    /// Laravel without Octane.
    Laravel,
    Other,
}

const LARAVEL: WorkerScript = WorkerScript::Embedded {
    name: "Howdah's worker script for Laravel",
    source: include_str!("laravel/worker.php"),
};

/// `application`: its directory; `root`: the document root in it; `worker`: the script that was named.
pub(super) fn choose(
    asked: ModeArg,
    worker: Option<PathBuf>,
    application: &Path,
    root: &Path,
) -> Result<Choice, CommandError> {
    let mode = match asked {
        ModeArg::Auto | ModeArg::Worker => Mode::Worker,
        ModeArg::Fork => Mode::Fork,
        ModeArg::Classic | ModeArg::Fastcgi => Mode::Classic,
    };
    let found = find(application, root);
    let environment = match &found {
        Application::Octane(_) => octane(application, root),
        Application::Laravel => laravel(application, root, mode),
        Application::SymfonyRuntime(_) | Application::Other => Vec::new(),
    };
    let choice = |mode, script, reason| {
        Ok(Choice {
            mode,
            script,
            environment,
            reason,
        })
    };
    // Then each request names its script.
    if mode == Mode::Classic {
        return choice(mode, None, "it was asked for");
    }
    if let Some(worker) = worker {
        let script = Some(WorkerScript::File(named(&worker, "--worker")?));
        return choice(mode, script, "a worker script is named");
    }
    match found {
        Application::Octane(script) => {
            let script = Some(WorkerScript::File(script));
            choice(mode, script, "Laravel, with the worker script of Octane")
        }
        Application::SymfonyRuntime(script) => {
            let reason = "Symfony's runtime makes the front controller a worker script";
            choice(mode, Some(WorkerScript::File(script)), reason)
        }
        Application::Laravel => {
            let reason = "Laravel without Octane, with Howdah's own worker script";
            choice(mode, Some(LARAVEL), reason)
        }
        Application::Other if asked == ModeArg::Auto => {
            let reason = "neither Laravel nor Symfony's runtime 7.4 was found, and no worker script is named";
            choice(Mode::Classic, None, reason)
        }
        Application::Other => Err(CommandError::new(format!(
            "mode `{}` needs a worker script: neither Laravel nor Symfony's runtime 7.4 was found in `{}`",
            mode.name(),
            application.display()
        ))
        .hint("name one with --worker FILE, or use --mode classic")),
    }
}

fn find(application: &Path, root: &Path) -> Application {
    let octane = "vendor/laravel/octane/bin/frankenphp-worker.php";
    let symfony = "vendor/symfony/runtime/Runner/FrankenPhpWorkerRunner.php";
    // Where the application has been given its own copy (`octane:install`), it may have been changed.
    let copy = root.join("frankenphp-worker.php");
    let index = root.join("index.php");
    let has = |path: &str| application.join(path).is_file();
    if has(octane) {
        let script = if copy.is_file() {
            copy
        } else {
            application.join(octane)
        };
        Application::Octane(script)
    } else if has("artisan") && has("bootstrap/app.php") && has("vendor/autoload.php") {
        Application::Laravel
    } else if has(symfony) && has("vendor/autoload_runtime.php") && index.is_file() {
        Application::SymfonyRuntime(index)
    } else {
        Application::Other
    }
}

/// What our worker script is told.
fn laravel(application: &Path, root: &Path, mode: Mode) -> Vec<(OsString, OsString)> {
    let mut variables = vec![
        ("HOWDAH_APPLICATION".into(), application.into()),
        ("HOWDAH_PUBLIC".into(), root.into()),
    ];
    if mode == Mode::Fork {
        variables.push(("HOWDAH_FORKS".into(), "1".into()));
    }
    variables
}

/// What `octane:frankenphp` gives its worker script. The pool says itself after how many requests a worker is replaced.
fn octane(application: &Path, root: &Path) -> Vec<(OsString, OsString)> {
    [
        ("APP_BASE_PATH", application.into()),
        ("APP_PUBLIC_PATH", root.into()),
        ("LARAVEL_OCTANE", "1".into()),
        ("MAX_REQUESTS", i64::MAX.to_string().into()),
    ]
    .map(|(name, value): (&str, OsString)| (name.into(), value))
    .into_iter()
    .filter(|(name, _)| std::env::var_os(name).is_none())
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn application(files: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for file in files {
            let path = directory.path().join(file);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, "").unwrap();
        }
        directory
    }

    fn chosen(asked: ModeArg, worker: Option<&str>, files: &[&str]) -> Result<String, String> {
        let directory = application(files);
        let path = fs_err::canonicalize(directory.path()).unwrap();
        let worker = worker.map(|worker| path.join(worker));
        let choice = choose(asked, worker, &path, &path.join("public"))
            .map_err(|error| error.message.replace(path.to_str().unwrap(), "."))?;
        let script = match choice.script {
            Some(WorkerScript::File(file)) => {
                file.strip_prefix(path).unwrap().display().to_string()
            }
            Some(WorkerScript::Embedded { .. }) => "embedded".into(),
            None => "none".into(),
        };
        Ok(format!("{} {script}", choice.mode.name()))
    }

    const LARAVEL: &[&str] = &[
        "artisan",
        "bootstrap/app.php",
        "vendor/autoload.php",
        "public/index.php",
        "own.php",
    ];

    #[test]
    fn the_best_mode_is_found() {
        let octane = [
            LARAVEL,
            &["vendor/laravel/octane/bin/frankenphp-worker.php"],
        ]
        .concat();
        let stub = [&octane[..], &["public/frankenphp-worker.php"]].concat();
        let symfony = [
            "vendor/symfony/runtime/Runner/FrankenPhpWorkerRunner.php",
            "vendor/autoload_runtime.php",
            "public/index.php",
        ];
        for (asked, worker, files, expected) in [
            (ModeArg::Auto, None, LARAVEL, "worker embedded"),
            (ModeArg::Fork, None, LARAVEL, "fork embedded"),
            (ModeArg::Classic, None, LARAVEL, "classic none"),
            (ModeArg::Auto, Some("own.php"), LARAVEL, "worker own.php"),
            (
                ModeArg::Worker,
                None,
                &octane,
                "worker vendor/laravel/octane/bin/frankenphp-worker.php",
            ),
            (
                ModeArg::Auto,
                None,
                &stub,
                "worker public/frankenphp-worker.php",
            ),
            (ModeArg::Auto, None, &symfony, "worker public/index.php"),
            (ModeArg::Auto, None, &["public/index.php"], "classic none"),
        ] {
            assert_eq!(
                chosen(asked, worker, files).as_deref(),
                Ok(expected),
                "{asked:?} {files:?}"
            );
        }
    }

    #[test]
    fn a_mode_that_needs_a_script_says_so() {
        let error = chosen(ModeArg::Fork, None, &["public/index.php"]).unwrap_err();
        assert!(
            error.starts_with("mode `fork` needs a worker script"),
            "{error}"
        );
    }
}
