//! What it costs to tell of a call.

use std::io;
use std::time::Instant;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use octowire::Client;
use octowire::api::OPERATIONS;
use octowire::telemetry::{BUCKETS, Telling};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;

use crate::allocations::{self, Allocations};
use crate::measure::Summary;
use crate::{Result, report};

const ROUNDS: usize = 15;
/// Calls in a sample.
const TOLD: u32 = 100_000;

pub fn run() -> Result<()> {
    println!("{}; {ROUNDS} rounds.\n", report::machine());
    println!("Telling of a call with one attempt, without the call:\n");
    println!("| | ns a call | allocations |\n|---|--:|--:|");
    let client = Client::builder().token("a-token").build()?;
    let operation = OPERATIONS.iter().find(|operation| operation.id == "issues/list");
    let telling = Telling::new(&client, operation.ok_or("no such operation")?)?;

    row("nobody listens", &telling);
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Prefix("octowire_".to_owned()), &BUCKETS)?
        .build_recorder();
    metrics::with_local_recorder(&recorder, || row("a recorder for Prometheus", &telling));
    for (what, level) in
        [("a log at INFO", LevelFilter::INFO), ("a log at DEBUG", LevelFilter::DEBUG)]
    {
        let log = tracing_subscriber::fmt::layer().with_writer(io::sink);
        let subscriber = tracing_subscriber::registry().with(level).with(log);
        tracing::subscriber::with_default(subscriber, || {
            row(what, &telling);
            metrics::with_local_recorder(&recorder, || {
                row(&format!("{what}, and the recorder"), &telling)
            });
        });
    }
    Ok(())
}

fn row(what: &str, telling: &Telling) {
    let tell = || (0..TOLD).for_each(|_| telling.once());
    tell();
    let samples = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        tell();
        start.elapsed().as_secs_f64() / f64::from(TOLD)
    });
    let time = Summary::of(samples.collect());
    allocations::start();
    tell();
    let Allocations { calls, .. } = allocations::stop();
    let (ns, spread) = (time.median * 1e9, time.spread * 100.0);
    println!("| {what} | {ns:.0} ± {spread:.0} % | {:.2} |", calls as f64 / f64::from(TOLD));
}
