//! A sliding window: the admitted amount of the last minute or hour.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::time::Duration;

use crate::time::clock;

/// A sliding window: at most its limit in *any* interval of its length.
///
/// Time is counted in parts, of which the window's length has [`BUCKETS`]. A part counts until it is entirely out of the
/// window, and one part longer, since requests take unequal times to arrive: so a window admits at least 60/62 of its
/// limit.
#[derive(Clone, Debug)]
pub(crate) struct SlidingWindow {
    limit: u32,
    /// The length of a part, in milliseconds.
    bucket_ms: u64,
    counts: [u32; KEPT_BUCKETS],
    /// The part of the latest count.
    newest_bucket: u64,
    sum: u32,
}

const BUCKETS: u64 = 60;
const KEPT_BUCKETS: usize = BUCKETS as usize + 2;

impl SlidingWindow {
    pub(crate) fn new(limit: u32, length: Duration) -> Self {
        let length = clock::millis(length);
        Self {
            limit,
            bucket_ms: (length / BUCKETS).max(1),
            counts: [0; KEPT_BUCKETS],
            newest_bucket: 0,
            sum: 0,
        }
    }

    /// Returns how long, from this time in milliseconds, until this amount fits for one of `share` clients of the
    /// limit; `None` if it fits now.
    pub(crate) fn wait_for(&mut self, now: u64, amount: u32, share: u32) -> Option<Duration> {
        self.expire(now);
        let amount = amount.min(self.limit);
        let limit = self.limit.checked_div(share).unwrap_or(self.limit).max(amount);
        let mut excess =
            self.sum.saturating_add(amount).checked_sub(limit).filter(|excess| *excess > 0)?;
        for part in self.oldest_bucket()..=self.newest_bucket {
            let count = self.counts[bucket_slot(part)];
            if count >= excess {
                let free_at =
                    part.saturating_add(KEPT_BUCKETS as u64).saturating_mul(self.bucket_ms);
                return Some(Duration::from_millis(free_at.saturating_sub(now)));
            }
            excess = excess.saturating_sub(count);
        }
        // The sum is that of the parts, so that the loop returns above.
        None
    }

    /// Counts an admitted amount.
    pub(crate) fn add(&mut self, now: u64, amount: u32) {
        self.expire(now);
        let amount = amount.min(self.limit);
        let count = &mut self.counts[bucket_slot(self.newest_bucket)];
        *count = count.saturating_add(amount);
        self.sum = self.sum.saturating_add(amount);
    }

    /// Subtracts an amount that was counted at that time and was not sent.
    pub(crate) fn refund(&mut self, then: u64, amount: u32) {
        let part = self.bucket_of(then);
        if part.saturating_add(KEPT_BUCKETS as u64) <= self.newest_bucket {
            return;
        }
        let count = &mut self.counts[bucket_slot(part)];
        let amount = amount.min(self.limit).min(*count);
        *count = count.saturating_sub(amount);
        self.sum = self.sum.saturating_sub(amount);
    }

