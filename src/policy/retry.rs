//! Retry policy: which attempts are retried, when, and how often.
//!
//! This is the only file that uses the crate `backoff`, and it uses only the arithmetic of [`ExponentialBackoff`]: the
//! loop, the clock, the number of attempts and the deadline are this library's own.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;

use crate::error::FailureClass;
use crate::time::clock;

/// Policy for retrying failed calls.
///
/// These failures are retried:
///
/// | the call | no connection | the connection broke off, or a timeout | 408, 425, 500, 502, 503, 504 | 429, or 403 for a rate limit |
/// |---|---|---|---|---|
/// | `GET`, `HEAD`, `OPTIONS`, `PUT`, `DELETE`, a GraphQL query | yes | yes | yes | yes |
/// | `POST`, `PATCH`, a GraphQL mutation | yes | no | no | yes |
/// | the same, made [idempotent](crate::Request::idempotent) | yes | yes | yes | yes |
/// | a call whose body is a stream that has started | no | no | no | no |
///
/// The delay between two attempts is random, between zero and a bound that doubles with each retry, or `Retry-After` if
/// that is longer. If the next attempt could not start before the call's deadline, the call fails at once, with the
/// last error. All retries of a client share a retry budget, which avoids adding load during an outage of GitHub: about
/// one retry for ten calls.
///
/// Rate limits are separate: a call that GitHub rejected because of one had no effect, and is retried as
/// [`RateLimitPolicy`](crate::policy::rate_limit::RateLimitPolicy) defines.
///
/// ```
/// use std::time::Duration;
/// use octowire::{Client, RetryPolicy};
///
/// # fn example() -> octowire::Result<()> {
/// let retry = RetryPolicy::default().max_attempts(6).max_elapsed(Duration::from_secs(300));
/// let client = Client::builder().retry(retry).build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing before it is given to a client or a call"]
pub struct RetryPolicy {
    max_attempts: u32,
    initial_backoff: Duration,
    max_backoff: Duration,
    max_elapsed: Duration,
    budget_ratio: f64,
    budget_reserve: u32,
}

/// Maximum number of attempts that a policy can set.
const MAX_ATTEMPTS: u32 = 20;
const HOUR: Duration = Duration::from_secs(60 * 60);

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 4,
            initial_backoff: Duration::from_millis(500),
            max_backoff: Duration::from_secs(20),
            max_elapsed: Duration::from_secs(120),
            budget_ratio: 0.1,
            budget_reserve: 10,
        }
    }
}

impl RetryPolicy {
    /// Returns a policy without retries, except after rejections by a rate limit.
    pub fn disabled() -> Self {
        Self { max_attempts: 1, ..Self::default() }
    }

    /// Sets the number of attempts of a call, including the first: 4 by default, from 1 to 20.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.clamp(1, MAX_ATTEMPTS);
        self
    }

    /// Sets the longest delay before the second attempt, and before any: 500 ms and 20 s by default, an hour at most.
    /// With the defaults, the second applies from the seventh retry on.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.max_backoff = longest.min(HOUR);
        self.initial_backoff = first.min(self.max_backoff);
        self
    }

    /// Sets how long after its start a call is retried; two minutes by default. The call's own timeout also ends it,
    /// and is shorter by default; this duration applies to calls with a longer timeout, and to uploads, whose progress
    /// extends that timeout.
    pub fn max_elapsed(mut self, time: Duration) -> Self {
        self.max_elapsed = time;
        self
    }

    /// Sets the retry budget of all calls of the client: a share of its calls (0.1 by default, at most 1), and a
    /// reserve in addition (10 by default), which calls replenish. It has no effect in a single call's policy.
    pub fn retry_budget(mut self, share: f64, reserve: u32) -> Self {
        self.budget_ratio = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        self.budget_reserve = reserve.min(1_000_000);
        self
    }
}

/// The retry budget of a client: a token bucket, counted in thousandths.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    tokens: AtomicU32,
    capacity: u32,
    deposit_amount: u32,
}

/// Thousandths of a token.
const RETRY_COST: u32 = 1000;

impl RetryBudget {
    pub(crate) fn new(policy: &RetryPolicy) -> Self {
        let reserve = policy.budget_reserve.saturating_mul(RETRY_COST);
        // At most 1000, which fits a u32.
        let deposit = (policy.budget_ratio * f64::from(RETRY_COST)) as u32;
        Self {
            tokens: AtomicU32::new(reserve),
            capacity: reserve.max(if deposit > 0 { RETRY_COST } else { 0 }),
            deposit_amount: deposit,
        }
    }

