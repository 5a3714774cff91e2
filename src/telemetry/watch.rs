//! Recent outcomes of a client's calls: the source of its health and its dashboard.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::ring::Ring;
#[cfg(feature = "dashboard")]
use super::seconds::Seconds;
use crate::cache::CacheStatus;

/// The last day, minute by minute.
pub(crate) struct Watch {
    origin: Instant,
    state: Mutex<State>,
}

struct State {
    minutes: Ring<Minute>,
    #[cfg(feature = "dashboard")]
    seconds: Seconds,
}

/// The events of one minute, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Minute {
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    pub(crate) unavailable: u64,
    pub(crate) answers: u64,
    /// The sum of their durations.
    pub(crate) took: Duration,
}

/// The outcome of a call, by its error type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It received the intended response.
    Well,
    /// It failed, and the cause is on the client's side or GitHub's.
    Failed,
    /// GitHub could not be reached, or could not respond.
    Unavailable,
    /// The caller dropped the call before its end.
    Dropped,
}

impl End {
    /// Classifies the outcome as the documentation of [`Objectives`](crate::health::Objectives) says.
    pub(crate) fn of(failed: Option<&str>) -> Self {
        match failed {
            None => Self::Well,
            Some("cancelled") => Self::Dropped,
            Some("transport" | "timeout" | "circuit_open") => Self::Unavailable,
            Some("401" | "403" | "408" | "429") => Self::Failed,
            // GitHub is available, and still computes the result.
            Some("202") => Self::Well,
            Some(
                "graphql" | "invalid_request" | "not_cached" | "configuration" | "untrusted_url",
            ) => Self::Well,
            Some(status) if status.starts_with('5') => Self::Unavailable,
            Some(status) if status.starts_with(['3', '4']) => Self::Well,
            Some(_) => Self::Failed,
        }
    }
}

/// The minutes of a day.
const MINUTES: u64 = 24 * 60;

impl Watch {
    pub(crate) fn new() -> Self {
        let state = State {
            minutes: Ring::new(MINUTES),
            #[cfg(feature = "dashboard")]
            seconds: Seconds::new(),
        };
        let now = Instant::now();
        // Benchmarks record events in the past.
        let before = cfg!(feature = "__bench").then(|| now.checked_sub(Duration::from_secs(600)));
        Self { origin: before.flatten().unwrap_or(now), state: Mutex::new(state) }
    }

    /// Records the end of a call, with the cache status if it was a read, and whether the cache saved a request.
    pub(crate) fn call(
        &self,
        now: Instant,
        failed: Option<&'static str>,
        cached: Option<(CacheStatus, bool)>,
    ) {
        let mut state = self.state();
        let end = End::of(failed);
        if end != End::Dropped {
            let minute = state.minutes.at(self.second(now) / 60);
            minute.calls = minute.calls.saturating_add(1);
            minute.failed = minute.failed.saturating_add(u64::from(end != End::Well));
            minute.unavailable =
                minute.unavailable.saturating_add(u64::from(end == End::Unavailable));
        }
        #[cfg(feature = "dashboard")]
        {
            let second = state.seconds.at(self.second(now));
            second.call(failed);
            if let Some((came, saved)) = cached {
                second.cached(came, saved);
            }
        }
        #[cfg(not(feature = "dashboard"))]
        let _ = cached;
    }

    /// Records an attempt: its response time, or `None` without a response.
    pub(crate) fn attempt(&self, now: Instant, took: Option<Duration>) {
        let mut state = self.state();
        if let Some(took) = took {
            let minute = state.minutes.at(self.second(now) / 60);
            minute.answers = minute.answers.saturating_add(1);
            minute.took = minute.took.saturating_add(took);
        }
        #[cfg(feature = "dashboard")]
        state.seconds.at(self.second(now)).attempt(took);
    }

    /// Returns the events of this number of minutes, including the current one.
    pub(crate) fn last(&self, minutes: u64) -> Minute {
        let first = (self.second(Instant::now()) / 60).saturating_add(1).saturating_sub(minutes);
        let state = self.state();
        state.minutes.since(first).fold(Minute::default(), |sum, (_, minute)| Minute {
            calls: sum.calls.saturating_add(minute.calls),
            failed: sum.failed.saturating_add(minute.failed),
            unavailable: sum.unavailable.saturating_add(minute.unavailable),
            answers: sum.answers.saturating_add(minute.answers),
            took: sum.took.saturating_add(minute.took),
        })
    }

    /// Returns the seconds since the client was built.
    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.origin).as_secs()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(feature = "dashboard")]
impl Watch {
    /// Records a failed call with its error.
    pub(crate) fn failed(&self, failed: super::seconds::FailedCall) {
        self.state().seconds.failed(failed);
    }

    /// Reads the seconds; the number is that of the current one.
    pub(crate) fn seconds<T>(&self, look: impl FnOnce(u64, &Seconds) -> T) -> T {
        let now = self.second(Instant::now());
        look(now, &self.state().seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_caller_asked_wrong_is_no_failure() {
        let ends = [
            (None, End::Well),
            (Some("202"), End::Well),
            (Some("404"), End::Well),
            (Some("422"), End::Well),
            (Some("304"), End::Well),
            (Some("401"), End::Failed),
            (Some("403"), End::Failed),
            (Some("429"), End::Failed),
            (Some("decode"), End::Failed),
            (Some("rate_limit"), End::Failed),
            (Some("budget"), End::Failed),
            (Some("authentication"), End::Failed),
            (Some("502"), End::Unavailable),
            (Some("timeout"), End::Unavailable),
            (Some("circuit_open"), End::Unavailable),
            (Some("cancelled"), End::Dropped),
        ];
        for (failed, end) in ends {
            assert_eq!(End::of(failed), end, "{failed:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_day_is_remembered_by_the_minute() {
        let watch = Watch::new();
        for failed in [None, Some("502"), Some("404"), Some("decode"), Some("cancelled")] {
            watch.call(Instant::now(), failed, None);
            watch.attempt(Instant::now(), failed.is_none().then_some(Duration::from_millis(200)));
        }
        let expected = Minute {
            calls: 4,
            failed: 2,
            unavailable: 1,
            answers: 1,
            took: Duration::from_millis(200),
        };
        assert_eq!(watch.last(5), expected);
        tokio::time::advance(Duration::from_secs(5 * 60)).await;
        assert_eq!((watch.last(5), watch.last(6)), (Minute::default(), expected));
        tokio::time::advance(Duration::from_secs((MINUTES - 6) * 60)).await;
        watch.call(Instant::now(), None, None);
        assert_eq!(watch.last(MINUTES).calls, 5);
        tokio::time::advance(Duration::from_secs(60)).await;
        watch.call(Instant::now(), None, None);
        assert_eq!(watch.last(MINUTES).calls, 2);
    }
}
