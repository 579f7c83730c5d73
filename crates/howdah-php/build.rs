//! Compiles the C shim against the headers of one PHP and links its libphp.
//!
//! `HOWDAH_PHP_ROOT` is where the packages of that PHP are unpacked (default `/`), `HOWDAH_PHP_VERSION` its version, e.g. `8.2`
//! (default: the newest found). Without headers only the lints can run: nothing is compiled, and linking fails.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const SOURCES: [&str; 12] = [
    "backtrace",
    "boot",
    "classic",
    "cli",
    "functions",
    "hugepages",
    "ledger",
    "once",
    "reset",
    "sapi",
    "variables",
    "worker",
];

fn main() -> ExitCode {
    for name in ["HOWDAH_PHP_ROOT", "HOWDAH_PHP_VERSION"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    println!("cargo::rerun-if-changed=shim");
    let root = variable("HOWDAH_PHP_ROOT").map_or_else(|| PathBuf::from("/"), PathBuf::from);
    let wanted = variable("HOWDAH_PHP_VERSION");
    let Some((headers, version)) = installed(&root)
        .into_iter()
        .filter(|(_, version)| wanted.as_ref().is_none_or(|wanted| wanted == version))
        .max_by_key(|(_, version)| version.clone())
    else {
        println!(
            "cargo::warning=no PHP headers: howdah-php can be linted, not linked (install php-dev)"
        );
        return ExitCode::SUCCESS;
    };
    let mut build = cc::Build::new();
    for directory in ["", "main", "TSRM", "Zend", "ext", "ext/date/lib"] {
        build.include(headers.join(directory));
    }
    build
        .files(SOURCES.map(|name| format!("shim/{name}.c")))
        .flag_if_supported("-Wno-unused-parameter")
        .compile("howdah_shim");
    let library = root.join(format!("usr/lib/libphp{version}.so"));
    println!("cargo::rustc-link-arg-bins={}", library.display());
    // What libphp itself needs is found when it is loaded.
    println!("cargo::rustc-link-arg-bins=-Wl,--allow-shlib-undefined");
    ExitCode::SUCCESS
}

/// The PHP headers below `root`, with their versions (`8.2`).
fn installed(root: &Path) -> Vec<(PathBuf, String)> {
    let Ok(entries) = fs_err::read_dir(root.join("usr/include/php")) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.path(), version(&entry.path())?)))
        .collect()
}

fn version(headers: &Path) -> Option<String> {
    let text = fs_err::read_to_string(headers.join("main/php_version.h")).ok()?;
    let number = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(&format!("#define {name} ")))
    };
    Some(format!(
        "{}.{}",
        number("PHP_MAJOR_VERSION")?,
        number("PHP_MINOR_VERSION")?
    ))
}

#[expect(
    clippy::disallowed_methods,
    reason = "cargo configures build scripts by the environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
