//! How tokens are kept: when they are renewed, and what happens when that fails.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::time::Duration;

use crate::clock;

/// How a client keeps its tokens. Every value has a default that suits GitHub.
///
/// ```
/// use std::time::Duration;
/// use octowire::Client;
/// use octowire::auth::TokenPolicy;
///
/// # fn example() -> octowire::Result<()> {
/// let policy = TokenPolicy::default().margin(Duration::from_secs(300));
/// let client = Client::builder().token("ghp_…").token_policy(policy).build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a policy does nothing before it is given to a client"]
pub struct TokenPolicy {
    pub(crate) margin: Duration,
    pub(crate) jitter: Duration,
    pub(crate) attempts: u32,
    pub(crate) first_delay: Duration,
    pub(crate) longest_delay: Duration,
    pub(crate) max_age: Option<Duration>,
    pub(crate) max_installations: usize,
}

const MAX_AGE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

impl Default for TokenPolicy {
    fn default() -> Self {
        Self {
            margin: Duration::from_secs(60),
            jitter: Duration::from_secs(30),
            attempts: 3,
            first_delay: Duration::from_secs(1),
            longest_delay: Duration::from_secs(60),
            max_age: Some(MAX_AGE),
            max_installations: 15_000,
        }
    }
}

impl TokenPolicy {
    /// How long before its end a token is renewed; 60 s by default. Calls go on with the old one
    /// meanwhile. Of a token that lives short it is at most half the life.
    pub fn margin(mut self, margin: Duration) -> Self {
        self.margin = margin;
        self
    }

    /// Up to how much earlier still, by chance, so that a fleet does not renew at once; 30 s by
    /// default.
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// How often a token is asked for before the calls that wait for it fail, if the failure is
    /// one that may pass; 3 by default, and at least 1. All of them together may take five minutes: if the
    /// [wait](Self::delays) before the next one is longer than what is left of these, the calls fail at once.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// The waits between attempts: the first, 1 s by default, then twice as long each time up to
    /// the longest, 60 s by default, and a day at most. After the last attempt the same waits go on: calls in between
    /// fail at once with the last error, or go on with the token that is still good.
    pub fn delays(mut self, first: Duration, longest: Duration) -> Self {
        self.first_delay = first.min(LONGEST_DELAY);
        self.longest_delay = longest.max(first).min(LONGEST_DELAY);
        self
    }

    /// The age from which on a credential is warned about, once a day, as a `tracing` event of the
    /// level WARN; 90 days by default, `None` for never. See
    /// [`TokenSource::created_at`](super::TokenSource::created_at).
    pub fn max_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.max_age = age.into();
        self
    }

    /// How many installations' tokens are kept in memory; 15,000 by default, and at least 1. The
    /// one that was not used for longest is dropped first, and minted again when it is needed.
    pub fn max_installations(mut self, count: usize) -> Self {
        self.max_installations = count.max(1);
        self
    }

    pub(crate) fn longest_delay(&self) -> Duration {
        self.longest_delay
    }

    /// The wait after this many failures in a row, counted from 1, without jitter.
    pub(crate) fn delay(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first_delay.saturating_mul(factor).min(self.longest_delay)
    }
}

const LONGEST_DELAY: Duration = Duration::from_secs(24 * 60 * 60);
/// More than any jitter that makes sense, and far from what a `Duration` overflows by.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A random part of the duration, from none to all of it, and a year at most.
pub(crate) fn some_of(duration: Duration) -> Duration {
    // Without randomness the jitter is none: what it spreads works without it.
    let random = getrandom::u32().unwrap_or(0);
    duration.min(YEAR).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// The duration, and a random part of it, of up to a quarter.
pub(crate) fn with_jitter(duration: Duration) -> Duration {
    duration.saturating_add(some_of(clock::half(clock::half(duration))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn delays_double_up_to_the_longest() {
        let policy = TokenPolicy::default().delays(SECOND, 10 * SECOND);
        let delays: Vec<_> = (1..=6).map(|failures| policy.delay(failures).as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 10, 10]);
    }

    proptest! {
        #[test]
        fn no_delay_leaves_its_bounds(first in 0_u64..1_000_000, longest in 0_u64..1_000_000, failures: u32) {
            let (first, longest) = (Duration::from_millis(first), Duration::from_millis(longest));
            let delay = TokenPolicy::default().delays(first, longest).delay(failures);
            prop_assert!(delay >= first.min(longest) && delay <= longest.max(first));
        }

        #[test]
        fn jitter_is_at_most_the_whole(milliseconds in 0_u64..u64::MAX / 4) {
            let whole = Duration::from_millis(milliseconds);
            prop_assert!(some_of(whole) <= whole);
        }
    }
}
