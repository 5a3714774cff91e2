//! Recent outcomes of a client's calls: the source of its health and its dashboard.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

#[cfg(feature = "dashboard")]
use super::dashboard_series::SecondSeries;
use crate::policy::cache::CacheStatus;
use crate::time::ring::TimeRing;

/// The last day, minute by minute.
pub(crate) struct RecentActivity {
    origin: Instant,
    state: Mutex<State>,
}

struct State {
    minutes: TimeRing<MinuteStats>,
    #[cfg(feature = "dashboard")]
    seconds: SecondSeries,
}

/// The events of one minute, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct MinuteStats {
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    pub(crate) unavailable: u64,
    pub(crate) responses: u64,
    /// The sum of their durations.
    pub(crate) total_latency: Duration,
}

/// The outcome of a call, by its error type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallResult {
    /// It received the intended response.
    Ok,
    /// It failed, and the cause is on the client's side or GitHub's.
    Failed,
    /// GitHub could not be reached, or could not respond.
    Unavailable,
    /// The caller dropped the call before its end.
    Cancelled,
}

impl CallResult {
    /// Classifies the outcome as the documentation of [`ServiceLevelObjectives`](crate::observability::health::ServiceLevelObjectives) says.
    pub(crate) fn of(failed: Option<&str>) -> Self {
        match failed {
            None => Self::Ok,
            Some("cancelled") => Self::Cancelled,
            Some("transport" | "timeout" | "circuit_open") => Self::Unavailable,
            Some("401" | "403" | "408" | "429") => Self::Failed,
            // GitHub is available, and still computes the result.
            Some("202") => Self::Ok,
            Some(
                "graphql" | "invalid_request" | "not_cached" | "configuration" | "untrusted_url",
            ) => Self::Ok,
            Some(status) if status.starts_with('5') => Self::Unavailable,
            Some(status) if status.starts_with(['3', '4']) => Self::Ok,
            Some(_) => Self::Failed,
        }
    }
}

/// The minutes of a day.
const MINUTES: u64 = 24 * 60;

impl RecentActivity {
    pub(crate) fn new() -> Self {
        let state = State {
            minutes: TimeRing::new(MINUTES),
            #[cfg(feature = "dashboard")]
            seconds: SecondSeries::new(),
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
        let end = CallResult::of(failed);
        if end != CallResult::Cancelled {
            let minute = state.minutes.bucket_mut(self.second(now) / 60);
            minute.calls = minute.calls.saturating_add(1);
            minute.failed = minute.failed.saturating_add(u64::from(end != CallResult::Ok));
            minute.unavailable =
                minute.unavailable.saturating_add(u64::from(end == CallResult::Unavailable));
        }
        #[cfg(feature = "dashboard")]
        {
            let second = state.seconds.second_mut(self.second(now));
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
            let minute = state.minutes.bucket_mut(self.second(now) / 60);
            minute.responses = minute.responses.saturating_add(1);
            minute.total_latency = minute.total_latency.saturating_add(took);
        }
        #[cfg(feature = "dashboard")]
        state.seconds.second_mut(self.second(now)).attempt(took);
    }

    /// Returns the events of this number of minutes, including the current one.
    pub(crate) fn last(&self, minutes: u64) -> MinuteStats {
        let first = (self.second(Instant::now()) / 60).saturating_add(1).saturating_sub(minutes);
        let state = self.state();
        state.minutes.since(first).fold(MinuteStats::default(), |sum, (_, minute)| MinuteStats {
            calls: sum.calls.saturating_add(minute.calls),
            failed: sum.failed.saturating_add(minute.failed),
            unavailable: sum.unavailable.saturating_add(minute.unavailable),
            responses: sum.responses.saturating_add(minute.responses),
            total_latency: sum.total_latency.saturating_add(minute.total_latency),
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
impl RecentActivity {
    /// Records a failed call with its error.
    pub(crate) fn failed(&self, failed: super::dashboard_series::FailedCall) {
        self.state().seconds.failed(failed);
    }

    /// Reads the seconds; the number is that of the current one.
    pub(crate) fn seconds<T>(&self, look: impl FnOnce(u64, &SecondSeries) -> T) -> T {
        let now = self.second(Instant::now());
        look(now, &self.state().seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_caller_is_not_a_failure() {
        let ends = [
            (None, CallResult::Ok),
            (Some("202"), CallResult::Ok),
            (Some("404"), CallResult::Ok),
            (Some("422"), CallResult::Ok),
            (Some("304"), CallResult::Ok),
            (Some("401"), CallResult::Failed),
            (Some("403"), CallResult::Failed),
            (Some("429"), CallResult::Failed),
            (Some("decode"), CallResult::Failed),
            (Some("rate_limit"), CallResult::Failed),
            (Some("budget"), CallResult::Failed),
            (Some("authentication"), CallResult::Failed),
            (Some("502"), CallResult::Unavailable),
            (Some("timeout"), CallResult::Unavailable),
            (Some("circuit_open"), CallResult::Unavailable),
            (Some("cancelled"), CallResult::Cancelled),
        ];
        for (failed, end) in ends {
            assert_eq!(CallResult::of(failed), end, "{failed:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_day_is_remembered_by_the_minute() {
        let watch = RecentActivity::new();
        for failed in [None, Some("502"), Some("404"), Some("decode"), Some("cancelled")] {
            watch.call(Instant::now(), failed, None);
            watch.attempt(Instant::now(), failed.is_none().then_some(Duration::from_millis(200)));
        }
        let expected = MinuteStats {
            calls: 4,
            failed: 2,
            unavailable: 1,
            responses: 1,
            total_latency: Duration::from_millis(200),
        };
        assert_eq!(watch.last(5), expected);
        tokio::time::advance(Duration::from_secs(5 * 60)).await;
        assert_eq!((watch.last(5), watch.last(6)), (MinuteStats::default(), expected));
        tokio::time::advance(Duration::from_secs((MINUTES - 6) * 60)).await;
        watch.call(Instant::now(), None, None);
        assert_eq!(watch.last(MINUTES).calls, 5);
        tokio::time::advance(Duration::from_secs(60)).await;
        watch.call(Instant::now(), None, None);
        assert_eq!(watch.last(MINUTES).calls, 2);
    }
}
