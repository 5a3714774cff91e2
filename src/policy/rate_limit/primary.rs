//! A primary limit, as reported by the headers of responses.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::DATE;
use tokio::time::Instant;

use super::policy::RateLimitPolicy;
use crate::sanitize;
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

/// GitHub's windows are a minute or an hour long; a longer one is an error.
const MAX_WINDOW: Duration = Duration::from_secs(2 * 60 * 60);
/// GitHub reports whole seconds, and its servers' clocks differ by as much.
const RESET_MARGIN: Duration = Duration::from_secs(1);

/// The values of a primary limit in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateLimitHeaders<'a> {
    pub(crate) resource: &'a str,
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    /// The end of the window, in seconds since 1970 by GitHub's clock.
    pub(crate) reset: u64,
    /// The remaining time of the window.
    pub(crate) ends_in: Duration,
}

impl<'a> RateLimitHeaders<'a> {
    /// Parses the headers. The end is relative to the response's own `Date`, so that this machine's clock does not
    /// matter.
    pub(crate) fn read(headers: &'a HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name)?.to_str().ok();
        let number = |name| text(name)?.trim().parse::<u64>().ok();
        let (limit, remaining) = (number("x-ratelimit-limit")?, number("x-ratelimit-remaining")?);
        let reset = number("x-ratelimit-reset")?;
        let ends = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(reset))?;
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        let now = date.and_then(|date| httpdate::parse_http_date(date).ok());
        let now = now.unwrap_or_else(SystemTime::now);
        let ends_in = ends.duration_since(now).unwrap_or_default().min(MAX_WINDOW);
        let resource = text("x-ratelimit-resource").map_or("core", tracked_name);
        Some(Self { resource, limit, remaining, reset, ends_in })
    }
}

/// The name of all limits whose own name is invalid, or comes after [`MAX_RESOURCES`] others.
pub(super) const OTHER_RESOURCE: &str = "other";
/// Maximum length of the name of a primary limit. GitHub's have up to 30 characters.
const MAX_RESOURCE_CHARS: usize = 64;
/// Maximum number of primary limits of one identity, with [`OTHER_RESOURCE`]. GitHub has a dozen.
pub(super) const MAX_RESOURCES: usize = 64;

/// Returns a name as it is tracked: lower-case letters, digits, `_` and `-`, or else [`OTHER_RESOURCE`].
fn tracked_name(name: &str) -> &str {
    let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    let is_name =
        !name.is_empty() && name.len() <= MAX_RESOURCE_CHARS && name.bytes().all(is_plain);
    // A secret can consist of the same letters, but GitHub's own names are not secrets.
    let is_no_secret = || {
        sanitize::is_of_protocol(name.as_bytes())
            || sanitize::text(name, MAX_RESOURCE_CHARS) == name
    };
    if is_name && is_no_secret() { name } else { OTHER_RESOURCE }
}

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
    pub(crate) fn observe(&mut self, now: Instant, told: RateLimitHeaders<'_>) {
        let ends = saturating_after(now, told.ends_in);
        self.has_update = true;
        self.limit = told.limit;
        self.unlimited = false;
        let same =
            self.reset.is_some_and(|reset| ends < saturating_after(reset, SAME_WINDOW_TOLERANCE));
        if same {
            self.remaining = self.remaining.min(told.remaining);
        } else {
            self.remaining = told.remaining;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_none_is_another_limit() {
        let longest = "a".repeat(MAX_RESOURCE_CHARS);
        for name in ["core", "code_search", "audit-log", "v2", &longest] {
            assert_eq!(tracked_name(name), name);
        }
        let long = format!("{longest}a");
        for name in [
            "",
            "Core",
            "a b",
            "a\tb",
            "a/b",
            "caf\u{e9}",
            "[hidden]",
            "ghs_hunter2hunter2hunter2",
            &long,
        ] {
            assert_eq!(tracked_name(name), OTHER_RESOURCE, "{name}");
        }
    }
}
