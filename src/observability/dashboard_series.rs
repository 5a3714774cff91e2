//! The last ten minutes, second by second, for the dashboard.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::policy::cache::CacheStatus;
use crate::sanitize;
use crate::time::clock;
use crate::time::ring::TimeRing;

/// The number of seconds that are kept.
pub(crate) const SECONDS: u64 = 600;
/// The maximum number of failed calls that are kept.
const MAX_FAILED_CALLS: usize = 50;
/// The maximum length of an error message or name, in characters.
const MAX_MESSAGE: usize = 400;
const MAX_NAME: usize = 200;
/// The number of seconds over which percentiles are computed: those of one second would fluctuate.
const PERCENTILE_WINDOW: u64 = 10;
/// The maximum number of error types with their own series; the others are combined.
const MAX_ERROR_TYPES: usize = 8;

/// The upper bounds of response times, in milliseconds. Longer times have no bound.
const LATENCY_BOUNDS: [u32; 20] = [
    1, 2, 4, 7, 10, 15, 25, 40, 65, 100, 150, 250, 400, 650, 1_000, 1_500, 2_500, 5_000, 10_000,
    30_000,
];

/// The events of the last seconds.
pub(crate) struct SecondSeries {
    ring: TimeRing<SecondStats>,
    failed: VecDeque<FailedCall>,
    /// The total number of failed calls.
    failed_total: u64,
}

/// The events of one second.
#[derive(Debug, Default)]
pub(super) struct SecondStats {
    calls: u32,
    requests: u32,
    /// By error type, of which there are a few at a time.
    errors: Vec<(&'static str, u32)>,
    /// Responses by duration; the last number is for those above all bounds.
    latencies: [u32; LATENCY_BOUNDS.len() + 1],
    cache: [u32; CACHE_STATUSES.len()],
    saved: u32,
}

/// The cache statuses, in the order of [`SecondStats::cache`].
const CACHE_STATUSES: [CacheStatus; 5] = [
    CacheStatus::Hit,
    CacheStatus::Revalidated,
    CacheStatus::Stale,
    CacheStatus::Miss,
    CacheStatus::Bypass,
];

/// A failed call.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FailedCall {
    time: DateTime<Utc>,
    operation: String,
    #[serde(rename = "type")]
    error_type: &'static str,
    seconds: f64,
    request_id: Option<String>,
    message: String,
}

/// The series, with a value for each second from `from` on.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ChartSeries {
    /// The number of the first second.
    from: u64,
    calls: Vec<u32>,
    requests: Vec<u32>,
    /// In milliseconds; `None` if there was no response.
    p50: Vec<Option<f64>>,
    p95: Vec<Option<f64>>,
    p99: Vec<Option<f64>>,
    /// By cache status.
    cache: BTreeMap<&'static str, Vec<u32>>,
    saved: Vec<u32>,
    /// By error type.
    errors: BTreeMap<&'static str, Vec<u32>>,
}

impl SecondStats {
    pub(super) fn call(&mut self, failed: Option<&'static str>) {
        self.calls = self.calls.saturating_add(1);
        let Some(failed) = failed else { return };
        match self.errors.iter_mut().find(|(of, _)| *of == failed) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.errors.push((failed, 1)),
        }
    }

    pub(super) fn attempt(&mut self, took: Option<Duration>) {
        self.requests = self.requests.saturating_add(1);
        let Some(took) = took else { return };
        let took = took.as_millis();
        let bucket = LATENCY_BOUNDS.partition_point(|bound| u128::from(*bound) < took);
        if let Some(count) = self.latencies.get_mut(bucket) {
            *count = count.saturating_add(1);
        }
    }

    pub(super) fn cached(&mut self, came: CacheStatus, saved: bool) {
        if let Some(index) = CACHE_STATUSES.iter().position(|status| *status == came)
            && let Some(count) = self.cache.get_mut(index)
        {
            *count = count.saturating_add(1);
        }
        self.saved = self.saved.saturating_add(u32::from(saved));
    }
}

impl FailedCall {
    pub(super) fn new(
        operation: &str,
        error_type: &'static str,
        took: Duration,
        request_id: Option<&str>,
        message: &str,
    ) -> Self {
        let line = |text: &str, most: usize| sanitize::text(text, most).into_owned();
        Self {
            time: clock::to_utc(clock::monotonic_wall_clock()),
            operation: line(operation, MAX_NAME),
            error_type,
            seconds: took.as_secs_f64(),
            request_id: request_id.map(|id| line(id, MAX_NAME)),
            message: line(message, MAX_MESSAGE),
        }
    }
}

impl SecondSeries {
    pub(super) fn new() -> Self {
        // Includes the seconds before the first one, which the smoothing needs.
        Self {
            ring: TimeRing::new(SECONDS + PERCENTILE_WINDOW),
            failed: VecDeque::new(),
            failed_total: 0,
        }
    }

    pub(super) fn second_mut(&mut self, second: u64) -> &mut SecondStats {
        self.ring.bucket_mut(second)
    }

