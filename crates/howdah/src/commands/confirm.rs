//! Asking before something is removed.

use std::io::BufRead as _;

use super::CommandError;

/// The flag of commands that ask.
#[derive(Debug, clap::Args)]
pub(crate) struct Consent {
    /// Do not ask.
    #[arg(short, long)]
    force: bool,
}

impl Consent {
    /// Whether it may be done: by the flag, or by an answer.
    pub(crate) fn given(&self, warning: &str) -> Result<bool, CommandError> {
        Ok(self.force || confirm(warning)?)
    }
}

/// Asks on stderr, as Docker does; anything but y is no, so that a script that forgot --force removes nothing.
fn confirm(warning: &str) -> Result<bool, CommandError> {
    anstream::eprint!("WARNING! {warning}\nAre you sure you want to continue? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
