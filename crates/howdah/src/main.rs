//! `howdah`: from a PHP source tree to production. Picks the process's role before any thread exists, then runs one command.

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use commands::{CommandError, Context};

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
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let context = Context::from_environment(arguments.global);
    match run(&context, arguments.command) {
        Ok(code) => code,
        Err(error) => error.report(),
    }
}

fn run(_context: &Context, command: Command) -> Result<ExitCode, CommandError> {
    match command {}
}
