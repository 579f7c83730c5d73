//! The only libphp code: the processes that run PHP for the HTTP front.
//!
//! `howdah-php zygote` starts PHP (and the application) once and forks workers ([`zygote`]); a worker answers requests over its
//! socket ([`worker`]). `howdah-php cli` is the PHP command line. All calls of PHP are in C (`shim/`): a PHP error is a longjmp,
//! which must not cross a Rust frame. The seam is [`shim`] (what Rust calls) and [`callbacks`] (what C calls).

#![expect(unsafe_code, reason = "libphp is C, and fork is unsafe")]

mod arguments;
mod boot;
mod callbacks;
mod connections;
mod link;
mod shim;
mod worker;
mod zygote;

use std::ffi::CString;
use std::io::Write as _;
use std::process::ExitCode;

use arguments::{Mode, Role};
use link::Link;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    if !shim::is_own_library() {
        let version = shim::version();
        complain(&format!(
            "it is made for PHP {version}, and the libphp.so of this machine is another PHP's: \
             install libphp-embed of that version, or use the howdah-php of the PHP that is installed"
        ));
        return ExitCode::FAILURE;
    }
    match Role::parse(arguments) {
        Ok(Role::Cli(arguments)) => shim::cli(arguments),
        Ok(Role::Version) => match writeln!(std::io::stdout(), "{}", shim::version()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Ok(Role::Zygote(options)) => serve(options),
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(2)
        }
    }
}

/// The zygote, and later in its children the worker.
fn serve(options: arguments::Options) -> ExitCode {
    if let Err(error) = zygote::prepare_process() {
        complain(&format!("the process cannot be prepared: {error}"));
        return ExitCode::FAILURE;
    }
    let entries = options.ini_entries.clone();
    let ini_path = options.ini_path.clone();
    let mode = options.mode;
    let preboot = options.preboot;
    let script = options.script.clone();
    let link = Link::new(options);
    if shim::start(link, c"frankenphp", ini_path.as_deref(), &entries).is_err() {
        complain("PHP does not start; what it said stands above");
        return ExitCode::FAILURE;
    }
    let status = match (mode, script) {
        (Mode::Classic, _) | (_, None) => classic(link),
        (Mode::Worker | Mode::Fork, Some(script)) => run_script(link, &script, mode, preboot),
    };
    zygote::leave(status)
}

fn classic(link: *mut Link) -> i32 {
    // SAFETY: no callback runs, so nobody else uses the link (see `Link`).
    unsafe { link::fork_workers(link) };
    while shim::classic(link) {}
    0
}

fn run_script(link: *mut Link, script: &CString, mode: Mode, preboot: bool) -> i32 {
    if !preboot {
        // SAFETY: as above.
        unsafe { link::fork_workers(link) };
    }
    let status = shim::worker(script, mode == Mode::Fork);
    // SAFETY: the script has ended, so no callback runs.
    unsafe { link::script_ended(link, status) };
    u8::try_from(status).unwrap_or(255).into()
}

/// Before the control socket can tell it, standard error is where the front looks.
fn complain(message: &str) {
    let told = writeln!(std::io::stderr(), "howdah-php: {message}");
    drop(told);
}