    pub(super) fn failed(&mut self, failed: FailedCall) {
        if self.failed.len() >= MAX_FAILED_CALLS {
            self.failed.pop_front();
        }
        self.failed.push_back(failed);
        self.failed_total = self.failed_total.saturating_add(1);
    }

    /// Returns how many calls failed, of which the last ones are kept.
    pub(crate) fn failed_total(&self) -> u64 {
        self.failed_total
    }

    /// Returns the failed calls after this number, the latest first.
    pub(crate) fn failed_after(&self, number: u64) -> impl Iterator<Item = &FailedCall> {
        let new = self.failed_total.saturating_sub(number);
        self.failed.iter().rev().take(usize::try_from(new).unwrap_or(MAX_FAILED_CALLS))
    }

    /// Returns the series from this second to before `end`.
    pub(crate) fn series(&self, from: u64, end: u64) -> ChartSeries {
        let from = from.max(end.saturating_sub(SECONDS));
        let length = usize::try_from(end.saturating_sub(from)).unwrap_or_default();
        let zeros = || vec![0; length];
        let none = || vec![None; length];
        let mut series = ChartSeries {
            from,
            calls: zeros(),
            requests: zeros(),
            p50: none(),
            p95: none(),
            p99: none(),
            cache: CACHE_STATUSES.iter().map(|status| (status.name(), zeros())).collect(),
            saved: zeros(),
            errors: BTreeMap::new(),
        };
        // Over all kept seconds, so that every part names the same types.
        let named = self.most_errors();
        let mut window = Vec::from_iter(self.ring.since(from.saturating_sub(PERCENTILE_WINDOW)));
        window.retain(|(at, _)| *at < end);
        let (mut sum, mut first, mut next) = ([0_u32; LATENCY_BOUNDS.len() + 1], 0_usize, 0_usize);
        for index in 0..length {
            let at = from.saturating_add(index as u64);
            while let Some((entered, second)) = window.get(next)
                && *entered <= at
            {
                add(&mut sum, &second.latencies);
                next = next.saturating_add(1);
                if *entered == at {
                    series.fill(index, length, second, &named);
                }
            }
            while let Some((left, second)) = window.get(first)
                && left.saturating_add(PERCENTILE_WINDOW) <= at
            {
                subtract(&mut sum, &second.latencies);
                first = first.saturating_add(1);
            }
            let [p50, p95, p99] = percentiles(&sum, [0.5, 0.95, 0.99]);
            let lines = [(&mut series.p50, p50), (&mut series.p95, p95), (&mut series.p99, p99)];
            for (line, value) in lines {
                if let Some(storage) = line.get_mut(index) {
                    *storage = value;
                }
            }
        }
        series
    }

    /// Returns the most frequent error types.
    fn most_errors(&self) -> Vec<&'static str> {
        let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
        for (_, second) in self.ring.since(0) {
            for (of, count) in &second.errors {
                let sum = counts.entry(of).or_default();
                *sum = sum.saturating_add(u64::from(*count));
            }
        }
        let mut counts = Vec::from_iter(counts);
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts.into_iter().take(MAX_ERROR_TYPES).map(|(of, _)| of).collect()
    }
}

impl ChartSeries {
    fn fill(&mut self, index: usize, length: usize, second: &SecondStats, named: &[&'static str]) {
        let set = |line: &mut Vec<u32>, value: u32| {
            if let Some(storage) = line.get_mut(index) {
                *storage = storage.saturating_add(value);
            }
        };
        set(&mut self.calls, second.calls);
        set(&mut self.requests, second.requests);
        set(&mut self.saved, second.saved);
        for (status, count) in CACHE_STATUSES.iter().zip(second.cache) {
            if let Some(line) = self.cache.get_mut(status.name()) {
                set(line, count);
            }
        }
        for (of, count) in &second.errors {
            let of = if named.contains(of) { of } else { "other" };
            set(self.errors.entry(of).or_insert_with(|| vec![0; length]), *count);
        }
    }
}

fn add(sum: &mut [u32], more: &[u32]) {
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum = sum.saturating_add(*more));
}

fn subtract(sum: &mut [u32], less: &[u32]) {
    sum.iter_mut().zip(less).for_each(|(sum, less)| *sum = sum.saturating_sub(*less));
}

