//! `make bench-serve`: `howdah serve` beside nginx + PHP-FPM, and beside FrankenPHP where that could be built, with the same
//! php.ini, the same number of workers and the same scripts, in turns, in one run. Prints tables for docs/performance.md;
//! asserts nothing but that all answer alike.
//!
//!     cargo bench -p howdah --bench serve -- [FRANKENPHP]
//!
//! `HOWDAH_BENCH_CASES` (words of the names of cases), `HOWDAH_BENCH_CONNECTIONS`, `HOWDAH_BENCH_ROUNDS` and
//! `HOWDAH_BENCH_SECONDS` make a run shorter or longer.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its tables, and what it is at"
)]
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

mod case;
mod contender;
mod load;
mod memory;
mod process;
mod services;
mod site;
mod table;

use std::path::{Path, PathBuf};

use case::Case;
use contender::{Contender, Mode};
use load::Plan;
use services::Services;
use site::Sites;

/// Of every contender.
const WORKERS: u32 = 4;

fn main() {
    let program = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let frankenphp = program.map(PathBuf::from).filter(|path| path.exists());
    let directory = tempfile::Builder::new()
        .prefix("howdah-bench-")
        .tempdir_in("/var/tmp")
        .unwrap();
    // PostgreSQL and the workers of nginx are other users.
    site::open_to_all(directory.path());
    let services = Services::start(directory.path());
    let sites = Sites::write(directory.path(), &services);
    let plan = Plan::from_environment();
    let frankenphp = frankenphp.as_deref();
    php(&plan, &sites, frankenphp);
    laravel(&plan, &sites, frankenphp);
    files(&plan, &sites);
    memory::compare(&plan, &sites, frankenphp);
}

/// Small scripts: what servers cost.
fn php(plan: &Plan, sites: &Sites, frankenphp: Option<&Path>) {
    let cases: Vec<Case> = plan.chosen(case::plain());
    if cases.is_empty() {
        return;
    }
    let mut contenders = vec![
        Contender::fpm(sites, &sites.plain),
        Contender::howdah(sites, &sites.plain, Mode::Classic),
        Contender::howdah(sites, &sites.plain, Mode::Worker),
    ];
    contenders.extend(frankenphp.map(|path| Contender::frankenphp(sites, &sites.plain, path)));
    load::compare("small scripts", plan, &cases, &contenders);
}

/// An application: what it gains when it stays booted.
fn laravel(plan: &Plan, sites: &Sites, frankenphp: Option<&Path>) {
    let cases: Vec<Case> = plan.chosen(case::laravel());
    if cases.is_empty() {
        return;
    }
    let mut contenders = vec![
        Contender::fpm(sites, &sites.laravel),
        Contender::howdah(sites, &sites.laravel, Mode::Classic),
        Contender::howdah(sites, &sites.laravel, Mode::Fork),
        Contender::howdah(sites, &sites.laravel, Mode::Worker),
    ];
    contenders.extend(frankenphp.map(|path| Contender::frankenphp(sites, &sites.laravel, path)));
    load::compare("Laravel", plan, &cases, &contenders);
}

fn files(plan: &Plan, sites: &Sites) {
    let cases: Vec<Case> = plan.chosen(case::files());
    if cases.is_empty() {
        return;
    }
    let contenders = [
        Contender::nginx(sites, &sites.plain),
        Contender::howdah(sites, &sites.plain, Mode::Classic),
    ];
    load::compare("files", plan, &cases, &contenders);
}
