//! How long to wait before a request is tried again.

use std::time::Duration;

use crate::store::random_bytes;

/// Docker's number of tries for a layer.
const TRIES: u32 = 5;
const FIRST: Duration = Duration::from_millis(500);
/// A registry that wants a longer pause than this is not waited for.
const LONGEST: Duration = Duration::from_mins(2);

/// Counts the tries of one piece of work.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failed: u32,
}

impl Backoff {
    /// The pause before the next try: what the registry asked for, else ever longer ones, each changed by chance, so that many
    /// clients that failed together do not come back together. `None`: enough tried, or too long to wait.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.failed += 1;
        if self.failed >= TRIES {
            return None;
        }
        let doubled = FIRST * 2_u32.pow(self.failed - 1);
        // Between half of it and one and a half.
        let chance = u32::from(u8::from_ne_bytes(random_bytes()));
        let pause = asked.unwrap_or(doubled / 2 + doubled * chance / 255);
        (pause <= LONGEST).then_some(pause)
    }

    /// Something moved: failures before it do not count any more.
    pub(super) fn reset(&mut self) {
        self.failed = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let mut backoff = Backoff::default();
        for attempt in 0..TRIES - 1 {
            let pause = backoff.next(None).unwrap();
            let middle = FIRST * 2_u32.pow(attempt);
            assert!(pause >= middle / 2 && pause <= middle * 3 / 2, "{pause:?}");
        }
        assert_eq!(backoff.next(None), None);
        backoff.reset();
        assert_eq!(backoff.next(Some(Duration::ZERO)), Some(Duration::ZERO));
        assert_eq!(backoff.next(Some(Duration::from_hours(1))), None);
    }
}
