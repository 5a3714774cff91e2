//! Token policy: when tokens are refreshed, and how failures are handled.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::time::Duration;

use crate::time::clock;

/// How a client refreshes its tokens. The defaults suit GitHub.
///
/// ```
/// use std::time::Duration;
/// use octowire::Client;
/// use octowire::auth::TokenPolicy;
///
/// # fn example() -> octowire::Result<()> {
/// let policy = TokenPolicy::default().refresh_before_expiry(Duration::from_secs(300));
/// let client = Client::builder().token("ghp_…").token_policy(policy).build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a policy does nothing before it is given to a client"]
pub struct TokenPolicy {
    pub(crate) refresh_before_expiry: Duration,
    pub(crate) refresh_jitter: Duration,
    pub(crate) max_attempts: u32,
    pub(crate) initial_backoff: Duration,
    pub(crate) max_backoff: Duration,
    pub(crate) credential_max_age: Option<Duration>,
    pub(crate) max_cached_installations: usize,
}

const DEFAULT_CREDENTIAL_MAX_AGE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

impl Default for TokenPolicy {
    fn default() -> Self {
        Self {
            refresh_before_expiry: Duration::from_secs(60),
            refresh_jitter: Duration::from_secs(30),
            max_attempts: 3,
            initial_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(60),
            credential_max_age: Some(DEFAULT_CREDENTIAL_MAX_AGE),
            max_cached_installations: 15_000,
        }
    }
}

impl TokenPolicy {
    /// Sets how long before it expires a token is refreshed; 60 s by default. Meanwhile, calls continue with the
    /// previous token. For a token with a short lifetime, it is at most half the lifetime.
    pub fn refresh_before_expiry(mut self, margin: Duration) -> Self {
        self.refresh_before_expiry = margin;
        self
    }

    /// Sets the jitter: up to how much earlier a token is refreshed, so that a fleet does not refresh at once; 30 s by
    /// default.
    pub fn refresh_jitter(mut self, jitter: Duration) -> Self {
        self.refresh_jitter = jitter;
        self
    }

    /// Sets how often a token is requested before the calls that wait for it fail, if the failure is retryable; 3 by
    /// default, and at least 1. All attempts together take at most five minutes: if the [delay](Self::backoff) before
    /// the next attempt is longer than the remaining time, the calls fail at once.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }

    /// Sets the delays between attempts: the first, 1 s by default, then twice as long each time up to the longest, 60
    /// s by default, and a day at most. After the last attempt, the same delays apply: calls in between fail at once
    /// with the last error, or continue with a token that has not expired.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.initial_backoff = first.min(MAX_BACKOFF);
        self.max_backoff = longest.max(first).min(MAX_BACKOFF);
        self
    }

    /// Sets the age from which the client warns about a credential, once a day, as a `tracing` event of the level WARN;
    /// 90 days by default, `None` for never. See [`TokenProvider::credential_created_at`](super::TokenProvider::credential_created_at).
    pub fn credential_max_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.credential_max_age = age.into();
        self
    }

    /// Sets how many installations' tokens are kept in memory; 15,000 by default, and at least 1. The client evicts the
    /// least recently used one first, and requests it again when it is needed.
    pub fn max_cached_installations(mut self, count: usize) -> Self {
        self.max_cached_installations = count.max(1);
        self
    }

    /// Returns the delay after this many consecutive failures, counted from 1, without jitter.
    pub(crate) fn backoff_after(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.initial_backoff.saturating_mul(factor).min(self.max_backoff)
    }
}

const MAX_BACKOFF: Duration = Duration::from_secs(24 * 60 * 60);
/// More than any useful jitter, and far below the overflow of a `Duration`.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Returns a random part of the duration, from zero to all of it, and a year at most.
pub(crate) fn random_fraction(duration: Duration) -> Duration {
    // Without a random number the jitter is zero: it only spreads clients in time.
    let random = getrandom::u32().unwrap_or(0);
    duration.min(YEAR).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// Returns a random duration from half of this one to all of it, so that waiting tasks do not retry at once.
#[cfg(feature = "encrypted-token-store")]
pub(crate) fn at_least_half(duration: Duration) -> Duration {
    let half = clock::halved(duration);
    half.saturating_add(random_fraction(half))
}

/// Returns the duration plus a random part of up to a quarter of it.
pub(crate) fn with_jitter(duration: Duration) -> Duration {
    duration.saturating_add(random_fraction(clock::halved(clock::halved(duration))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn delays_double_up_to_the_longest() {
        let policy = TokenPolicy::default().backoff(SECOND, 10 * SECOND);
        let delays: Vec<_> =
            (1..=6).map(|failures| policy.backoff_after(failures).as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 10, 10]);
    }

    proptest! {
        #[test]
        fn no_delay_leaves_its_bounds(first in 0_u64..1_000_000, longest in 0_u64..1_000_000, failures: u32) {
            let (first, longest) = (Duration::from_millis(first), Duration::from_millis(longest));
            let delay = TokenPolicy::default().backoff(first, longest).backoff_after(failures);
            prop_assert!(delay >= first.min(longest) && delay <= longest.max(first));
        }

        #[test]
        fn jitter_is_at_most_the_whole(milliseconds in 0_u64..u64::MAX / 4) {
            let whole = Duration::from_millis(milliseconds);
            prop_assert!(random_fraction(whole) <= whole);
        }
    }
}