    /// Returns the amount that is left now for one of `share` clients of the limit.
    pub(crate) fn remaining(&mut self, now: u64, share: u32) -> u32 {
        self.expire(now);
        self.limit.checked_div(share).unwrap_or(self.limit).saturating_sub(self.sum)
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// Returns the counted amounts, each with its age in milliseconds.
    pub(crate) fn history(&mut self, now: u64) -> Vec<(u64, u32)> {
        self.expire(now);
        let counts = (self.oldest_bucket()..=self.newest_bucket)
            .map(|part| (part, self.counts[bucket_slot(part)]));
        let counts = counts.filter(|(_, count)| *count > 0);
        counts
            .map(|(part, count)| {
                (now.saturating_sub(part.saturating_add(1).saturating_mul(self.bucket_ms)), count)
            })
            .collect()
    }

    /// Drops the parts that are out of the window.
    fn expire(&mut self, now: u64) {
        let current = self.bucket_of(now);
        if current <= self.newest_bucket {
            return;
        }
        let first =
            self.newest_bucket.max(current.saturating_sub(KEPT_BUCKETS as u64)).saturating_add(1);
        for part in first..=current {
            let count = std::mem::take(&mut self.counts[bucket_slot(part)]);
            self.sum = self.sum.saturating_sub(count);
        }
        self.newest_bucket = current;
    }

    /// Returns the part that contains a time in milliseconds.
    fn bucket_of(&self, time: u64) -> u64 {
        time.checked_div(self.bucket_ms).unwrap_or(time)
    }

    /// Returns the oldest part that is counted.
    fn oldest_bucket(&self) -> u64 {
        self.newest_bucket.saturating_add(1).saturating_sub(KEPT_BUCKETS as u64)
    }
}

/// Returns the index of a part in the ring.
fn bucket_slot(part: u64) -> usize {
    // The remainder is smaller than the ring.
    part.checked_rem(KEPT_BUCKETS as u64).unwrap_or_default() as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    impl SlidingWindow {
        fn wait(&mut self, now: u64, amount: u32) -> Option<Duration> {
            self.wait_for(now, amount, 1)
        }
    }

    #[test]
    fn units_within_the_limit_are_admitted_at_once() {
        let mut window = SlidingWindow::new(900, MINUTE);
        for _ in 0..180 {
            assert_eq!(window.wait(10, 5), None);
            window.add(10, 5);
        }
        assert_eq!(window.wait(10, 1), Some(Duration::from_millis(61_990)));
        assert_eq!(window.wait(61_999, 1), Some(Duration::from_millis(1)));
        assert_eq!(window.wait(62_000, 900), None);
    }

    #[test]
    fn unused_units_are_refunded_once() {
        let mut window = SlidingWindow::new(10, MINUTE);
        window.add(0, 10);
        window.refund(0, 4);
        assert_eq!(window.wait(0, 4), None);
        assert!(window.wait(0, 5).is_some());
        window.add(200_000, 10);
        window.refund(0, 4);
        assert!(window.wait(200_000, 1).is_some(), "it was forgotten long ago");
    }

    #[test]
    fn more_than_the_limit_waits_for_an_empty_window_and_is_not_stuck() {
        let mut window = SlidingWindow::new(3, MINUTE);
        assert_eq!(window.wait(0, 5), None);
        window.add(0, 5);
        assert_eq!(window.wait(0, 5), Some(Duration::from_secs(62)));
    }

    proptest! {
        /// Whatever the arrivals, no interval of a minute exceeds the limit, and a call that waits for the returned
        /// time is admitted.
        #[test]
        fn no_minute_has_more_than_the_limit(
            limit in 5_u32..50,
            steps in prop::collection::vec((0_u64..20_000, 1_u32..6, any::<bool>()), 1..200),
        ) {
            let mut window = SlidingWindow::new(limit, MINUTE);
            let mut now = 0;
            let mut admissions: Vec<(u64, u32)> = Vec::new();
            for (pause, amount, patient) in steps {
                now += pause;
                match window.wait(now, amount) {
                    None => {}
                    Some(wait) if patient => {
                        now += u64::try_from(wait.as_millis()).unwrap();
                        prop_assert_eq!(window.wait(now, amount), None);
                    }
                    Some(_) => continue,
                }
                window.add(now, amount);
                admissions.push((now, amount));
                let sum: u32 = admissions
                    .iter()
                    .filter(|(then, _)| now - then < 60_000)
                    .map(|(_, amount)| amount)
                    .sum();
                prop_assert!(sum <= limit, "{} in the minute before {}", sum, now);
            }
        }

        /// A client with constant demand gets nearly the whole limit.
        #[test]
        fn a_greedy_caller_gets_nearly_all(limit in 50_u32..1000) {
            let mut window = SlidingWindow::new(limit, MINUTE);
            let (mut now, mut sum) = (0, 0);
            while now < 20 * 60_000 {
                match window.wait(now, 1) {
                    None => { window.add(now, 1); sum += 1; }
                    Some(wait) => now += u64::try_from(wait.as_millis()).unwrap(),
                }
            }
            prop_assert!(f64::from(sum) >= 0.95 * f64::from(20 * limit), "{}", sum);
        }
    }
}
