//! The mock's only clock: the machine's time at the start of the mock, and then tokio's clock, which a test
//! can pause and advance.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::time::rfc3339;

#[derive(Clone, Copy)]
pub(super) struct Clock {
    started: (SystemTime, Instant),
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { started: (SystemTime::now(), Instant::now()) }
    }

    pub(super) fn now(&self) -> SystemTime {
        self.at(Instant::now())
    }

    pub(super) fn at(&self, instant: Instant) -> SystemTime {
        let (clock, started) = self.started;
        clock.checked_add(instant.saturating_duration_since(started)).unwrap_or(clock)
    }

    /// The time after this duration, in GitHub's format for bodies.
    pub(super) fn text(&self, later: Duration) -> String {
        let now = self.now();
        let time = DateTime::<Utc>::from(now.checked_add(later).unwrap_or(now));
        rfc3339::format(&time)
    }

    /// Returns the seconds since 1970 at an instant, rounded up, so that no client retries too early.
    pub(super) fn seconds(&self, instant: Instant) -> u64 {
        let at = self.at(instant).duration_since(UNIX_EPOCH).unwrap_or_default();
        at.as_secs().saturating_add(u64::from(at.subsec_nanos() > 0))
    }

    /// The `Date` of a response.
    pub(super) fn date(&self) -> String {
        httpdate::fmt_http_date(self.now())
    }
}
