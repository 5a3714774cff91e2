//! A primary limit, as the headers of answers tell it.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::DATE;
use tokio::time::Instant;

use super::policy::RateLimits;
use crate::clock::after;
use crate::sanitize;

/// What is left of one `x-ratelimit-resource` for one identity.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    /// Zero while it is not known.
    limit: u64,
    remaining: u64,
    /// When the window ends, by this machine's clock; `None` while nothing is known of it.
    reset: Option<Instant>,
    /// Calls that were let through and are not answered.
    pending: u64,
    /// Answers come without the headers: there is no limit.
    unlimited: bool,
    /// When the next call may go, if they are spread.
    next: Option<Instant>,
    /// Whether answers told something since it was asked for.
    news: bool,
}

/// What keeps a call back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spent {
    Until(Instant),
    /// Until a call that is under way is answered, and tells how much there is.
    Answer,
}

/// GitHub's windows are a minute or an hour long; what is longer is a mistake.
const LONGEST: Duration = Duration::from_secs(2 * 60 * 60);
/// GitHub tells whole seconds, and its servers' clocks differ by as much.
const AFTER_RESET: Duration = Duration::from_secs(1);

/// What an answer tells about a primary limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told<'a> {
    pub(crate) resource: &'a str,
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    /// When the window ends, in seconds since 1970 by GitHub's clock.
    pub(crate) reset: u64,
    /// How long it lasts from now on.
    pub(crate) ends_in: Duration,
}

impl<'a> Told<'a> {
    /// Reads the headers. The end is counted from the answer's own `Date`, so that this machine's
    /// clock does not matter.
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

/// The name of all limits whose own name is none, or comes after [`MAX_RESOURCES`] others.
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
    // A secret can be made of the same letters, but GitHub's own names are none.
    let is_no_secret = || {
        sanitize::is_of_protocol(name.as_bytes())
            || sanitize::text(name, MAX_RESOURCE_CHARS) == name
    };
    if is_name && is_no_secret() { name } else { OTHER }
}

impl Budget {
    /// A limit that nothing is known of: it is found out by calling.
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

    /// What keeps a call back; `None` if it may go. `share` is how many share what is left.
    pub(crate) fn wait(&mut self, now: Instant, policy: &RateLimits, share: u32) -> Option<Spent> {
        if self.unlimited {
            return None;
        }
        self.begin_anew(now);
        if self.free_for_share(policy, share) == 0 {
            return match self.reset {
                Some(reset) => Some(Spent::Until(after(reset, AFTER_RESET))),
                // Somebody has to go for anything to be known.
                None => (self.pending > 0).then_some(Spent::Answer),
            };
        }
        // A new window has begun, and the first answer tells for how long.
        if policy.spread && self.limit > 0 && self.reset.is_none() && self.pending > 0 {
            return Some(Spent::Answer);
        }
        let next = self.next.filter(|next| policy.spread && *next > now);
        next.map(Spent::Until)
    }

    /// Counts a call that is let through.
    pub(crate) fn take(&mut self, now: Instant, policy: &RateLimits) {
        if let Some(reset) = self.reset.filter(|_| policy.spread) {
            // A window has some thousand calls, a u32 holds four billion.
            let share = u32::try_from(self.free(policy).max(1)).unwrap_or(u32::MAX);
            let left = reset.saturating_duration_since(now);
            let step = left.checked_div(share).unwrap_or(left);
            let last = self.next.filter(|next| after(*next, step) > now).unwrap_or(now);
            self.next = Some(after(last, step));
        }
        self.pending = self.pending.saturating_add(1);
    }

    /// A call ends that was let through.
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

    /// Takes over what an answer tells, of which this call is a part: it is settled before.
    ///
    /// Within a window less is left with each call, so that the smallest number counts, in
    /// whatever order answers come; a window that ends later is a new one.
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

    /// Whether there is a limit, as far as is known.
    pub(crate) fn is_limited(&self) -> bool {
        !self.unlimited
    }

    /// Calls that are not answered.
    pub(crate) fn pending(&self) -> u64 {
        self.pending
    }

    /// The limit, which is zero while it is not known.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// The limit, what is left, and how long it lasts, as far as that is known.
    pub(crate) fn view(&mut self, now: Instant) -> Option<(u64, u64, Option<Duration>)> {
        self.begin_anew(now);
        let reset = self.reset.map(|reset| reset.saturating_duration_since(now));
        (self.limit > 0).then_some((self.limit, self.remaining, reset))
    }

    /// What answers told since this was asked for, or at all: the limit, what is left, and how long
    /// it lasts.
    pub(crate) fn news(&mut self, now: Instant, all: bool) -> Option<(u64, u64, Duration)> {
        let news = std::mem::take(&mut self.news) || all;
        let reset = self.reset.filter(|_| news)?;
        Some((self.limit, self.remaining, reset.saturating_duration_since(now)))
    }

    /// One of those who share it gets its part; one call at least finds out about a limit that
    /// nothing is known of.
    fn free_for_share(&self, policy: &RateLimits, share: u32) -> u64 {
        let free = self.free(policy);
        let least = u64::from(self.limit == 0 && free > 0 && self.pending == 0);
        free.checked_div(share.into()).unwrap_or(free).max(least)
    }

    /// How many calls may go.
    fn free(&self, policy: &RateLimits) -> u64 {
        let (known, pending) = (self.limit > 0, self.pending);
        if !known {
            return policy.scouts().saturating_sub(pending);
        }
        // Not more than the limit, which a u64 holds.
        let kept = (self.limit as f64 * policy.reserve) as u64;
        self.remaining.saturating_sub(kept).saturating_sub(pending)
    }

    /// When a window has ended, the next one has as much as it had.
    fn begin_anew(&mut self, now: Instant) {
        if self.reset.is_some_and(|reset| after(reset, AFTER_RESET) <= now) {
            self.reset = None;
            self.next = None;
            self.remaining = self.limit;
        }
    }
}

/// What is known of a call that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It was not sent.
    Nothing,
    /// It was sent, and no answer came.
    Perhaps,
    /// The answer does not tell of the limit.
    Untold,
    /// It does.
    Told,
}

/// Ends that are told by different answers differ by the rounding of `Date`, and the way.
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
