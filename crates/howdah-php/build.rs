//! Compiles the C shim against the headers of one PHP and links its libphp.
//!
//! `HOWDAH_PHP_ROOT` is where the packages of that PHP are unpacked (default `/`), `HOWDAH_PHP_VERSION` its version, e.g. `8.2`
//! (default: the newest found). Without headers only the lints can run: nothing is compiled, and linking fails.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const SOURCES: &[&str] = &[
    "backtrace",
    "boot",
    "classic",
    "cli",
    "functions",
    "hugepages",
    "ledger",
    "once",
    "reset",
    "restore",
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
        .files(SOURCES.iter().map(|name| format!("shim/{name}.c")))
        .flag_if_supported("-Wno-unused-parameter")
        .compile("howdah_shim");
    let library = root.join(format!("usr/lib/libphp{version}.so"));
    println!("cargo::rustc-link-arg-bins={}", library.display());
    // What libphp itself needs is found when it is loaded.
    println!("cargo::rustc-link-arg-bins=-Wl,--allow-shlib-undefined");
    if root != Path::new("/") {
        run_in_place(&root);
    }
    ExitCode::SUCCESS
}

/// A PHP of another release may need that release's C library. If it is unpacked with the PHP, the program is made to run with what is
/// there: for tests on this machine.
fn run_in_place(root: &Path) {
    let starting_with = |directory: &str, start: &str| {
        let entries = fs_err::read_dir(root.join(directory)).into_iter().flatten();
        entries
            .filter_map(Result::ok)
            .find(|entry| entry.file_name().to_string_lossy().starts_with(start))
            .map(|entry| entry.path())
    };
    let loader = ["usr/lib64", "usr/lib"]
        .iter()
        .find_map(|directory| starting_with(directory, "ld-linux-"));
    let libraries = fs_err::read_dir(root.join("usr/lib"))
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|directory| directory.join("libc.so.6").exists());
    if let (Some(loader), Some(libraries)) = (loader, libraries) {
        let loader = loader.display();
        println!("cargo::rustc-link-arg-bins=-Wl,--dynamic-linker={loader}");
        // As RPATH, which counts for the libraries' libraries, too (ld.so(8)).
        let (libraries, libphp) = (libraries.display(), root.join("usr/lib"));
        let path = format!("{libraries}:{}", libphp.display());
        println!("cargo::rustc-link-arg-bins=-Wl,--disable-new-dtags,-rpath,{path}");
    }
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
