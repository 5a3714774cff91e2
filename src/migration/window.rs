//! Recent results of the two sides.

use std::time::Duration;

use tokio::time::Instant;

use super::histogram::Histogram;
use super::stage::Side;

/// One result.
#[derive(Clone, Copy, Debug)]
pub(super) enum Observation {
    /// A call of a side ended.
    Result { side: Side, failed: bool },
    /// The two sides of a call were compared. The latencies are present if both succeeded.
    Compared { equal: bool, latencies: Option<(Duration, Duration)> },
}

/// The counts of results.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) old: Results,
    pub(super) new: Results,
    pub(super) compared: u64,
    pub(super) mismatched: u64,
    old_latency: Histogram,
    new_latency: Histogram,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Results {
    pub(super) all: u64,
    pub(super) failed: u64,
}

impl Results {
    pub(super) fn rate(self) -> f64 {
        share(self.failed, self.all)
    }

    fn add(&mut self, other: Self) {
        self.all = self.all.saturating_add(other.all);
        self.failed = self.failed.saturating_add(other.failed);
    }
}

impl Counts {
    pub(super) fn record(&mut self, observation: Observation) {
        match observation {
            Observation::Result { side, failed } => {
                let results = match side {
                    Side::Old => &mut self.old,
                    Side::New => &mut self.new,
                };
                results.add(Results { all: 1, failed: u64::from(failed) });
            }
            Observation::Compared { equal, latencies } => {
                self.compared = self.compared.saturating_add(1);
                self.mismatched = self.mismatched.saturating_add(u64::from(!equal));
                if let Some((old, new)) = latencies {
                    self.old_latency.record(old);
                    self.new_latency.record(new);
                }
            }
        }
    }

    pub(super) fn mismatch_rate(&self) -> f64 {
        share(self.mismatched, self.compared)
    }

    /// The 95th percentiles of the legacy side and the new one.
    pub(super) fn latencies(&self) -> Option<(Duration, Duration)> {
        self.old_latency.quantile(0.95).zip(self.new_latency.quantile(0.95))
    }

    pub(super) fn clear(&mut self) {
        (self.old, self.new) = (Results::default(), Results::default());
        (self.compared, self.mismatched) = (0, 0);
        self.old_latency.clear();
        self.new_latency.clear();
    }

    fn add(&mut self, other: &Self) {
        self.old.add(other.old);
        self.new.add(other.new);
        self.compared = self.compared.saturating_add(other.compared);
        self.mismatched = self.mismatched.saturating_add(other.mismatched);
    }

    fn add_latencies(&mut self, other: &Self) {
        self.old_latency.add(&other.old_latency);
        self.new_latency.add(&other.new_latency);
    }
}

fn share(part: u64, of: u64) -> f64 {
    part as f64 / of.max(1) as f64
}

/// The counts of a sliding window. It takes about 50 KB.
#[derive(Debug)]
pub(super) struct Window {
    origin: Instant,
    part: Duration,
    parts: [Counts; PARTS],
    newest: u64,
    sum: Counts,
}

const PARTS: usize = 10;

impl Window {
    pub(super) fn new(length: Duration) -> Self {
        Self {
            origin: Instant::now(),
            part: length.checked_div(PARTS as u32).unwrap_or(length).max(Duration::from_millis(1)),
            parts: Default::default(),
            newest: 0,
            sum: Counts::default(),
        }
    }

    pub(super) fn record(&mut self, now: Instant, observation: Observation) {
        self.move_to(now);
        if let Some(part) = self.parts.get_mut(slot(self.newest)) {
            part.record(observation);
        }
    }

    /// Returns the content of the window; the latencies only on request, since they take microseconds.
    pub(super) fn sum(&mut self, now: Instant, latencies: bool) -> &Counts {
        self.move_to(now);
        self.sum.clear();
        for part in &self.parts {
            self.sum.add(part);
            if latencies {
                self.sum.add_latencies(part);
            }
        }
        &self.sum
    }

    pub(super) fn clear(&mut self) {
        self.parts.iter_mut().for_each(Counts::clear);
    }

    /// Empties the buckets that are too old. A clock that goes back has no effect.
    fn move_to(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.origin).as_nanos();
        let current =
            passed.checked_div(self.part.as_nanos()).and_then(|current| current.try_into().ok());
        let current = current.unwrap_or(u64::MAX);
        for old in 0..current.saturating_sub(self.newest).min(PARTS as u64) {
            if let Some(part) = self.parts.get_mut(slot(current.saturating_sub(old))) {
                part.clear();
            }
        }
        self.newest = self.newest.max(current);
    }
}

/// Returns the index of a bucket in the ring.
fn slot(part: u64) -> usize {
    // The remainder is smaller than the ring.
    part.checked_rem(PARTS as u64).unwrap_or_default() as usize
}
