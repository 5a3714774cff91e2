//! Latencies in bounded memory.

use std::time::Duration;

/// Counts latencies in buckets with a width of a sixteenth of a power of two. Results are within 3.2 % of the
/// recorded values, and the memory is 2 KB for any number of values.
///
/// Latencies are in microseconds, up to 19 hours; longer ones count as 19 hours.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    counts: Box<[u32]>,
    total: u64,
    max: u64,
}

/// The number of buckets per power of two: 2 to the fourth.
const SUBBUCKETS_LOG2: u32 = 4;
const SUBBUCKETS: usize = 1 << SUBBUCKETS_LOG2;
/// The longest latency, as a power of two of microseconds.
const MAX_LOG2: u32 = 36;
const BUCKETS: usize = SUBBUCKETS + (MAX_LOG2 - SUBBUCKETS_LOG2) as usize * SUBBUCKETS;

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS].into_boxed_slice(), total: 0, max: 0 }
    }
}

impl Histogram {
    pub(super) fn record(&mut self, latency: Duration) {
        let micros = micros(latency);
        if let Some(count) = self.counts.get_mut(bucket(micros)) {
            *count = count.saturating_add(1);
            self.total = self.total.saturating_add(1);
            self.max = self.max.max(micros);
        }
    }

    /// Adds the counts of another histogram.
    pub(super) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
        self.total = self.total.saturating_add(other.total);
        self.max = self.max.max(other.max);
    }

    pub(super) fn clear(&mut self) {
        if self.total > 0 {
            self.counts.fill(0);
            (self.total, self.max) = (0, 0);
        }
    }

    /// Returns the latency that this share of all, from 0 to 1, does not exceed; `None` if there is none.
    pub(super) fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = (share.clamp(0.0, 1.0) * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0_u64;
        for (index, count) in self.counts.iter().enumerate() {
            seen = seen.saturating_add(u64::from(*count));
            if seen >= wanted {
                return Some(Duration::from_micros(middle(index).min(self.max)));
            }
        }
        None
    }

    pub(super) fn max(&self) -> Option<Duration> {
        (self.total > 0).then(|| Duration::from_micros(self.max))
    }
}

fn micros(latency: Duration) -> u64 {
    let most = (1 << MAX_LOG2) - 1;
    u64::try_from(latency.as_micros()).unwrap_or(most).min(most)
}

fn bucket(micros: u64) -> usize {
    if micros < SUBBUCKETS as u64 {
        return micros as usize;
    }
    let power = micros.ilog2();
    // At least 0: smaller values were handled above.
    let shift = power.saturating_sub(SUBBUCKETS_LOG2);
    let part = (micros.wrapping_shr(shift) as usize).saturating_sub(SUBBUCKETS);
    (shift.saturating_add(1) as usize).saturating_mul(SUBBUCKETS).saturating_add(part)
}

/// Returns the middle of a bucket.
fn middle(bucket: usize) -> u64 {
    if bucket < SUBBUCKETS {
        return bucket as u64;
    }
    let shift = u32::try_from((bucket / SUBBUCKETS).saturating_sub(1)).unwrap_or(u32::MAX);
    let least = SUBBUCKETS.saturating_add(bucket % SUBBUCKETS) as u64;
    let middle = least.checked_shl(shift).zip(1_u64.checked_shl(shift));
    middle.map_or(u64::MAX, |(least, width)| least.saturating_add(width / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_thirtieth_of_the_recorded_values() {
        for exponent in 0..355 {
            let micros = 1.07_f64.powi(exponent) as u64;
            let mut histogram = Histogram::default();
            histogram.record(Duration::from_micros(micros));
            // The longest latency would hide the value of the bucket.
            histogram.record(Duration::from_secs(60 * 60 * 18));
            let read = histogram.quantile(0.5).unwrap().as_micros() as f64;
            assert!((read / micros as f64 - 1.0).abs() <= 0.032, "{micros} is read as {read}");
        }
    }

    #[test]
    fn quantiles_match_the_recorded_values() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.quantile(0.5), histogram.max()), (None, None));
        for millis in 1..=100 {
            histogram.record(Duration::from_millis(millis));
        }
        for (share, millis) in [(0.5, 50.0), (0.95, 95.0), (1.0, 100.0)] {
            let read = histogram.quantile(share).unwrap().as_secs_f64() * 1e3;
            assert!((read / millis - 1.0).abs() < 0.032, "{share}: {read}");
        }
        assert_eq!(histogram.max(), Some(Duration::from_millis(100)));
        let mut both = Histogram::default();
        both.record(Duration::MAX);
        both.add(&histogram);
        assert_eq!(both.total, 101);
        both.clear();
        assert_eq!(both.quantile(0.5), None);
    }
}