    /// Records a call, which earns a part of a retry.
    pub(crate) fn deposit(&self) {
        let (deposit, capacity) = (self.deposit_amount, self.capacity);
        let add =
            |tokens: u32| (tokens < capacity).then(|| tokens.saturating_add(deposit).min(capacity));
        let _ = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Takes one retry from the budget. Returns whether one was left.
    fn withdraw(&self) -> bool {
        let take = |tokens: u32| tokens.checked_sub(RETRY_COST);
        self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

/// The retry state of one call.
pub(crate) struct CallRetries {
    policy: RetryPolicy,
    backoff: ExponentialBackoff,
    retries: u32,
    /// The number of rejections by a rate limit.
    rate_limit_rejections: u32,
}

/// Maximum number of retries after a rejection by a rate limit. Each waits as the limit requires, so more than a few
/// mean that other clients use the whole quota.
const MAX_RATE_LIMIT_RETRIES: u32 = 8;

/// A failed attempt, as far as the decision about a retry depends on it.
pub(crate) struct AttemptFailure {
    pub(crate) class: FailureClass,
    /// The request can be sent again as a whole, and GitHub has not performed it, or it is idempotent.
    pub(crate) is_repeatable: bool,
    /// The request is idempotent.
    pub(crate) is_idempotent: bool,
    /// The delay after which GitHub can accept another token, if it rejected that of the attempt.
    pub(crate) token_delay: Option<Duration>,
    /// The delay of the response's `Retry-After` header.
    pub(crate) retry_after: Option<Duration>,
    /// GitHub's response is the result of the call if there is no retry, as GraphQL's rejection by a rate limit.
    pub(crate) is_result: bool,
    /// The time since the call started, without its waits for limits.
    pub(crate) elapsed: Duration,
    /// The time until the call's deadline.
    pub(crate) remaining: Duration,
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetryDecision {
    /// Another attempt, after this delay.
    RetryAfter(Duration),
    /// The end of the call: its deadline is not after the end of this delay.
    TooLate(Duration),
    /// The end of the call, with the failure of this attempt.
    Fail,
}

impl CallRetries {
    pub(crate) fn new(policy: RetryPolicy) -> Self {
        // The delay is between zero and twice the interval.
        let backoff = ExponentialBackoff {
            current_interval: clock::halved(policy.initial_backoff),
            initial_interval: clock::halved(policy.initial_backoff),
            max_interval: clock::halved(policy.max_backoff),
            multiplier: 2.0,
            randomization_factor: 1.0,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        Self { policy, backoff, retries: 0, rate_limit_rejections: 0 }
    }

    /// Decides whether another attempt follows a failed one.
    ///
    /// A request that GitHub rejected, because of its token or a rate limit, had no effect, and is sent again whatever
    /// its method. For any other failure the policy decides. A body that cannot be sent again as a whole is never sent
    /// again; nor is a request that GitHub has performed, unless it is idempotent.
    pub(crate) fn decide(
        &mut self,
        failure: &AttemptFailure,
        budget: &RetryBudget,
    ) -> RetryDecision {
        let delay = match failure.class {
            _ if !failure.is_repeatable => None,
            _ if failure.token_delay.is_some() => failure.token_delay,
            FailureClass::RateLimited => {
                self.rate_limit_rejections = self.rate_limit_rejections.saturating_add(1);
                let max = MAX_RATE_LIMIT_RETRIES.saturating_sub(failure.is_result.into());
                // The limits determine the delay.
                (self.rate_limit_rejections <= max).then_some(Duration::ZERO)
            }
            _ => self.backoff_delay(failure, budget),
        };
        match delay {
            Some(delay) if delay < failure.remaining => RetryDecision::RetryAfter(delay),
            Some(delay) => RetryDecision::TooLate(delay),
            None => RetryDecision::Fail,
        }
    }

    /// Returns the delay before a retry by the policy; `None` if there is none. If the retry is in time, it is taken from
    /// the budget.
    fn backoff_delay(
        &mut self,
        failure: &AttemptFailure,
        budget: &RetryBudget,
    ) -> Option<Duration> {
        let class = failure.class;
        let is_safe = class.is_transient() && (failure.is_idempotent || class.is_unsent());
        if self.retries.saturating_add(1) >= self.policy.max_attempts || !is_safe {
            return None;
        }
        // The backoff ends only with a time limit of its own, which it does not have.
        let backoff = self.backoff.next_backoff().unwrap_or(self.policy.max_backoff);
        let delay =
            backoff.min(self.policy.max_backoff).max(failure.retry_after.unwrap_or_default());
        if failure.elapsed.saturating_add(delay) > self.policy.max_elapsed {
            return None;
        }
        if delay >= failure.remaining {
            // There is no retry, so that none is taken from the budget.
            return Some(delay);
        }
        if !budget.withdraw() {
            return None;
        }
        self.retries = self.retries.saturating_add(1);
        Some(delay)
    }
}

/// Returns a random duration around this one, up to this share shorter or longer.
#[cfg(feature = "webhooks")]
pub(crate) fn random_around(time: Duration, share: f64) -> Duration {
    let mut backoff = ExponentialBackoff {
        current_interval: time,
        initial_interval: time,
        max_interval: time,
        multiplier: 1.0,
        randomization_factor: share,
        max_elapsed_time: None,
        ..ExponentialBackoff::default()
    };
    backoff.next_backoff().unwrap_or(time)
}

#[cfg(test)]
mod tests;
