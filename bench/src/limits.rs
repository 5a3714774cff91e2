//! The cost of admission.

use std::time::Instant;

use octowire::RateLimiter;
use octowire::rate_limit::{RateLimitPolicy, SecondaryLimits};

use crate::allocations::{self, Allocations};
use crate::calls::{WORKERS, multi_threaded, single_threaded};
use crate::measure::{Summary, concurrent, rounds};
use crate::{Result, report};

/// Admissions in a sample: some hundred milliseconds.
const ADMITTED: u32 = 300_000;

pub fn run() -> Result<()> {
    println!("{}", report::header(&format!("{} rounds", rounds())));
    println!(
        "| admission, and update from the response | ns | per second | allocations |\n|---|--:|--:|--:|"
    );
    // Every rule is checked, and none is reached.
    let pacing = SecondaryLimits::default().points_per_minute(u32::MAX);
    let queue = RateLimiter::new(RateLimitPolicy::default().secondary_limits(pacing));

    let runtime = single_threaded()?;
    runtime.block_on(admit(&queue))?;
    let mut samples = Vec::new();
    for _ in 0..rounds() {
        let start = Instant::now();
        runtime.block_on(admit(&queue))?;
        samples.push(start.elapsed().as_secs_f64() / f64::from(ADMITTED));
    }
    allocations::start();
    let done = runtime.block_on(admit(&queue));
    let Allocations { calls, .. } = allocations::stop();
    done?;
    row("one task", samples, 1.0, Some(calls as f64 / f64::from(ADMITTED)));

    let both = multi_threaded()?;
    let mut samples = Vec::new();
    let task = || {
        let queue = queue.clone();
        async move { admit(&queue).await }
    };
    for _ in 0..rounds() {
        samples.push(concurrent(&both, task)? / f64::from(ADMITTED));
    }
    row(&format!("{WORKERS} concurrent tasks, one identity"), samples, WORKERS as f64, None);
    Ok(())
}

async fn admit(queue: &RateLimiter) -> Result<()> {
    for _ in 0..ADMITTED {
        queue.once().await?;
    }
    Ok(())
}

/// `samples` are the seconds that each of `tasks` needs for one admission.
fn row(what: &str, samples: Vec<f64>, tasks: f64, allocations: Option<f64>) {
    let time = Summary::of(samples);
    let rate = tasks / time.median;
    let allocations = allocations.map(|count| format!("{count:.2}")).unwrap_or_default();
    println!("| {what} | {} | {rate:.0} | {allocations} |", time.shown(1e9, 0));
}
