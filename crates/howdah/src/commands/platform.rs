//! Which platform a command is about.

use howdah_image::{ParsePlatformError, Platform};

use super::CommandError;

/// The platform of commands and services that name none, as Docker has it.
const DEFAULT: &str = "DOCKER_DEFAULT_PLATFORM";

/// What the environment says that builds and pulls are for; this machine if it says nothing.
pub(super) fn default() -> Result<Option<Platform>, CommandError> {
    let text = std::env::var_os(DEFAULT).unwrap_or_default();
    let text = text.to_string_lossy();
    if text.is_empty() {
        return Ok(None);
    }
    parse(&text).map(Some).map_err(|error| {
        CommandError::from(error).about(format!("cannot read the variable {DEFAULT}"))
    })
}

/// A platform, or `local` for this machine's, as buildx has it.
pub(super) fn parse(text: &str) -> Result<Platform, ParsePlatformError> {
    match text.trim() {
        "local" => Ok(Platform::default()),
        text => text.parse(),
    }
}
