//! Clocks, counters and the statistics of a series of samples.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;

use crate::Result;
use crate::allocations::{self, Allocations};
use crate::bodies::Body;
use crate::calls::WORKERS;
use crate::clients::Subject;

static ROUNDS: OnceLock<usize> = OnceLock::new();

/// The rounds of a measurement: 15, or the argument of `--rounds`.
pub fn rounds() -> usize {
    *ROUNDS.get_or_init(|| 15)
}

/// Sets the rounds of all measurements, before the first of them.
pub fn set_rounds(rounds: &str) -> Result<()> {
    let rounds = rounds.parse()?;
    if rounds == 0 {
        return Err("a run has at least one round".into());
    }
    ROUNDS.set(rounds).map_err(|_| "the rounds are already set".into())
}

/// The CPU time of this process so far, in user and kernel mode and on all threads.
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    // The kernel's clock is not negative, and its nanoseconds are below 10^9.
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The CPU time of one call, over calls that follow each other.
pub fn cpu(runtime: &Runtime, subject: &dyn Subject, body: Body, calls: u64) -> Result<f64> {
    let start = cpu_time();
    runtime.block_on(subject.repeat(body, calls))?;
    Ok((cpu_time() - start).as_secs_f64() / calls as f64)
}

/// The number of calls that take about this much CPU time.
pub fn calls_in(
    runtime: &Runtime,
    subject: &dyn Subject,
    body: Body,
    sample: Duration,
) -> Result<u64> {
    const TRIAL: u64 = 20;
    let one = cpu(runtime, subject, body, TRIAL)?;
    Ok(((sample.as_secs_f64() / one) as u64).max(TRIAL))
}

/// The allocations of this many consecutive calls.
pub fn allocations(
    runtime: &Runtime,
    subject: &dyn Subject,
    body: Body,
    calls: u64,
) -> Result<Allocations> {
    allocations::start();
    let done = runtime.block_on(subject.repeat(body, calls));
    let allocations = allocations::stop();
    done.map(|()| allocations)
}

/// Calls per second with this number of concurrent callers.
pub fn rate(
    runtime: &Runtime,
    subject: &dyn Subject,
    body: Body,
    callers: usize,
    sample: Duration,
) -> Result<f64> {
    let stop = Arc::new(AtomicBool::new(false));
    runtime.block_on(async {
        let start = Instant::now();
        let callers: Vec<_> =
            (0..callers).map(|_| tokio::spawn(subject.until(body, stop.clone()))).collect();
        tokio::time::sleep(sample).await;
        stop.store(true, Relaxed);
        let mut calls = 0;
        for caller in callers {
            calls += caller.await??;
        }
        Ok(calls as f64 / start.elapsed().as_secs_f64())
    })
}

/// The seconds until concurrent tasks have ended: one for each of the [`WORKERS`].
pub fn concurrent<F>(runtime: &Runtime, task: impl Fn() -> F) -> Result<f64>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let start = Instant::now();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..WORKERS).map(|_| tokio::spawn(task())).collect();
        for task in tasks {
            task.await??;
        }
        Ok::<_, crate::Error>(())
    })?;
    Ok(start.elapsed().as_secs_f64())
}

/// The statistics of a series of samples.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    pub median: f64,
    /// Half the distance between the quartiles, as a part of the median: half of the samples are within it.
    pub spread: f64,
}

impl Summary {
    pub fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let median = quantile(&samples, 0.5);
        let between = quantile(&samples, 0.75) - quantile(&samples, 0.25);
        Self { median, spread: between / 2.0 / median }
    }

    /// The median times `scale`, with this number of decimals, and the spread.
    pub fn shown(self, scale: f64, decimals: usize) -> String {
        format!("{:.decimals$} ± {:.0} %", self.median * scale, self.spread * 100.0)
    }

    /// The statistics of the ratios of paired samples, so that a machine that slows down for a while affects
    /// both.
    pub fn of_ratios(samples: &[f64], base: &[f64]) -> Self {
        Self::of(samples.iter().zip(base).map(|(sample, base)| sample / base).collect())
    }
}

pub fn quantile(sorted: &[f64], part: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = part * last as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_the_median_and_half_the_quartiles_distance() {
        let summary = Summary::of(vec![5.0, 1.0, 3.0, 2.0, 4.0]);
        assert_eq!((summary.median, summary.spread), (3.0, 1.0 / 3.0));
    }

    #[test]
    fn ratios_are_taken_sample_by_sample() {
        let summary = Summary::of_ratios(&[2.0, 20.0, 200.0], &[1.0, 10.0, 100.0]);
        assert_eq!((summary.median, summary.spread), (2.0, 0.0));
    }
}
