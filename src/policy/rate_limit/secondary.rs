//! The pause after GitHub reports that a secondary limit was reached.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::time::Duration;

use tokio::time::Instant;

use crate::time::clock::saturating_after;

/// The pause of an identity. It ends with a probe: one call that is admitted alone.
///
/// See GitHub's
/// [rules](https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit).
#[derive(Clone, Debug, Default)]
pub(crate) struct SecondaryLimitBackoff {
    /// `None` until GitHub reports a limit, and again once a call has a response after the pause. In a box, since most
    /// identities never reach a limit.
    pause: Option<Box<Pause>>,
}

#[derive(Clone, Debug)]
struct Pause {
    /// The number of consecutive pauses.
    consecutive: u32,
    started_at: Instant,
    until: Instant,
    /// Whether the probe is in flight.
    probing: bool,
}

/// Why the pause blocks a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BackoffState {
    Until(Instant),
    /// Until the probe has a response.
    Probe,
}

/// GitHub requires at least a minute if the response gives no time.
const INITIAL_BACKOFF: Duration = Duration::from_secs(60);
const MAX_BACKOFF: Duration = Duration::from_secs(60 * 60);
/// The longest time that GitHub can request. The client applies it up to this bound.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

impl SecondaryLimitBackoff {
    pub(crate) fn pause(&self, now: Instant) -> Option<BackoffState> {
        let pause = self.pause.as_ref()?;
        if pause.until > now {
            return Some(BackoffState::Until(pause.until));
        }
        pause.probing.then_some(BackoffState::Probe)
    }

    /// Returns whether a call that is admitted now is the probe.
    pub(crate) fn start_probe(&mut self) -> bool {
        if let Some(pause) = &mut self.pause {
            pause.probing = true;
        }
        self.pause.is_some()
    }

    /// Records that a call that was admitted at that time reached a secondary limit. Returns the pause, if it is a new
    /// one.
    pub(crate) fn trigger(
        &mut self,
        now: Instant,
        admitted_at: Instant,
        asked: Option<Duration>,
    ) -> Option<Duration> {
        let asked = asked.map(|time| time.min(MAX_RETRY_AFTER));
        // One of many calls in flight: together they exceeded the limit once.
        if let Some(known) = self.pause.as_mut().filter(|known| admitted_at <= known.started_at) {
            if let Some(time) = asked {
                known.until = known.until.max(saturating_after(now, time));
            }
            return None;
        }
        let before = self.pause.as_ref().map_or(0, |before| before.consecutive);
        let doubled = INITIAL_BACKOFF.saturating_mul(1_u32.checked_shl(before).unwrap_or(u32::MAX));
        let pause = asked.unwrap_or(doubled.min(MAX_BACKOFF));
        let until = saturating_after(now, pause);
        let until = self.pause.as_ref().map_or(until, |before| before.until.max(until));
        self.pause = Some(Box::new(Pause {
            consecutive: before.saturating_add(1),
            started_at: now,
            until,
            probing: false,
        }));
        Some(pause)
    }

    /// Returns the end of the pause, and the number of consecutive pauses; `None` once a call has a response after it.
    pub(crate) fn current(&self) -> Option<(Instant, u32)> {
        self.pause.as_ref().map(|pause| (pause.until, pause.consecutive))
    }

    /// Adopts a pause that another client of this identity reported.
    pub(crate) fn merge(&mut self, now: Instant, ends_in: Duration, level: u32) {
        let until = saturating_after(now, ends_in.min(MAX_RETRY_AFTER));
        let reported = Pause { consecutive: level, started_at: now, until, probing: false };
        let pause = self.pause.get_or_insert_with(|| Box::new(reported));
        pause.until = pause.until.max(until);
        pause.started_at = pause.started_at.max(now);
        pause.consecutive = pause.consecutive.max(level);
    }

    /// Records the end of the probe, with any outcome.
    pub(crate) fn end_probe(&mut self) {
        if let Some(pause) = &mut self.pause {
            pause.probing = false;
        }
    }

    /// Records any other response, or none.
    pub(crate) fn on_response(&mut self, admitted_at: Instant, reply: bool) {
        let after = self.pause.as_ref().is_some_and(|pause| admitted_at >= pause.until);
        if reply && after {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_double_until_a_call_has_a_response() {
        let start = Instant::now();
        let mut penalty = SecondaryLimitBackoff::default();
        assert_eq!(penalty.trigger(start, start, None), Some(60 * SECOND));
        let then = start + 60 * SECOND;
        assert_eq!(penalty.pause(then - SECOND), Some(BackoffState::Until(then)));
        assert_eq!(penalty.pause(then), None);
        assert!(penalty.start_probe());
        assert_eq!(penalty.pause(then), Some(BackoffState::Probe));
        assert_eq!(penalty.trigger(then + SECOND, then, None), Some(120 * SECOND));
        let then = then + 121 * SECOND;
        assert!(penalty.pause(then).is_none() && penalty.start_probe());
        penalty.end_probe();
        penalty.on_response(then, true);
        assert_eq!(penalty.pause(then), None);
        assert!(!penalty.start_probe());
        assert_eq!(penalty.trigger(then, then, None), Some(60 * SECOND));
    }

    #[test]
    fn calls_that_were_in_flight_are_one_overrun() {
        let start = Instant::now();
        let mut penalty = SecondaryLimitBackoff::default();
        assert_eq!(penalty.trigger(start + SECOND, start, Some(10 * SECOND)), Some(10 * SECOND));
        assert_eq!(penalty.trigger(start + SECOND, start, Some(30 * SECOND)), None);
        assert_eq!(penalty.pause(start), Some(BackoffState::Until(start + 31 * SECOND)));
        // The success of one of them shows nothing.
        penalty.on_response(start, true);
        assert!(penalty.pause(start).is_some());
    }

    #[test]
    fn a_probe_rejected_during_a_pause_of_other_calls_allows_the_next_probe() {
        let start = Instant::now();
        let mut penalty = SecondaryLimitBackoff::default();
        penalty.trigger(start, start, Some(SECOND));
        assert!(penalty.start_probe());
        penalty.merge(start + 2 * SECOND, SECOND, 2);
        assert_eq!(penalty.trigger(start + 2 * SECOND, start + SECOND, None), None);
        penalty.end_probe();
        assert_eq!(penalty.pause(start + 3 * SECOND), None);
        assert!(penalty.start_probe());
    }

    #[test]
    fn a_probe_that_is_dropped_lets_another_go() {
        let start = Instant::now();
        let mut penalty = SecondaryLimitBackoff::default();
        penalty.trigger(start, start, Some(SECOND));
        let then = start + SECOND;
        assert!(penalty.start_probe());
        penalty.end_probe();
        penalty.on_response(then, false);
        assert_eq!(penalty.pause(then), None);
        assert!(penalty.start_probe());
    }

    proptest! {
        /// Whatever time GitHub requests, and however often, a pause ends within a day.
        #[test]
        fn pauses_are_bounded(asked in prop::collection::vec(any::<Option<u64>>(), 1..80)) {
            let start = Instant::now();
            let mut now = start;
            let mut penalty = SecondaryLimitBackoff::default();
            for seconds in asked {
                let pause = penalty.trigger(now, now, seconds.map(Duration::from_secs));
                prop_assert!(pause.unwrap_or_default() <= MAX_RETRY_AFTER);
                now += pause.unwrap_or_default() + SECOND;
                prop_assert_eq!(penalty.pause(now), None);
            }
        }
    }
}
