//! A primary limit, as reported by the headers of responses.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::DATE;
use tokio::time::Instant;

use super::policy::RateLimits;
use crate::clock::after;
use crate::sanitize;

/// The state of one `x-ratelimit-resource` for one identity.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    /// Zero while it is unknown.
    limit: u64,
    remaining: u64,
    /// The end of the window, by this machine's clock; `None` while it is unknown.
    reset: Option<Instant>,
    /// Admitted calls without a response.
    pending: u64,
    /// Whether responses have no such headers: there is no limit.
    unlimited: bool,
    /// The time of the next permitted call, if calls are spread.
    next: Option<Instant>,
    /// Whether responses reported values since the last use of them.
    news: bool,
}

/// Why the limit blocks a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spent {
    Until(Instant),
    /// Until a call in flight has a response, which reports the remaining requests.
    Answer,
}

/// GitHub's windows are a minute or an hour long; a longer one is an error.
const LONGEST: Duration = Duration::from_secs(2 * 60 * 60);
/// GitHub reports whole seconds, and its servers' clocks differ by as much.
const AFTER_RESET: Duration = Duration::from_secs(1);

/// The values of a primary limit in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told<'a> {
    pub(crate) resource: &'a str,
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    /// The end of the window, in seconds since 1970 by GitHub's clock.
    pub(crate) reset: u64,
    /// The remaining time of the window.
    pub(crate) ends_in: Duration,
}

impl<'a> Told<'a> {
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
        let ends_in = ends.duration_since(now).unwrap_or_default().min(LONGEST);
        let resource = text("x-ratelimit-resource").map_or("core", resource);
        Some(Self { resource, limit, remaining, reset, ends_in })
    }
}

/// The name of all limits whose own name is invalid, or comes after [`MAX_RESOURCES`] others.
pub(super) const OTHER: &str = "other";
/// Maximum length of the name of a primary limit. GitHub's have up to 30 characters.
const MAX_RESOURCE_CHARS: usize = 64;
/// Maximum number of primary limits of one identity, with [`OTHER`]. GitHub has a dozen.
pub(super) const MAX_RESOURCES: usize = 64;

/// Returns a name as it is tracked: lower-case letters, digits, `_` and `-`, or else [`OTHER`].
fn resource(name: &str) -> &str {
    let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    let is_name =
        !name.is_empty() && name.len() <= MAX_RESOURCE_CHARS && name.bytes().all(is_plain);
    // A secret can consist of the same letters, but GitHub's own names are not secrets.
    let is_no_secret = || {
        sanitize::is_of_protocol(name.as_bytes())
            || sanitize::text(name, MAX_RESOURCE_CHARS) == name
    };
    if is_name && is_no_secret() { name } else { OTHER }
}

impl Budget {
    /// Returns an unknown limit: the first calls probe it.
    pub(crate) fn unknown() -> Self {
        Self {
            limit: 0,
            remaining: 0,
            reset: None,
            pending: 0,
            unlimited: false,
            next: None,
            news: false,
        }
    }

    /// Returns what blocks a call; `None` if the call can be sent. `share` is the number of clients that share the
    /// rest.
    pub(crate) fn wait(&mut self, now: Instant, policy: &RateLimits, share: u32) -> Option<Spent> {
        if self.unlimited {
            return None;
        }
        self.begin_anew(now);
        if self.free_for_share(policy, share) == 0 {
            return match self.reset {
                Some(reset) => Some(Spent::Until(after(reset, AFTER_RESET))),
                // One call has to be sent to learn the limit.
                None => (self.pending > 0).then_some(Spent::Answer),
            };
        }
        // A new window has begun, and the first response reports its length.
        if policy.spread && self.limit > 0 && self.reset.is_none() && self.pending > 0 {
            return Some(Spent::Answer);
        }
        let next = self.next.filter(|next| policy.spread && *next > now);
        next.map(Spent::Until)
    }

