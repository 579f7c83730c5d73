//! Caches that travel: what a build says of them, and the export after it.

use std::error::Error as _;

use howdah_build::{Built, CacheError, CacheExport, FetchedLayers};
use howdah_image::Store;

use crate::commands::CommandError;
use crate::commands::display::human_size;

/// Writes the caches that a build should write. What fails is a warning unless `ignore-error=false` was asked for.
pub(crate) fn export(store: &Store, built: &Built, quiet: bool) -> Result<(), CommandError> {
    for export in &built.exports {
        let may_fail = export.target().ignore_error.unwrap_or(true);
        write(store, export, quiet, may_fail)?;
    }
    Ok(())
}

/// Writes one cache, and says so. With `may_fail` a failure is a warning.
pub(crate) fn write(
    store: &Store,
    export: &CacheExport,
    quiet: bool,
    may_fail: bool,
) -> Result<(), CommandError> {
    let place = &export.target().place;
    match export.write(store) {
        Ok(_) if quiet => {}
        Ok(exported) => anstream::eprintln!(
            "cache {place} has {} steps in {} layers, of which {} were sent ({})",
            exported.steps,
            exported.layers,
            exported.sent,
            human_size(exported.sent_bytes)
        ),
        Err(error) if may_fail => {
            let text = format!("cannot write the cache `{place}`: {}", told(&error));
            anstream::eprintln!("{}", warning(&text));
        }
        Err(error) => {
            let message = format!("cannot write the cache `{place}`");
            return Err(CommandError::from(error).about(message));
        }
    }
    Ok(())
}

/// What came from caches elsewhere.
pub(super) fn tell_fetched(fetched: FetchedLayers) {
    if fetched.layers > 0 {
        let size = human_size(fetched.bytes);
        anstream::eprintln!("{} layers fetched from caches ({size})", fetched.layers);
    }
}

/// A cache that cannot be used, or not all of it.
pub(crate) fn unusable(cache: &str, error: &CacheError) -> String {
    warning(&format!("cache `{cache}`: {}", told(error)))
}

fn warning(text: &str) -> String {
    format!("\u{1b}[1;33mwarning\u{1b}[0m: {text}")
}

/// An error with its causes on one line.
fn told(error: &CacheError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
