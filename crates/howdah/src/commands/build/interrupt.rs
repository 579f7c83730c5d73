//! Ctrl-C and SIGTERM: the first stops the build gracefully, the second now.

use howdah_build::Cancel;

use crate::commands::CommandError;
use crate::commands::signals::{Watch, end_by};

/// A cancel that the next signal fires, as long as the watch lives. To be called before any other thread is started.
pub(super) fn cancel_on_signal() -> Result<(Cancel, Watch), CommandError> {
    let cancel = Cancel::default();
    let fired = cancel.clone();
    let mut is_first = true;
    let watch = Watch::start(move |signal| {
        if std::mem::take(&mut is_first) {
            fired.cancel();
        } else {
            end_by(signal);
        }
    })?;
    Ok((cancel, watch))
}
