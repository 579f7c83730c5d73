//! `howdah exec`.

use std::process::ExitCode;

use howdah_compose::{Message, Request};
use howdah_runtime::{ExecSpec, Runtime, RuntimeError};

use super::stack::{FileArgs, ProjectArgs, Stack, attach};
use super::{CommandError, Context};

/// Run a command in a running container.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of the command line"
)]
pub(crate) struct Args {
    #[command(flatten)]
    project: ProjectArgs,
    #[command(flatten)]
    file: FileArgs,
    /// Run it in the background.
    #[arg(short, long)]
    detach: bool,
    /// No terminal [default: one when standard input and output are].
    #[arg(short = 'T', long = "no-tty", alias = "no-TTY")]
    no_tty: bool,
    /// Keep standard input open (always done; here for Docker's `-it`).
    #[arg(short, long)]
    interactive: bool,
    /// Give it a terminal (the default; here for Docker's `-it`).
    #[arg(short, long)]
    tty: bool,
    /// User, `name`, `uid` or `uid:gid`.
    #[arg(short, long)]
    user: Option<String>,
    /// Working directory.
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Environment variable; without a value it is taken from here.
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// All capabilities.
    #[arg(long)]
    privileged: bool,
    /// Which container of the service.
    #[arg(long, value_name = "NUMBER")]
    index: Option<u32>,
    /// Service.
    service: String,
    /// Command and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

pub(crate) fn run(context: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let stack = args
        .project
        .load(context, &args.file, std::slice::from_ref(&args.service))?;
    let container = stack.running(&args.service, args.index)?;
    let terminal = !args.detach && attach::wants_terminal(args.no_tty);
    let spec = ExecSpec {
        args: args.command,
        env: args.env.iter().map(|pair| with_value(pair)).collect(),
        cwd: args.workdir,
        user: args.user,
        terminal,
        stdin: !args.detach,
        privileged: args.privileged,
    };
    if args.detach {
        return detached(&stack, container.id, spec);
    }
    let runtime = Runtime::new(context.runtime_directory(), &stack.options.executable)?;
    let running = runtime
        .exec(&container.id, &spec, attach::stdio(terminal))
        .map_err(failed)?;
    Ok(attach::code(attach::attend(running)?.code))
}

/// `NAME` takes our own value, as Docker's `-e` does.
pub(crate) fn with_value(pair: &str) -> String {
    if pair.contains('=') {
        return pair.to_owned();
    }
    std::env::var_os(pair).map_or_else(
        || format!("{pair}="),
        |value| format!("{pair}={}", value.to_string_lossy()),
    )
}

/// A process lives as long as who holds it, so the keeper does.
fn detached(stack: &Stack, id: String, process: ExecSpec) -> Result<ExitCode, CommandError> {
    let mut client = stack.client()?;
    client.request(&Request::Exec { id, process })?;
    while let Some(message) = client.next_message()? {
        match message {
            Message::Done { .. } => return Ok(ExitCode::SUCCESS),
            Message::Failed { message, .. } => return Err(CommandError::new(message).code(126)),
            _ => {}
        }
    }
    Err(CommandError::new(format!(
        "the keeper of stack `{}` gave no answer",
        stack.project().name
    )))
}

/// Docker's exit codes: 127 for a command that is not there, 126 for one that cannot be executed.
pub(crate) fn failed(error: RuntimeError) -> CommandError {
    let code = match &error {
        RuntimeError::CommandNotFound { .. } => 127,
        RuntimeError::NotExecutable { .. } => 126,
        _ => 125,
    };
    CommandError::from(error).code(code)
}
