//! `howdah`: from a PHP source tree to production. Picks the process's role before any thread exists, then runs one command.

mod commands;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use commands::rootless::{self, Need};
use commands::{CommandError, Context};

/// A no-change build is mostly small allocations on all cores; glibc's allocator asks the kernel for each few pages.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(name = "howdah", version, about, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    global: commands::GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(Box<commands::build::Args>),
    Cache(commands::cache::Args),
    Config(commands::config::Args),
    Down(commands::down::Args),
    Exec(commands::exec::Args),
    Health(commands::health::Args),
    Image(commands::image::Args),
    Images(commands::images::Args),
    #[command(name = howdah_compose::KEEPER_ROLE, hide = true)]
    Keeper(commands::keeper::Args),
    Login(commands::login::Args),
    Logout(commands::logout::Args),
    Logs(commands::logs::Args),
    Php(commands::php::Args),
    Ps(commands::ps::Args),
    Pull(commands::pull::Args),
    Push(commands::push::Args),
    Restart(commands::restart::Args),
    Run(Box<commands::run::Args>),
    Serve(Box<commands::serve::Args>),
    Start(commands::start::Args),
    Stop(commands::stop::Args),
    Supervise(commands::supervise::Args),
    System(commands::system::Args),
    Top(commands::top::Args),
    Up(Box<commands::up::Args>),
    Why(commands::why::Args),
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    // Single-threaded, and started for every container: neither a parser nor a thread may come before it.
    if words
        .next()
        .is_some_and(|word| word == howdah_runtime::HELPER_ROLE)
    {
        return howdah_runtime::helper(words);
    }
    if commands::frankenphp::is_called(std::env::args_os().next()) {
        return commands::frankenphp::main();
    }
    let arguments = match parse() {
        Ok(arguments) => arguments,
        Err(error) => return error.report(),
    };
    let need = arguments.command.need();
    // Before root is what the process is in its own namespace only.
    let context = Context::from_environment(arguments.global);
    let entered = rootless::enter(need);
    match entered.and_then(|ids| run(&context.with_ids(ids), arguments.command)) {
        Ok(code) => code,
        Err(error) => error.report(),
    }
}

/// Flags, beneath them the environment, and for a server beneath that what its `howdah.toml` says.
fn parse() -> Result<Arguments, CommandError> {
    let arguments = Arguments::parse();
    if !matches!(arguments.command, Command::Serve(_)) {
        return Ok(arguments);
    }
    let command = commands::serve::file::beneath(Arguments::command())?;
    Ok(Arguments::from_arg_matches(&command.get_matches())?)
}

impl Command {
    /// What of root's a command needs.
    fn need(&self) -> Need {
        match self {
            Self::Config(_)
            | Self::Health(_)
            | Self::Login(_)
            | Self::Logout(_)
            | Self::Logs(_)
            | Self::Php(_)
            | Self::Ps(_)
            | Self::Serve(_)
            | Self::Supervise(_)
            | Self::Top(_) => Need::Nothing,
            Self::Build(_)
            | Self::Cache(_)
            | Self::Image(_)
            | Self::Images(_)
            | Self::Pull(_)
            | Self::Push(_)
            | Self::System(_)
            | Self::Why(_) => Need::Store,
            Self::Down(_)
            | Self::Exec(_)
            | Self::Keeper(_)
            | Self::Restart(_)
            | Self::Run(_)
            | Self::Start(_)
            | Self::Stop(_)
            | Self::Up(_) => Need::Machine,
        }
    }
}

fn run(context: &Context, command: Command) -> Result<ExitCode, CommandError> {
    match command {
        Command::Build(args) => commands::build::run(context, &args),
        Command::Cache(args) => commands::cache::run(context, &args),
        Command::Config(args) => commands::config::run(context, &args),
        Command::Down(args) => commands::down::run(context, args),
        Command::Exec(args) => commands::exec::run(context, args),
        Command::Health(args) => commands::health::run(context, args),
        Command::Image(args) => commands::image::run(context, args),
        Command::Images(args) => commands::images::run(context, &args),
        // Starts threads only in its own time: nothing runs before it.
        Command::Keeper(args) => commands::keeper::run(context, &args),
        Command::Login(args) => commands::login::run(args),
        Command::Logout(args) => commands::logout::run(&args),
        Command::Logs(args) => commands::logs::run(context, &args),
        Command::Php(args) => commands::php::run(context, args),
        Command::Ps(args) => commands::ps::run(context, &args),
        Command::Pull(args) => commands::pull::run(context, args),
        Command::Push(args) => commands::push::run(context, &args),
        Command::Restart(args) => commands::restart::run(context, args),
        Command::Run(args) => commands::run::run(context, &args),
        Command::Serve(args) => commands::serve::run(context, *args),
        Command::Start(args) => commands::start::run(context, args),
        Command::Stop(args) => commands::stop::run(context, args),
        // Forks, and changes its signal mask: no thread exists, because none is started before a command runs.
        Command::Supervise(args) => commands::supervise::run(context, args),
        Command::System(args) => commands::system::run(context, &args),
        Command::Top(args) => commands::top::run(context, &args),
        Command::Up(args) => commands::up::run(context, *args),
        Command::Why(args) => commands::why::run(context, &args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_of_all_commands_fit_together() {
        super::Arguments::command().debug_assert();
    }
}
