//! Recent outcomes of a client's calls: the source of its health and its dashboard.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

#[cfg(feature = "dashboard")]
use super::dashboard_series::SecondSeries;
use crate::error::CallResult;
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

    /// Records the end of a call: its result, its error type, and for a read the cache status, and whether the cache
    /// saved a request.
    pub(crate) fn call(
        &self,
        now: Instant,
        result: CallResult,
        failed: Option<&'static str>,
        cached: Option<(CacheStatus, bool)>,
    ) {
        let second = self.second(now);
        let mut state = self.state();
        if result != CallResult::Cancelled {
            let minute = state.minutes.bucket_mut(second / 60);
            minute.calls = minute.calls.saturating_add(1);
            minute.failed = minute.failed.saturating_add(u64::from(result != CallResult::Ok));
            minute.unavailable =
                minute.unavailable.saturating_add(u64::from(result == CallResult::Unavailable));
        }
        #[cfg(feature = "dashboard")]
        {
            let second = state.seconds.second_mut(second);
            second.call(failed);
            if let Some((came, saved)) = cached {
                second.cached(came, saved);
            }
        }
        #[cfg(not(feature = "dashboard"))]
        let _ = (failed, cached);
    }

    /// Records an attempt: its response time, or `None` without a response.
    pub(crate) fn attempt(&self, now: Instant, took: Option<Duration>) {
        let second = self.second(now);
        let mut state = self.state();
        if let Some(took) = took {
            let minute = state.minutes.bucket_mut(second / 60);
            minute.responses = minute.responses.saturating_add(1);
            minute.total_latency = minute.total_latency.saturating_add(took);
        }
        #[cfg(feature = "dashboard")]
        state.seconds.second_mut(second).attempt(took);
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
    use crate::error::{Error, ErrorKind, FailureClass};

    /// Statuses that HTTP has no name for are classified like all others.
    #[test]
    fn an_error_of_the_caller_is_not_a_failure() {
        let status = |status| {
            let status = http::StatusCode::from_u16(status).unwrap();
            FailureClass::of_status(status, false).call_result()
        };
        for (code, result) in [
            (304, CallResult::Ok),
            (306, CallResult::Ok),
            (404, CallResult::Ok),
            (422, CallResult::Ok),
            (499, CallResult::Ok),
            (401, CallResult::Failed),
            (403, CallResult::Failed),
            (429, CallResult::Failed),
            (502, CallResult::Unavailable),
            (520, CallResult::Unavailable),
            (599, CallResult::Unavailable),
        ] {
            assert_eq!(status(code), result, "{code}");
        }
        let not_ready = Error::new(ErrorKind::Timeout, "not ready")
            .with_response(http::StatusCode::ACCEPTED, http::HeaderMap::new());
        assert_eq!(not_ready.class().call_result(), CallResult::Ok);
        for (kind, result) in [
            (ErrorKind::Decode, CallResult::Failed),
            (ErrorKind::RateLimit, CallResult::Failed),
            (ErrorKind::BudgetExhausted, CallResult::Failed),
            (ErrorKind::Authentication, CallResult::Failed),
            (ErrorKind::Timeout, CallResult::Unavailable),
            (ErrorKind::CircuitOpen, CallResult::Unavailable),
        ] {
            assert_eq!(Error::new(kind, "failed").class().call_result(), result, "{kind:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_day_is_remembered_by_the_minute() {
        let watch = RecentActivity::new();
        for (result, failed) in [
            (CallResult::Ok, None),
            (CallResult::Unavailable, Some("502")),
            (CallResult::Ok, Some("404")),
            (CallResult::Failed, Some("decode")),
            (CallResult::Cancelled, Some("cancelled")),
        ] {
            watch.call(Instant::now(), result, failed, None);
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
        watch.call(Instant::now(), CallResult::Ok, None, None);
        assert_eq!(watch.last(MINUTES).calls, 5);
        tokio::time::advance(Duration::from_secs(60)).await;
        watch.call(Instant::now(), CallResult::Ok, None, None);
        assert_eq!(watch.last(MINUTES).calls, 2);
    }
}
