//! Cancellation: a flag that can be asked, and hooks for work that only waits.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Callback = Box<dyn FnOnce() + Send>;

/// Asked to stop? Clones share one state.
#[derive(Clone, Default)]
pub struct Cancel(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    cancelled: bool,
    next: u64,
    hooks: BTreeMap<u64, Callback>,
}

impl Cancel {
    /// Whether the work should stop.
    pub fn is_cancelled(&self) -> bool {
        self.state().cancelled
    }

    /// Stops the work: calls every hook once, in the order they were set.
    pub fn cancel(&self) {
        let hooks = {
            let mut state = self.state();
            state.cancelled = true;
            std::mem::take(&mut state.hooks)
        };
        for (_, hook) in hooks {
            hook();
        }
    }

    /// Calls `callback` when the work is cancelled, at once if it is already; never after the [`Hook`] was dropped.
    pub fn on_cancel(&self, callback: impl FnOnce() + Send + 'static) -> Hook {
        let mut state = self.state();
        if state.cancelled {
            drop(state);
            callback();
            return Hook {
                cancel: self.clone(),
                number: u64::MAX,
            };
        }
        let number = state.next;
        state.next += 1;
        state.hooks.insert(number, Box::new(callback));
        Hook {
            cancel: self.clone(),
            number,
        }
    }

    // A panicking hook leaves nothing half done in the state.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Cancel")
            .field("cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}

/// A callback set by [`Cancel::on_cancel`]; dropping it takes the callback away.
#[derive(Debug)]
#[must_use = "dropping the hook takes the callback away"]
pub struct Hook {
    cancel: Cancel,
    number: u64,
}

impl Drop for Hook {
    fn drop(&mut self) {
        let removed = self.cancel.state().hooks.remove(&self.number);
        drop(removed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn hooks_run_once_and_not_after_they_were_dropped() {
        let cancel = Cancel::default();
        let calls = Arc::new(AtomicUsize::new(0));
        let count = |by: usize| {
            let calls = Arc::clone(&calls);
            move || {
                calls.fetch_add(by, Ordering::SeqCst);
            }
        };
        let kept = cancel.on_cancel(count(1));
        drop(cancel.on_cancel(count(10)));
        cancel.cancel();
        cancel.cancel();
        let late = cancel.on_cancel(count(100));
        assert_eq!(calls.load(Ordering::SeqCst), 101);
        assert!(cancel.is_cancelled());
        drop((kept, late));
    }
}