    /// Counts an admitted call.
    pub(crate) fn take(&mut self, now: Instant, policy: &RateLimits) {
        if let Some(reset) = self.reset.filter(|_| policy.spread) {
            // A window has some thousand calls; a u32 holds four billion.
            let share = u32::try_from(self.free(policy).max(1)).unwrap_or(u32::MAX);
            let left = reset.saturating_duration_since(now);
            let step = left.checked_div(share).unwrap_or(left);
            let last = self.next.filter(|next| after(*next, step) > now).unwrap_or(now);
            self.next = Some(after(last, step));
        }
        self.pending = self.pending.saturating_add(1);
    }

    /// Records the end of an admitted call.
    pub(crate) fn settle(&mut self, heard: Heard) {
        self.pending = self.pending.saturating_sub(1);
        match heard {
            Heard::Nothing | Heard::Told => {}
            Heard::Perhaps => self.remaining = self.remaining.saturating_sub(1),
            Heard::Untold => {
                self.remaining = self.remaining.saturating_sub(1);
                self.unlimited = self.limit == 0;
            }
        }
    }

    /// Records the values in a response, which include this call: it is settled before.
    ///
    /// Within a window, each call reduces the remaining count, so that the smallest number counts, in whatever order
    /// responses arrive; a window that ends later is a new one.
    pub(crate) fn learn(&mut self, now: Instant, told: Told<'_>) {
        let ends = after(now, told.ends_in);
        self.news = true;
        self.limit = told.limit;
        self.unlimited = false;
        let same = self.reset.is_some_and(|reset| ends < after(reset, SAME_WINDOW));
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
    pub(crate) fn pending(&self) -> u64 {
        self.pending
    }

    /// Returns the limit, which is zero while it is unknown.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns the limit, the remaining requests, and the rest of the window, as far as they are known.
    pub(crate) fn view(&mut self, now: Instant) -> Option<(u64, u64, Option<Duration>)> {
        self.begin_anew(now);
        let reset = self.reset.map(|reset| reset.saturating_duration_since(now));
        (self.limit > 0).then_some((self.limit, self.remaining, reset))
    }

    /// Returns the values that responses reported since the last call of this, or at all: the limit, the remaining
    /// requests, and the rest of the window.
    pub(crate) fn news(&mut self, now: Instant, all: bool) -> Option<(u64, u64, Duration)> {
        let news = std::mem::take(&mut self.news) || all;
        let reset = self.reset.filter(|_| news)?;
        Some((self.limit, self.remaining, reset.saturating_duration_since(now)))
    }

    /// Returns the part of one client that shares the limit; at least one call, which probes an unknown limit.
    fn free_for_share(&self, policy: &RateLimits, share: u32) -> u64 {
        let free = self.free(policy);
        let least = u64::from(self.limit == 0 && free > 0 && self.pending == 0);
        free.checked_div(share.into()).unwrap_or(free).max(least)
    }

    /// Returns how many calls can be sent.
    fn free(&self, policy: &RateLimits) -> u64 {
        let (known, pending) = (self.limit > 0, self.pending);
        if !known {
            return policy.scouts().saturating_sub(pending);
        }
        // At most the limit, which a u64 holds.
        let kept = (self.limit as f64 * policy.reserve) as u64;
        self.remaining.saturating_sub(kept).saturating_sub(pending)
    }

    /// If a window has ended, begins the next one with the same limit.
    fn begin_anew(&mut self, now: Instant) {
        if self.reset.is_some_and(|reset| after(reset, AFTER_RESET) <= now) {
            self.reset = None;
            self.next = None;
            self.remaining = self.limit;
        }
    }
}

/// The known outcome of a call that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It was not sent.
    Nothing,
    /// It was sent, and received no response.
    Perhaps,
    /// The response does not report the limit.
    Untold,
    /// The response reports the limit.
    Told,
}

/// Resets in different responses differ by the rounding of `Date`, and by latency.
const SAME_WINDOW: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_none_is_another_limit() {
        let longest = "a".repeat(MAX_RESOURCE_CHARS);
        for name in ["core", "code_search", "audit-log", "v2", &longest] {
            assert_eq!(resource(name), name);
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
            assert_eq!(resource(name), OTHER, "{name}");
        }
    }
}
