//! Which failures are retried, when, and how often.

use http::HeaderMap;
use proptest::prelude::*;

use super::*;
use crate::error::{Error, ErrorKind};
use crate::headers::retry_after::retry_after;

const SECOND: Duration = Duration::from_secs(1);

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
        .collect()
}

fn broken() -> Error {
    Error::new(ErrorKind::Transport, "broken")
}

/// Returns the failure of an idempotent call with this error.
fn failed(error: &Error) -> AttemptFailure {
    AttemptFailure {
        class: error.class(),
        is_repeatable: true,
        is_idempotent: true,
        token_delay: None,
        retry_after: error.headers().and_then(retry_after),
        is_result: false,
        elapsed: Duration::ZERO,
        remaining: HOUR,
    }
}

/// Returns the delay before the next attempt, if there is one.
fn next(
    retries: &mut CallRetries,
    failure: &AttemptFailure,
    budget: &RetryBudget,
) -> Option<Duration> {
    match retries.decide(failure, budget) {
        RetryDecision::RetryAfter(delay) => Some(delay),
        RetryDecision::TooLate(_) | RetryDecision::Fail => None,
    }
}

/// A rejection by a rate limit is retried eight times, and once less if the last rejection is the result.
#[test]
fn rejections_by_a_rate_limit_are_retried_a_bounded_number_of_times() {
    let budget = RetryBudget::new(&RetryPolicy::disabled().retry_budget(0.0, 0));
    for (is_result, most) in [(false, 8), (true, 7)] {
        let mut retries = CallRetries::new(RetryPolicy::disabled());
        let rejected = AttemptFailure {
            class: FailureClass::RateLimited,
            is_idempotent: false,
            is_result,
            ..failed(&broken())
        };
        let delays = std::iter::from_fn(|| next(&mut retries, &rejected, &budget));
        assert_eq!(delays.collect::<Vec<_>>(), vec![Duration::ZERO; most]);
    }
}

/// A token that GitHub can accept later is no failure of the policy, but the request has to be repeatable.
#[test]
fn a_rejected_token_is_retried_without_the_policy_if_the_request_can_be_repeated() {
    let budget = RetryBudget::new(&RetryPolicy::disabled().retry_budget(0.0, 0));
    let decide = |is_repeatable, token_delay, remaining| {
        let rejected = AttemptFailure {
            class: FailureClass::Denied,
            is_repeatable,
            is_idempotent: false,
            token_delay,
            remaining,
            ..failed(&broken())
        };
        CallRetries::new(RetryPolicy::disabled()).decide(&rejected, &budget)
    };
    assert_eq!(decide(true, Some(SECOND), HOUR), RetryDecision::RetryAfter(SECOND));
    assert_eq!(decide(true, Some(SECOND), SECOND), RetryDecision::TooLate(SECOND));
    assert_eq!(decide(true, None, HOUR), RetryDecision::Fail, "no other token");
    assert_eq!(decide(false, Some(SECOND), HOUR), RetryDecision::Fail, "the body is gone");
}

#[test]
fn attempts_are_counted_and_pauses_grow_to_their_bound() {
    let error = broken();
    let policy = RetryPolicy::default().max_attempts(20).max_elapsed(HOUR);
    let budget = RetryBudget::new(&policy.clone().retry_budget(0.0, 100));
    let mut bounds = Vec::new();
    for _ in 0..200 {
        let budget = RetryBudget::new(&policy.clone().retry_budget(0.0, 100));
        let mut retries = CallRetries::new(policy.clone());
        let pauses: Vec<_> =
            std::iter::from_fn(|| next(&mut retries, &failed(&error), &budget)).collect();
        assert_eq!(pauses.len(), 19);
        bounds.resize(19, Duration::ZERO);
        for (bound, pause) in bounds.iter_mut().zip(pauses) {
            *bound = pause.max(*bound);
        }
    }
    for (number, bound) in bounds.iter().enumerate().take(5) {
        let most = Duration::from_millis(500 << number);
        assert!(*bound <= most && *bound > most * 8 / 10, "{number}: {bound:?}");
    }
    assert!(bounds.iter().all(|bound| *bound <= 20 * SECOND), "{bounds:?}");
    let mut disabled = CallRetries::new(RetryPolicy::disabled());
    assert!(next(&mut disabled, &failed(&error), &budget).is_none());
}

#[test]
fn retries_are_a_tenth_of_the_calls_and_a_reserve() {
    let budget = RetryBudget::new(&RetryPolicy::default());
    let mut made = 0;
    for _ in 0..1000 {
        budget.deposit();
        while budget.withdraw() {
            made += 1;
        }
    }
    // The first call finds a full reserve.
    assert_eq!(made, 10 + 99);
    let none = RetryBudget::new(&RetryPolicy::default().retry_budget(0.0, 0));
    none.deposit();
    assert!(!none.withdraw());
    let no_reserve = RetryBudget::new(&RetryPolicy::default().retry_budget(0.5, 0));
    no_reserve.deposit();
    assert!(!no_reserve.withdraw());
    no_reserve.deposit();
    assert!(no_reserve.withdraw());
}

