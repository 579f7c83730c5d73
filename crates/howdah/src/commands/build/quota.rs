//! The build cache's quota, kept after builds.

use howdah_build::{Built, SizeLimits, disk_limits, keep_quota};
use howdah_image::Store;

use crate::commands::CommandError;
use crate::commands::cache::filter;
use crate::commands::display::human_size;

/// Without a flag, this variable says how large the cache may be.
const VARIABLE: &str = "HOWDAH_CACHE_QUOTA";

/// Keeps the cache within its quota after a build that made something. A build does not fail because this does.
pub(crate) fn keep(store: &Store, built: &Built, quota: Option<u64>) {
    if built.counts.executed == 0 {
        return;
    }
    let now = jiff::Timestamp::now().as_millisecond();
    let kept = limits(store, quota).and_then(|limits| Ok(keep_quota(store, &limits, now)?));
    match kept {
        Ok(Some(pruned)) if !pruned.items.is_empty() => {
            let size = human_size(pruned.bytes);
            anstream::eprintln!(
                "build cache: {} results removed, {size} freed",
                pruned.items.len()
            );
        }
        Ok(_) => {}
        Err(error) => {
            error
                .about("the image is built, but the build cache could not be kept within its quota")
                .report();
        }
    }
}

fn limits(store: &Store, quota: Option<u64>) -> Result<SizeLimits, CommandError> {
    let quota = match (quota, std::env::var_os(VARIABLE)) {
        (Some(quota), _) => Some(quota),
        (None, Some(text)) => {
            let size = filter::size(&text.to_string_lossy());
            Some(size.map_err(|wrong| CommandError::new(format!("{VARIABLE}: {wrong}")))?)
        }
        (None, None) => None,
    };
    match quota {
        Some(most) => Ok(SizeLimits {
            most,
            ..SizeLimits::default()
        }),
        None => Ok(disk_limits(store.root())?),
    }
}
