//! Asking before something is removed.

use std::io::BufRead as _;

use super::CommandError;

/// Asks on stderr, as Docker does; anything but y is no, so that a script that forgot --force removes nothing.
pub(crate) fn confirm(warning: &str) -> Result<bool, CommandError> {
    anstream::eprint!("WARNING! {warning}\nAre you sure you want to continue? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
