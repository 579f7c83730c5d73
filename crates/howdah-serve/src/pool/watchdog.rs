//! Requests that take too long, and workers that have served enough.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::cards::Cards;
use super::dispatch::Dispatch;
use super::logs;
use super::metrics::count;
use super::worker::{Card, Phase};

/// For PHP to say where it is before it is killed; on a busy machine it may have to wait for a processor.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Asks slow workers where they are, kills those whose time is over.
pub(super) fn look_after(cards: &Cards, dispatch: &Dispatch) {
    let config = &dispatch.config;
    if config.slow_after.is_none() && config.request_timeout.is_none() {
        return;
    }
    for card in cards.list() {
        look_at(&card, dispatch);
    }
}

fn look_at(card: &Card, dispatch: &Dispatch) {
    let config = &dispatch.config;
    let mut phase = card.phase();
    let Phase::Busy(busy) = &mut *phase else {
        return;
    };
    let taken = busy.since.elapsed();
    let is_over = config.request_timeout.is_some_and(|limit| taken >= limit);
    let is_slow = config.slow_after.is_some_and(|limit| taken >= limit);
    if is_over && !card.overdue.swap(true, Ordering::AcqRel) {
        count(&dispatch.metrics.timeouts);
        busy.asked = Some(Instant::now());
        card.ask_where();
    } else if is_over {
        let is_mute = busy.asked.is_none_or(|asked| asked.elapsed() >= LAST_WORDS);
        drop(phase);
        if is_mute {
            logs::killed(&dispatch.log, card, "");
        }
        if card.told.load(Ordering::Acquire) {
            card.kill();
        }
    } else if is_slow && busy.asked.is_none() {
        count(&dispatch.metrics.slow);
        busy.asked = Some(Instant::now());
        card.ask_where();
    }
}

/// How many requests this worker serves: less than a tenth fewer than asked for, so that not all are replaced at one time.
pub(super) fn request_limit(max_requests: Option<u64>, pid: i32) -> u64 {
    let Some(most) = max_requests else {
        return u64::MAX;
    };
    let spread = most / 10;
    // Neighbouring process ids come far apart (Knuth's multiplicative hash).
    let scattered = u64::from(pid.unsigned_abs().wrapping_mul(2_654_435_761));
    most - ((scattered * spread) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_not_replaced_all_at_once() {
        assert_eq!(request_limit(None, 1), u64::MAX);
        assert_eq!(request_limit(Some(5), 77), 5);
        let limits: Vec<u64> = (100..110)
            .map(|pid| request_limit(Some(1000), pid))
            .collect();
        assert!(
            limits.iter().all(|limit| (900..=1000).contains(limit)),
            "{limits:?}"
        );
        let mut distinct = limits.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert!(distinct.len() > 8, "{limits:?}");
    }
}
