//! A sliding window: the admitted amount of the last minute or hour.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::time::Duration;

use crate::time::clock;

/// A sliding window: at most its limit in *any* interval of its length.
///
/// Time is counted in parts, of which the window's length has [`BUCKETS`]. A part counts until it is entirely out of the
/// window, and one part longer, since requests take unequal times to arrive: so a window admits at least 60/62 of its
/// limit. Parts without an amount take no memory: most identities use few of their windows, and those rarely.
#[derive(Clone, Debug)]
pub(crate) struct SlidingWindow {
    limit: u32,
    sum: u32,
    /// The length of a part, in milliseconds.
    bucket_ms: u32,
    /// The part of the latest time. A part is at least a second long, so that a `u32` lasts for a century.
    newest_bucket: u32,
    /// The parts with an amount, oldest first: at most [`KEPT_BUCKETS`].
    counts: Vec<Count>,
}

/// The amount of one part.
#[derive(Clone, Copy, Debug)]
struct Count {
    bucket: u32,
    amount: u32,
}

const BUCKETS: u64 = 60;
const KEPT_BUCKETS: u32 = BUCKETS as u32 + 2;

impl SlidingWindow {
    pub(crate) fn new(limit: u32, length: Duration) -> Self {
        let bucket_ms = (clock::millis(length) / BUCKETS).max(1_000);
        Self {
            limit,
            sum: 0,
            bucket_ms: u32::try_from(bucket_ms).unwrap_or(u32::MAX),
            newest_bucket: 0,
            counts: Vec::new(),
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
        for count in &self.counts {
            if count.amount >= excess {
                let free_at = self.start_of(count.bucket.saturating_add(KEPT_BUCKETS));
                return Some(Duration::from_millis(free_at.saturating_sub(now)));
            }
            excess = excess.saturating_sub(count.amount);
        }
        // The sum is that of the parts, so that the loop returns above.
        None
    }

    /// Counts an admitted amount.
    pub(crate) fn add(&mut self, now: u64, amount: u32) {
        self.expire(now);
        let (bucket, amount) = (self.newest_bucket, amount.min(self.limit));
        match self.counts.last_mut() {
            Some(newest) if newest.bucket == bucket => {
                newest.amount = newest.amount.saturating_add(amount);
            }
            _ => self.counts.push(Count { bucket, amount }),
        }
        self.sum = self.sum.saturating_add(amount);
    }

    /// Subtracts an amount that was counted at that time and was not sent.
    pub(crate) fn refund(&mut self, then: u64, amount: u32) {
        let bucket = self.bucket_of(then);
        // Most amounts were counted a short time ago.
        let count = self.counts.iter_mut().rev().find(|count| count.bucket == bucket);
        let Some(count) = count else { return };
        let amount = amount.min(self.limit).min(count.amount);
        count.amount = count.amount.saturating_sub(amount);
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
        let counts = self.counts.iter().filter(|count| count.amount > 0);
        let age = |count: &Count| now.saturating_sub(self.start_of(count.bucket.saturating_add(1)));
        counts.map(|count| (age(count), count.amount)).collect()
    }

    /// Drops the parts that are out of the window.
    fn expire(&mut self, now: u64) {
        let current = self.bucket_of(now);
        if current <= self.newest_bucket {
            return;
        }
        self.newest_bucket = current;
        let is_over = |count: &Count| count.bucket.saturating_add(KEPT_BUCKETS) <= current;
        let over = self.counts.partition_point(is_over);
        for count in self.counts.drain(..over) {
            self.sum = self.sum.saturating_sub(count.amount);
        }
    }

    /// Returns the part that contains a time in milliseconds.
    fn bucket_of(&self, time: u64) -> u32 {
        let bucket = time.checked_div(self.bucket_ms.into()).unwrap_or(time);
        u32::try_from(bucket).unwrap_or(u32::MAX)
    }

    /// Returns the time in milliseconds at which a part begins.
    fn start_of(&self, bucket: u32) -> u64 {
        u64::from(bucket).saturating_mul(self.bucket_ms.into())
    }
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
    fn an_unused_window_takes_little_memory() {
        assert!(size_of::<Option<SlidingWindow>>() <= 40);
        let mut window = SlidingWindow::new(900, MINUTE);
        assert_eq!(window.wait(0, 1), None);
        assert_eq!(window.counts.capacity(), 0);
        window.add(0, 1);
        assert!(window.counts.capacity() <= 4, "{}", window.counts.capacity());
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
                prop_assert!(window.counts.len() <= KEPT_BUCKETS as usize);
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
