//! `howdah php`: the PHP command line of the PHP that serves.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use super::serve::find_php;
use super::{CommandError, Context};

/// Run a script as `php` does, by the PHP that `howdah serve` runs: `howdah php artisan migrate`, `howdah php -r 'phpinfo();'`.
///
/// `HOWDAH_PHP` names the howdah-php to run; without it the one beside this program, or in PATH.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// The options of `php`, the script, and what it gets.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGUMENT"
    )]
    arguments: Vec<OsString>,
}

/// Becomes PHP: signals, the terminal and the exit code are then between PHP and who started this.
pub(crate) fn run(_context: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let named = std::env::var_os("HOWDAH_PHP").filter(|name| !name.is_empty());
    let program = find_php(named.map(Into::into))?.ok_or_else(|| {
        CommandError::new("no `howdah-php` is installed")
            .hint("put it beside `howdah`, or name it with HOWDAH_PHP")
    })?;
    let error = Command::new(&program)
        .arg("cli")
        .args(args.arguments)
        .exec();
    Err(CommandError::from(error).about(format!("cannot start `{}`", program.display())))
}
