//! Whether and when a container that ended is started again.
//!
//! Docker's policy (`moby/restartmanager`): 100 ms, doubled up to a minute, from the beginning again after a run of ten seconds.

use std::time::Duration;

use super::time::Millis;
use crate::model::RestartPolicy;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_mins(1);
const GOOD_RUN: Duration = Duration::from_secs(10);

/// When to restart, counted from `finished`; none = never. `attempts` is how often it was restarted in a row.
pub(crate) fn pause(policy: RestartPolicy, code: i32, attempts: u32) -> Option<Duration> {
    let again = match policy {
        RestartPolicy::No => false,
        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        RestartPolicy::OnFailure { attempts: most } => {
            code != 0 && most.is_none_or(|most| attempts < most)
        }
    };
    again.then(|| FIRST.saturating_mul(1 << attempts.min(16)).min(LONGEST))
}

/// How many restarts in a row count after a run that lasted so long.
pub(crate) fn attempts_after(attempts: u32, started: Millis, finished: Millis) -> u32 {
    if finished.since(started) >= GOOD_RUN {
        0
    } else {
        attempts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies() {
        let some = Some(FIRST);
        assert_eq!(pause(RestartPolicy::No, 1, 0), None);
        assert_eq!(pause(RestartPolicy::Always, 0, 0), some);
        assert_eq!(
            pause(RestartPolicy::OnFailure { attempts: None }, 0, 0),
            None
        );
        assert_eq!(
            pause(RestartPolicy::OnFailure { attempts: None }, 3, 0),
            some
        );
        assert_eq!(
            pause(RestartPolicy::OnFailure { attempts: Some(2) }, 3, 2),
            None
        );
    }

    #[test]
    fn the_pause_doubles_to_a_minute_and_starts_again_after_a_good_run() {
        let pauses: Vec<u128> = (0..12)
            .filter_map(|n| pause(RestartPolicy::Always, 1, n))
            .map(|pause| pause.as_millis())
            .collect();
        assert_eq!(pauses[..5], [100, 200, 400, 800, 1600]);
        assert_eq!(pauses[11], 60_000);
        assert_eq!(attempts_after(7, Millis(0), Millis(9_999)), 7);
        assert_eq!(attempts_after(7, Millis(0), Millis(10_000)), 0);
    }
}
