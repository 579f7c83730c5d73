//! `frankenphp hash-password`.

use std::process::ExitCode;

use super::super::CommandError;

/// Whose hash.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The password; without it the first line of the standard input.
    #[arg(short, long, value_name = "PASSWORD")]
    plaintext: Option<String>,
    /// How; there is bcrypt only.
    #[arg(short, long, value_name = "NAME", value_parser = ["bcrypt"])]
    algorithm: Option<String>,
    /// How much work it is, from 4 to 31; each one more is twice the work.
    #[arg(long, value_name = "NUMBER", default_value_t = 14, value_parser = clap::value_parser!(u32).range(4..=31))]
    cost: u32,
}

pub(super) fn run(args: Args) -> Result<ExitCode, CommandError> {
    let password = if let Some(password) = args.plaintext {
        password
    } else {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    if password.is_empty() {
        return Err(CommandError::new("the password is empty").code(2));
    }
    let hash = bcrypt::hash(password, args.cost)?;
    anstream::println!("{hash}");
    Ok(ExitCode::SUCCESS)
}
