//! `frankenphp`: the command line of FrankenPHP, for programs and people who know that one (decision 0031). The executable is it
//! when it is called by that name.

mod admin;
mod hash;
mod listen;
mod logs;
mod names;
mod php_server;
mod plan;
mod running;
mod serve;
mod source;
mod start;

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Parser as _;

use super::serve::{PhpArgs, find_php};
use super::{CommandError, Context, GlobalArgs};

/// The name by which the executable is called.
pub(crate) const NAME: &str = "frankenphp";
/// The FrankenPHP whose behaviour this is. Octane compares it with the least version that it needs.
const VERSION: &str = "1.11.0";
/// What stands for Caddy's version in texts that programs read.
const CADDY: &str = "2.10.2";

/// Serve PHP applications as FrankenPHP does.
#[derive(Debug, clap::Parser)]
#[command(name = NAME, max_term_width = 100, disable_version_flag = true)]
struct Arguments {
    /// Print the version.
    #[arg(short = 'v', long, exclusive = true)]
    version: bool,
    #[command(subcommand)]
    command: Option<Subcommand>,
}

#[derive(Debug, clap::Subcommand)]
enum Subcommand {
    /// Print a Caddyfile as JSON.
    Adapt(source::Source),
    /// Print what the executable is made of.
    BuildInfo,
    /// Print the environment.
    Environ,
    /// Print the hash of a password for `basic_auth`.
    HashPassword(hash::Args),
    /// List what can be configured.
    ListModules,
    /// Run a PHP script, as the PHP command line does.
    #[command(disable_help_flag = true)]
    PhpCli(PhpCli),
    /// Serve a directory.
    PhpServer(php_server::Args),
    /// Have a running server read its code and certificates anew.
    Reload(admin::ReloadArgs),
    /// Serve what a Caddyfile describes, until a signal comes.
    Run(serve::Args),
    /// Serve in the background.
    Start(serve::Args),
    /// Stop a running server, and wait for its end.
    Stop(admin::StopArgs),
    /// Check a Caddyfile.
    Validate(source::Source),
    /// Print the version.
    Version,
}

#[derive(Debug, clap::Args)]
struct PhpCli {
    /// The script and its arguments, or options of the PHP command line.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Is the executable called as `frankenphp`?
pub(crate) fn is_called(program: Option<OsString>) -> bool {
    let name = program.map(PathBuf::from);
    name.is_some_and(|name| name.file_name().is_some_and(|name| name == NAME))
}

/// The whole program.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => error.report(),
    }
}

fn run(arguments: Arguments) -> Result<ExitCode, CommandError> {
    let Some(command) = arguments.command else {
        if arguments.version {
            return Ok(version());
        }
        return Err(CommandError::new("no command is given")
            .hint("`frankenphp run` serves a Caddyfile, `frankenphp php-server` a directory; see --help")
            .code(2));
    };
    let context = Context::from_environment(GlobalArgs::from_environment());
    match command {
        Subcommand::Adapt(args) => args.adapt(),
        Subcommand::BuildInfo => Ok(build_info()),
        Subcommand::Environ => {
            for (name, value) in std::env::vars_os() {
                let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
                anstream::println!("{name}={value}");
            }
            Ok(ExitCode::SUCCESS)
        }
        Subcommand::HashPassword(args) => hash::run(args),
        Subcommand::ListModules => {
            for module in MODULES {
                anstream::println!("{module}");
            }
            Ok(ExitCode::SUCCESS)
        }
        Subcommand::PhpCli(args) => php_cli(args),
        Subcommand::PhpServer(args) => php_server::run(&context, args),
        Subcommand::Reload(args) => args.run(),
        Subcommand::Run(args) => serve::run(&context, &args),
        Subcommand::Start(args) => start::run(&args),
        Subcommand::Stop(args) => args.run(),
        Subcommand::Validate(args) => args.validate(),
        Subcommand::Version => Ok(version()),
    }
}

/// The first two words and the next ones are what programs read.
fn version() -> ExitCode {
    let php = php_version().unwrap_or_else(|| "none".to_owned());
    let howdah = env!("CARGO_PKG_VERSION");
    anstream::println!("FrankenPHP v{VERSION} PHP {php} Caddy v{CADDY} (howdah {howdah})");
    ExitCode::SUCCESS
}

/// In the form of Go's build information, of which Octane reads the line `dep ... v1.2.3`.
fn build_info() -> ExitCode {
    let howdah = env!("CARGO_PKG_VERSION");
    anstream::println!("path\thowdah");
    anstream::println!("mod\thowdah\tv{howdah}");
    anstream::println!("dep\tgithub.com/caddyserver/caddy/v2\tv{CADDY}");
    anstream::println!("dep\tgithub.com/dunglas/frankenphp\tv{VERSION}");
    ExitCode::SUCCESS
}

/// Without `howdah-php` there is none.
fn php_version() -> Option<String> {
    let program = find_php(PhpArgs::program_of_environment()).ok()??;
    let output = Command::new(program).arg("version").output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    Some(version.trim().to_owned()).filter(|version| !version.is_empty())
}

/// Becomes the PHP command line.
fn php_cli(args: PhpCli) -> Result<ExitCode, CommandError> {
    let program = howdah_php()?;
    let error = Command::new(&program)
        .arg("cli")
        .args(args.arguments)
        .exec();
    Err(CommandError::from(error).about(format!("cannot run `{}`", program.display())))
}

fn howdah_php() -> Result<PathBuf, CommandError> {
    find_php(PhpArgs::program_of_environment())?.ok_or_else(|| {
        CommandError::new("no `howdah-php` is installed").hint(
            "put it beside the executable that `frankenphp` links to, or name it in HOWDAH_PHP",
        )
    })
}

/// By the names that Caddy and FrankenPHP have for them.
const MODULES: [&str; 24] = [
    "admin.api.frankenphp",
    "admin.api.load",
    "admin.api.metrics",
    "caddy.adapters.caddyfile",
    "frankenphp",
    "http",
    "http.encoders.br",
    "http.encoders.gzip",
    "http.encoders.zstd",
    "http.handlers.authentication",
    "http.handlers.encode",
    "http.handlers.error",
    "http.handlers.file_server",
    "http.handlers.headers",
    "http.handlers.intercept",
    "http.handlers.php",
    "http.handlers.request_body",
    "http.handlers.reverse_proxy",
    "http.handlers.rewrite",
    "http.handlers.static_response",
    "http.handlers.subroute",
    "http.handlers.vars",
    "http.precompressed.gzip",
    "tls",
];

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_of_all_commands_fit_together() {
        super::Arguments::command().debug_assert();
    }
}