/// A failure mode of calls, and the limits of its retries.
#[derive(Clone, Copy, Debug)]
struct Situation {
    attempts: u32,
    within: Duration,
    left: Duration,
    reserve: u32,
    /// The `Retry-After` of each response.
    asked: u64,
    /// The duration of an attempt.
    takes: Duration,
}

impl Situation {
    /// Returns the number of retries.
    fn retries(self) -> u32 {
        let policy = RetryPolicy::default().max_attempts(self.attempts).max_elapsed(self.within);
        let budget = RetryBudget::new(&policy.clone().retry_budget(0.0, self.reserve));
        let mut retries = CallRetries::new(policy);
        let asked = headers(&[("retry-after", &self.asked.to_string())]);
        let error = broken().with_response(http::StatusCode::BAD_GATEWAY, asked);
        let (mut made, mut elapsed) = (0, self.takes);
        loop {
            let left = self.left.saturating_sub(elapsed);
            let failed = AttemptFailure { elapsed, remaining: left, ..failed(&error) };
            let Some(pause) = next(&mut retries, &failed, &budget) else { return made };
            made += 1;
            elapsed += pause + self.takes;
        }
    }
}

/// For each limit, one case in which it alone decides: raising it adds retries, and raising any other does not.
#[test]
fn each_limit_binds_somewhere() {
    let default = Situation {
        attempts: 4,
        within: 120 * SECOND,
        left: 120 * SECOND,
        reserve: 10,
        asked: 0,
        takes: Duration::ZERO,
    };
    let relaxed = |of: Situation, limit: &str| match limit {
        "attempts" => Situation { attempts: 20, ..of },
        "within" => Situation { within: 24 * HOUR, ..of },
        "the call's timeout" => Situation { left: 24 * HOUR, ..of },
        _ => Situation { reserve: 1_000, ..of },
    };
    let limits = ["attempts", "within", "the call's timeout", "the budget"];
    for (binding, situation) in [
        // The server fails at once each time.
        ("attempts", default),
        // The server requests a delay of 50 s, and the caller has a long deadline.
        ("within", Situation { asked: 50, left: HOUR, ..default }),
        // The caller has a short deadline.
        ("the call's timeout", Situation { asked: 10, left: 15 * SECOND, ..default }),
        // The server hangs.
        ("the call's timeout", Situation { takes: 70 * SECOND, within: HOUR, ..default }),
        ("within", Situation { takes: 70 * SECOND, left: HOUR, ..default }),
        // All calls fail.
        ("the budget", Situation { reserve: 1, ..default }),
    ] {
        let retries = situation.retries();
        for limit in limits {
            let more = relaxed(situation, limit).retries();
            assert_eq!(more > retries, limit == binding, "{limit} in {situation:?}: {more}");
        }
    }
}

proptest! {
    /// For any policy and any delay that a server requests, no call waits past its deadline, or less than
    /// requested.
    #[test]
    fn a_wait_always_fits(
        first in 0_u64..100_000,
        longest in 0_u64..100_000,
        within in 0_u64..1_000_000,
        left in 0_u64..1_000_000,
        elapsed in 0_u64..1_000_000,
        asked in any::<Option<u64>>(),
    ) {
        let milliseconds = Duration::from_millis;
        let policy = RetryPolicy::default()
            .backoff(milliseconds(first), milliseconds(longest))
            .max_elapsed(milliseconds(within));
        let budget = RetryBudget::new(&policy);
        let asked = asked.map(|seconds| seconds.to_string());
        let pairs: Vec<_> = asked.iter().map(|asked| ("retry-after", asked.as_str())).collect();
        let status = http::StatusCode::SERVICE_UNAVAILABLE;
        let error = Error::new(ErrorKind::Api, "busy").with_response(status, headers(&pairs));
        let (elapsed, left) = (milliseconds(elapsed), milliseconds(left));
        let failed = AttemptFailure { elapsed, remaining: left, ..failed(&error) };
        let decision = CallRetries::new(policy).decide(&failed, &budget);
        if let RetryDecision::TooLate(wait) = decision {
            prop_assert!(wait >= left && elapsed + wait <= milliseconds(within));
        }
        if let RetryDecision::RetryAfter(pause) = decision {
            prop_assert!(pause < left && elapsed + pause <= milliseconds(within));
            let asked = asked.map_or(Duration::ZERO, |asked| Duration::from_secs(asked.parse().unwrap()));
            prop_assert!(pause >= asked);
            prop_assert!(pause <= milliseconds(longest).max(asked));
        }
    }
}
