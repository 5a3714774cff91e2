//! Whether the memory of a process stays flat.

use std::fmt;
use std::time::Duration;

/// Samples of the resident memory of a process.
#[derive(Debug, Default)]
pub struct Memory {
    /// Seconds since the start, and kilobytes.
    samples: Vec<(f64, f64)>,
}

/// Growth in the second half of the soak that is not a leak: caches fill and the allocator keeps
/// what it was given. In kilobytes.
const MAX_GROWTH: f64 = 16_000.0;
/// The most that the process may hold at any time, in kilobytes. Its caches have 16 MiB.
const MAX_KILOBYTES: f64 = 200_000.0;
/// A shorter soak than this has no second half worth a slope: everything is still being filled.
const SHORTEST_FOR_SLOPE: Duration = Duration::from_secs(120);

impl Memory {
    pub fn sample(&mut self, at: Duration, kilobytes: Option<u64>) {
        if let Some(kilobytes) = kilobytes {
            self.samples.push((at.as_secs_f64(), kilobytes as f64));
        }
    }

    /// Returns the growth in the second half by the method of least squares, in kilobytes.
    fn growth(&self) -> f64 {
        let half = &self.samples[self.samples.len() / 2..];
        let count = half.len().max(1) as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| half.iter().map(of).sum::<f64>() / count;
        let (time, memory) = (mean(|sample| sample.0), mean(|sample| sample.1));
        let covariance: f64 = half.iter().map(|(at, held)| (at - time) * (held - memory)).sum();
        let variance: f64 = half.iter().map(|(at, _)| (at - time).powi(2)).sum();
        let (Some(first), Some(last)) = (half.first(), half.last()) else { return 0.0 };
        if variance > 0.0 { covariance / variance * (last.0 - first.0) } else { 0.0 }
    }

    fn peak(&self) -> f64 {
        self.samples.iter().map(|sample| sample.1).fold(0.0, f64::max)
    }

    pub fn assert_flat(&self, length: Duration) {
        // Only Linux tells the memory of another process.
        assert!(cfg!(not(target_os = "linux")) || !self.samples.is_empty(), "nothing was measured");
        assert!(self.peak() < MAX_KILOBYTES, "{self}");
        if length >= SHORTEST_FOR_SLOPE {
            assert!(self.growth() < MAX_GROWTH, "{self}");
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (peak, growth) = (self.peak() / 1_000.0, self.growth() / 1_000.0);
        write!(f, "memory of the clients: {peak:.1} MB at most, {growth:+.1} MB in the second half")
    }
}
