//! `howdah login`.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::process::ExitCode;

use howdah_image::registry::Kept;
use howdah_image::{Registry, RegistryError};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::CommandError;
use super::transfer::{registry_options, with_hint};

/// Longer secrets are no passwords.
const LONGEST_PASSWORD: u64 = 1 << 20;

/// Log in to a registry.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The registry's host and port.
    #[arg(
        value_name = "SERVER",
        default_value = "docker.io",
        hide_default_value = true
    )]
    server: String,
    /// User name; asked for on a terminal.
    #[arg(short, long)]
    username: Option<String>,
    /// Password or access token; others see it in the list of processes.
    #[arg(short, long, conflicts_with = "password_stdin")]
    password: Option<String>,
    /// Read the password from the standard input.
    #[arg(long, requires = "username")]
    password_stdin: bool,
}

pub(crate) fn run(args: Args) -> Result<ExitCode, CommandError> {
    if args.password.is_some() {
        anstream::eprintln!(
            "\u{1b}[1;33mwarning\u{1b}[0m: others on this machine can see --password; --password-stdin is safer"
        );
    }
    let user = match args.username {
        Some(user) => user,
        None => ask("Username: ")?,
    };
    let password = match args.password {
        Some(password) => password,
        None if args.password_stdin => read_password()?,
        None => ask_secretly("Password: ")?,
    };
    if user.is_empty() || password.is_empty() {
        return Err(CommandError::new(
            "a login needs a user name and a password",
        ));
    }
    let registry = Registry::new(registry_options())?;
    let kept = registry
        .login(&args.server, &user, &password)
        .map_err(|error| refused(error, &args.server))?;
    if let Kept::File(path) = kept {
        anstream::eprintln!(
            "\u{1b}[1;33mwarning\u{1b}[0m: the password is kept unencrypted in {}; `credsStore` there names a credential helper",
            path.display()
        );
    }
    anstream::println!("Login Succeeded");
    Ok(ExitCode::SUCCESS)
}

fn refused(error: RegistryError, server: &str) -> CommandError {
    match error {
        error @ RegistryError::Denied { .. } => {
            CommandError::from(error).hint(format!(
                "check user name and password; with two-factor authentication {server} wants an access token as password"
            ))
        }
        error => with_hint(error),
    }
}

/// As Docker: one line end at the end is not part of it.
fn read_password() -> Result<String, CommandError> {
    let mut text = String::new();
    io::stdin()
        .lock()
        .take(LONGEST_PASSWORD)
        .read_to_string(&mut text)
        .map_err(|error| unreadable(&error))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

fn ask(prompt: &str) -> Result<String, CommandError> {
    if !io::stdin().is_terminal() {
        return Err(
            CommandError::new("there is no terminal to ask for the login on")
                .hint("--username NAME --password-stdin takes it from a pipe"),
        );
    }
    anstream::eprint!("{prompt}");
    io::stderr().flush().map_err(|error| unreadable(&error))?;
    let mut line = String::new();
    io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|error| unreadable(&error))?;
    Ok(line.trim().to_owned())
}

/// Asks with the terminal's echo switched off (termios(3)).
fn ask_secretly(prompt: &str) -> Result<String, CommandError> {
    let stdin = io::stdin();
    let before = tcgetattr(&stdin).ok();
    if let Some(before) = &before {
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Flush, &silent)
            .map_err(|errno| unreadable(&errno.into()))?;
    }
    let answer = ask(prompt);
    if let Some(before) = before {
        tcsetattr(&stdin, OptionalActions::Flush, &before)
            .map_err(|errno| unreadable(&errno.into()))?;
        anstream::eprintln!();
    }
    answer
}

fn unreadable(error: &io::Error) -> CommandError {
    CommandError::new(format!("cannot read the login: {error}"))
}
