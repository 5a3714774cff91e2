//! The retry schedule of failed deliveries.

use std::time::Duration;

use crate::policy::retry::random_around;

/// The delays between the handling attempts of a delivery: [`WebhookReceiverBuilder::retry`].
///
/// There is one attempt more than there are delays, and nothing else bounds their number or their time: the schedule
/// ends with its last delay. The default is 5 s, 30 s, 2 min and 5 min, which makes five attempts over more than seven
/// minutes, so that a restart of the handler's dependencies, such as a database, loses no delivery. Each delay is
/// random, up to 20 % shorter or longer, so that deliveries that failed together are not retried together.
///
/// ```
/// use std::time::Duration;
/// use octowire::webhooks::RetrySchedule;
///
/// // Two more attempts, after about 1 s and about 10 s.
/// let schedule = RetrySchedule::new([1, 10].map(Duration::from_secs)).jitter(0.1);
/// assert_eq!(schedule.attempts(), 3);
/// ```
///
/// [`WebhookReceiverBuilder::retry`]: super::WebhookReceiverBuilder::retry
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a schedule does nothing before it is given to a receiver"]
pub struct RetrySchedule {
    pauses: Vec<Duration>,
    jitter: f64,
}

/// Maximum number of delays in a schedule; further ones are ignored.
const MAX_PAUSES: usize = 20;
/// The longest delay.
const MAX_PAUSE: Duration = Duration::from_secs(60 * 60);
const DEFAULT_JITTER: f64 = 0.2;

impl Default for RetrySchedule {
    fn default() -> Self {
        Self::new([5, 30, 120, 300].map(Duration::from_secs))
    }
}

impl RetrySchedule {
    /// Creates a schedule of these delays, in their order: 20 at most, of an hour each at most.
    pub fn new(pauses: impl IntoIterator<Item = Duration>) -> Self {
        let pauses = pauses.into_iter().take(MAX_PAUSES).map(|pause| pause.min(MAX_PAUSE));
        Self { pauses: pauses.collect(), jitter: DEFAULT_JITTER }
    }

    /// Creates a schedule with a single attempt.
    pub fn disabled() -> Self {
        Self::new([])
    }

    /// Sets how far a delay can differ from the schedule, as a share of it: 0.2 by default, from 0 to 1.
    pub fn jitter(mut self, share: f64) -> Self {
        self.jitter = if share.is_finite() { share.clamp(0.0, 1.0) } else { DEFAULT_JITTER };
        self
    }

    /// Returns the number of attempts, including the first.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.pauses.len() + 1
    }

    /// Returns a random delay after this attempt, which counts from 1. Returns `None` after the last one.
    pub(super) fn pause(&self, attempt: u32) -> Option<Duration> {
        let index = usize::try_from(attempt.checked_sub(1)?).ok()?;
        let pause = *self.pauses.get(index)?;
        Some(random_around(pause, self.jitter))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_default_spreads_five_attempts_over_more_than_six_minutes() {
        let schedule = RetrySchedule::default();
        assert_eq!(schedule.attempts(), 5);
        for _ in 0..200 {
            let pauses: Vec<_> = (1..).map_while(|attempt| schedule.pause(attempt)).collect();
            assert_eq!(pauses.len(), 4);
            for (pause, expected) in pauses.iter().zip([5.0, 30.0, 120.0, 300.0]) {
                let ratio = pause.as_secs_f64() / expected;
                assert!((0.79..=1.21).contains(&ratio), "{pauses:?}");
            }
        }
    }

    #[test]
    fn each_bound_binds() {
        let many = RetrySchedule::new(vec![Duration::from_secs(1); 100]);
        assert_eq!(many.attempts(), MAX_PAUSES + 1);
        let long = RetrySchedule::new([Duration::MAX]).jitter(0.0);
        assert_eq!(long.pause(1), Some(MAX_PAUSE));
        assert_eq!(RetrySchedule::disabled().pause(1), None);
        assert_eq!(RetrySchedule::default().jitter(f64::NAN), RetrySchedule::default());
        assert_eq!(RetrySchedule::default().jitter(9.0), RetrySchedule::default().jitter(1.0));
    }

    proptest! {
        /// Every schedule has all its attempts, with the scheduled delays.
        #[test]
        fn nothing_but_its_end_cuts_a_schedule_off(
            millis in proptest::collection::vec(0_u64..4_000_000, 0..20),
            jitter in 0.0..1.0_f64,
        ) {
            let pauses: Vec<_> = millis.iter().copied().map(Duration::from_millis).collect();
            let schedule = RetrySchedule::new(pauses.clone()).jitter(jitter);
            for (index, pause) in pauses.iter().enumerate() {
                let drawn = schedule.pause(index as u32 + 1).unwrap();
                let expected = (*pause).min(MAX_PAUSE).as_secs_f64();
                let off = (drawn.as_secs_f64() - expected).abs();
                prop_assert!(off <= expected * jitter + 0.01, "{drawn:?} {expected}");
            }
            prop_assert_eq!(schedule.pause(pauses.len() as u32 + 1), None);
        }
    }
}
