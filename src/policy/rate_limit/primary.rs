//! A primary limit, as reported by the headers of responses.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::time::Duration;

use tokio::time::Instant;

use super::policy::RateLimitPolicy;
use crate::headers::rate_limit::RateLimitHeaders;
use crate::time::clock::saturating_after;

/// The state of one `x-ratelimit-resource` for one identity.
#[derive(Clone, Debug)]
pub(crate) struct PrimaryLimit {
    /// Zero while it is unknown.
    limit: u64,
    remaining: u64,
    /// The end of the window, by this machine's clock; `None` while it is unknown.
    reset: Option<Instant>,
    /// Admitted calls without a response.
    in_flight: u64,
    /// Whether responses have no such headers: there is no limit.
    unlimited: bool,
    /// The time of the next permitted call, if calls are spread.
    next: Option<Instant>,
    /// Whether responses reported values since the last use of them.
    has_update: bool,
}

/// Why the limit blocks a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exhausted {
    Until(Instant),
    /// Until a call in flight has a response, which reports the remaining requests.
    AwaitingResponse,
}

/// GitHub reports whole seconds, and its servers' clocks differ by as much.
const RESET_MARGIN: Duration = Duration::from_secs(1);

/// Maximum number of primary limits of one identity, with
/// [`OTHER_RESOURCE`](crate::headers::rate_limit::OTHER_RESOURCE). GitHub has a dozen.
pub(super) const MAX_RESOURCES: usize = 64;

impl PrimaryLimit {
    /// Returns an unknown limit: the first calls probe it.
    pub(crate) fn new_unknown() -> Self {
        Self {
            limit: 0,
            remaining: 0,
            reset: None,
            in_flight: 0,
            unlimited: false,
            next: None,
            has_update: false,
        }
    }

    /// Returns what blocks a call; `None` if the call can be sent. `share` is the number of clients that share the
    /// rest.
    pub(crate) fn blocked_by(
        &mut self,
        now: Instant,
        policy: &RateLimitPolicy,
        share: u32,
    ) -> Option<Exhausted> {
        if self.unlimited {
            return None;
        }
        self.roll_window(now);
        if self.available_for_share(policy, share) == 0 {
            return match self.reset {
                Some(reset) => Some(Exhausted::Until(saturating_after(reset, RESET_MARGIN))),
                // One call has to be sent to learn the limit.
                None => (self.in_flight > 0).then_some(Exhausted::AwaitingResponse),
            };
        }
        // A new window has begun, and the first response reports its length.
        if policy.spread_evenly && self.limit > 0 && self.reset.is_none() && self.in_flight > 0 {
            return Some(Exhausted::AwaitingResponse);
        }
        let next = self.next.filter(|next| policy.spread_evenly && *next > now);
        next.map(Exhausted::Until)
    }

    /// Counts an admitted call.
    pub(crate) fn reserve(&mut self, now: Instant, policy: &RateLimitPolicy) {
        if let Some(reset) = self.reset.filter(|_| policy.spread_evenly) {
            // A window has some thousand calls; a u32 holds four billion.
            let share = u32::try_from(self.available(policy).max(1)).unwrap_or(u32::MAX);
            let left = reset.saturating_duration_since(now);
            let step = left.checked_div(share).unwrap_or(left);
            let last = self.next.filter(|next| saturating_after(*next, step) > now).unwrap_or(now);
            self.next = Some(saturating_after(last, step));
        }
        self.in_flight = self.in_flight.saturating_add(1);
    }

    /// Records the end of an admitted call.
    pub(crate) fn settle(&mut self, reply: Observation) {
        self.in_flight = self.in_flight.saturating_sub(1);
        match reply {
            Observation::NotSent | Observation::Headers => {}
            Observation::NoResponse => self.remaining = self.remaining.saturating_sub(1),
            Observation::WithoutHeaders => {
                self.remaining = self.remaining.saturating_sub(1);
                self.unlimited = self.limit == 0;
            }
        }
    }

    /// Records the values in a response, which include this call: it is settled before.
    ///
    /// Within a window, each call reduces the remaining count, so that the smallest number counts, in whatever order
    /// responses arrive; a window that ends later is a new one.
    pub(crate) fn observe(&mut self, now: Instant, headers: RateLimitHeaders<'_>) {
        let ends = saturating_after(now, headers.ends_in);
        self.has_update = true;
        self.limit = headers.limit;
        self.unlimited = false;
        let same =
            self.reset.is_some_and(|reset| ends < saturating_after(reset, SAME_WINDOW_TOLERANCE));
        if same {
            self.remaining = self.remaining.min(headers.remaining);
        } else {
            self.remaining = headers.remaining;
            self.next = None;
        }
        if !same || self.reset.is_none_or(|reset| ends > reset) {
            self.reset = Some(ends);
        }
    }

    /// Returns whether there is a limit, as far as is known.
    pub(crate) fn is_limited(&self) -> bool {
        !self.unlimited
    }

    /// Returns the number of calls without a response.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Returns the limit, which is zero while it is unknown.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns the limit, the remaining requests, and the rest of the window, as far as they are known.
    pub(crate) fn snapshot(&mut self, now: Instant) -> Option<(u64, u64, Option<Duration>)> {
        self.roll_window(now);
        let reset = self.reset.map(|reset| reset.saturating_duration_since(now));
        (self.limit > 0).then_some((self.limit, self.remaining, reset))
    }

    /// Returns the values that responses reported since the last call of this, or at all: the limit, the remaining
    /// requests, and the rest of the window.
    pub(crate) fn take_update(&mut self, now: Instant, all: bool) -> Option<(u64, u64, Duration)> {
        let news = std::mem::take(&mut self.has_update) || all;
        let reset = self.reset.filter(|_| news)?;
        Some((self.limit, self.remaining, reset.saturating_duration_since(now)))
    }

    /// Returns the part of one client that shares the limit; at least one call, which probes an unknown limit.
    fn available_for_share(&self, policy: &RateLimitPolicy, share: u32) -> u64 {
        let free = self.available(policy);
        let least = u64::from(self.limit == 0 && free > 0 && self.in_flight == 0);
        free.checked_div(share.into()).unwrap_or(free).max(least)
    }

    /// Returns how many calls can be sent.
    fn available(&self, policy: &RateLimitPolicy) -> u64 {
        let (known, pending) = (self.limit > 0, self.in_flight);
        if !known {
            return policy.unknown_limit_probes().saturating_sub(pending);
        }
        // At most the limit, which a u64 holds.
        let kept = (self.limit as f64 * policy.reserve_fraction) as u64;
        self.remaining.saturating_sub(kept).saturating_sub(pending)
    }

    /// If a window has ended, begins the next one with the same limit.
    fn roll_window(&mut self, now: Instant) {
        if self.reset.is_some_and(|reset| saturating_after(reset, RESET_MARGIN) <= now) {
            self.reset = None;
            self.next = None;
            self.remaining = self.limit;
        }
    }
}

/// The known outcome of a call that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Observation {
    /// It was not sent.
    NotSent,
    /// It was sent, and received no response.
    NoResponse,
    /// The response does not report the limit.
    WithoutHeaders,
    /// The response reports the limit.
    Headers,
}

/// Resets in different responses differ by the rounding of `Date`, and by latency.
const SAME_WINDOW_TOLERANCE: Duration = Duration::from_secs(10);