/// Returns the percentiles of the durations, in milliseconds; within a bucket, the durations are assumed to be evenly
/// distributed.
fn percentiles<const N: usize>(responses: &[u32], shares: [f64; N]) -> [Option<f64>; N] {
    let all: u64 = responses.iter().map(|count| u64::from(*count)).sum();
    shares.map(|share| {
        let wanted = share * all as f64;
        let mut below = 0.0;
        for (index, count) in responses.iter().enumerate().filter(|(_, count)| **count > 0) {
            let count = f64::from(*count);
            if below + count >= wanted {
                let bound = |index: usize| LATENCY_BOUNDS.get(index).copied().map(f64::from);
                let lower = index.checked_sub(1).and_then(bound).unwrap_or(0.0);
                // Above the last bound, the duration is unknown.
                let upper = bound(index).unwrap_or(lower);
                let value = lower + (upper - lower) * ((wanted - below) / count);
                // The dashboard shows no more digits.
                return Some((value * 100.0).round() / 100.0);
            }
            below += count;
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(time: u64) -> Option<Duration> {
        Some(Duration::from_millis(time))
    }

    #[test]
    fn a_second_shows_its_own_activity() {
        let mut seconds = SecondSeries::new();
        for failed in [None, Some("502"), Some("502"), Some("404")] {
            seconds.second_mut(7).call(failed);
            seconds.second_mut(7).attempt(failed.is_none().then_some(Duration::from_millis(80)));
        }
        seconds.second_mut(8).cached(CacheStatus::Revalidated, true);
        let series = seconds.series(0, 9);
        assert_eq!(series.calls, [0, 0, 0, 0, 0, 0, 0, 4, 0]);
        assert_eq!(series.requests[7], 4);
        assert_eq!((series.errors["502"][7], series.errors["404"][7]), (2, 1));
        assert_eq!((series.cache["revalidated"][8], series.saved[8]), (1, 1));
        // For ten seconds.
        assert_eq!((series.p50[6], series.p50[7], series.p50[8]), (None, Some(82.5), Some(82.5)));
        let later = seconds.series(0, 30);
        assert_eq!((later.p50[16], later.p50[17]), (Some(82.5), None));
        // A later request returns the same numbers.
        let rest = seconds.series(8, 9);
        assert_eq!((rest.from, rest.calls, rest.p50), (8, vec![0], vec![Some(82.5)]));
    }

    #[test]
    fn of_many_types_of_errors_the_rest_is_one_line() {
        let mut seconds = SecondSeries::new();
        let all = ["500", "501", "502", "503", "504", "505", "506", "507", "508", "510"];
        for (index, of) in all.into_iter().enumerate() {
            for _ in index..10 {
                seconds.second_mut(1).call(Some(of));
            }
        }
        let series = seconds.series(0, 2);
        assert_eq!(series.errors.len(), MAX_ERROR_TYPES + 1);
        assert_eq!((series.errors["500"][1], series.errors["other"][1]), (10, 2 + 1));
    }

    #[test]
    fn fifty_failed_calls_are_kept_and_their_messages_cut() {
        let mut seconds = SecondSeries::new();
        for number in 0..80 {
            let operation = format!("o/{number}");
            let took = Duration::from_secs(1);
            seconds.failed(FailedCall::new(&operation, "404", took, None, &"é".repeat(1_000)));
        }
        assert_eq!(seconds.failed_after(78).count(), 2);
        let kept: Vec<_> = seconds.failed_after(0).collect();
        assert_eq!((kept.len(), kept[0].operation.as_str()), (MAX_FAILED_CALLS, "o/79"));
        assert_eq!(kept[0].message.chars().count(), MAX_MESSAGE);
    }

    proptest! {
        /// Percentiles are in order, and within the bucket of the true value.
        #[test]
        fn percentiles_are_near(times in prop::collection::vec(0_u64..40_000, 1..200)) {
            let mut second = SecondStats::default();
            times.iter().for_each(|time| second.attempt(ms(*time)));
            let update = percentiles(&second.latencies, [0.5, 0.95, 0.99]).map(Option::unwrap);
            prop_assert!(update[0] <= update[1] && update[1] <= update[2]);
            let mut times = times;
            times.sort_unstable();
            for (update, share) in update.into_iter().zip([0.5, 0.95, 0.99]) {
                let rank = (share * times.len() as f64).ceil() as usize;
                let real = times[rank.max(1) - 1];
                let bucket = LATENCY_BOUNDS.partition_point(|bound| u64::from(*bound) < real);
                let lower = if bucket == 0 { 0 } else { LATENCY_BOUNDS[bucket - 1] };
                let upper = LATENCY_BOUNDS.get(bucket).copied().unwrap_or(lower);
                prop_assert!(update >= f64::from(lower) && update <= f64::from(upper), "{update} {real}");
            }
        }

        /// Whatever the requested range, a second has the same numbers.
        #[test]
        fn a_part_is_a_part_of_the_whole(
            calls in prop::collection::vec((0_u64..30, 0_u64..900), 1..100),
            cut in 0_u64..900,
        ) {
            let (mut seconds, mut now) = (SecondSeries::new(), 0);
            for (step, took) in calls {
                now += step;
                seconds.second_mut(now).call(None);
                seconds.second_mut(now).attempt(ms(took));
            }
            let end = now + 1;
            let (all, part) = (seconds.series(0, end), seconds.series(cut.min(now), end));
            prop_assert!(all.calls.len() as u64 <= SECONDS);
            let skip = usize::try_from(part.from - all.from).unwrap();
            prop_assert_eq!(&all.calls[skip..], &part.calls[..]);
            prop_assert_eq!(&all.p95[skip..], &part.p95[..]);
        }
    }
}
