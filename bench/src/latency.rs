//! The latency of a call with other calls in flight: its median and its tail, compared with bare reqwest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::Result;
use crate::bodies::Body;
use crate::calls::{CALLERS, multi_threaded};
use crate::clients::{Entry, Subject};
use crate::measure::{self, Summary, quantile};
use crate::report;
use crate::server::Server;

/// Long enough for a dozen of calls above the highest percentile, with several callers.
const SAMPLE: Duration = Duration::from_secs(1);
const CLIENTS: [&str; 3] = ["reqwest", "octowire", "octocrab"];
const PARTS: [f64; 3] = [0.5, 0.99, 0.999];

pub fn run() -> Result<()> {
    let server = Server::start()?;
    let runtime = multi_threaded()?;
    let rounds = measure::rounds();
    let subjects = {
        let _within = runtime.enter();
        let connect = |key| Entry::named(key)?.connect(server.url());
        CLIENTS.into_iter().map(connect).collect::<Result<Vec<_>>>()?
    };
    println!("{}", report::header(&format!("{rounds} rounds of {} s", SAMPLE.as_secs())));
    println!("Latency of a call of 1 KB in µs, by concurrency:\n");
    println!(
        "| concurrent | client | p50 | p50, of bare | p99 | p99, of bare | p99.9 | p99.9, of bare |"
    );
    println!("|--:|---|--:|--:|--:|--:|--:|--:|");
    for callers in CALLERS {
        // By client and percentile, one value for each round.
        let mut samples = vec![vec![Vec::new(); PARTS.len()]; subjects.len()];
        // The first round opens the connections, and is not counted.
        for round in 0..=rounds {
            eprintln!("{callers} at once: round {round} of {rounds}");
            for turn in 0..subjects.len() {
                let place = (turn + round) % subjects.len();
                let latencies = latencies(&runtime, &*subjects[place], callers)?;
                if round > 0 {
                    for (part, samples) in PARTS.into_iter().zip(&mut samples[place]) {
                        samples.push(quantile(&latencies, part));
                    }
                }
            }
        }
        for (subject, percentiles) in subjects.iter().zip(&samples) {
            print!("| {callers} | {} |", subject.name());
            for (samples, base) in percentiles.iter().zip(&samples[0]) {
                let (latency, ratio) =
                    (Summary::of(samples.clone()), Summary::of_ratios(samples, base));
                print!(" {} | {} |", latency.shown(1e6, 0), ratio.shown(1.0, 2));
            }
            println!();
        }
    }
    Ok(())
}

/// The sorted seconds of all calls of one sample.
fn latencies(runtime: &Runtime, subject: &dyn Subject, callers: usize) -> Result<Vec<f64>> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut all = runtime.block_on(async {
        let callers: Vec<_> = (0..callers)
            .map(|_| tokio::spawn(subject.latencies(Body::Comment, stop.clone())))
            .collect();
        tokio::time::sleep(SAMPLE).await;
        stop.store(true, Relaxed);
        let mut all = Vec::new();
        for caller in callers {
            all.extend(caller.await??.into_iter().map(|latency| latency.as_secs_f64()));
        }
        Ok::<_, crate::Error>(all)
    })?;
    all.sort_by(f64::total_cmp);
    Ok(all)
}
