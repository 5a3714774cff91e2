//! The cost of reporting a call.

use std::io;
use std::time::Instant;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use octowire::Client;
use octowire::TelemetryProbe;
use octowire::api::OPERATIONS;
use octowire::dashboard::{Dashboard, Snapshot};
use octowire::observability::HISTOGRAM_BUCKETS;
use serde_json::Value;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;

use crate::allocations::{self, Allocations};
use crate::measure::{Summary, rounds};
use crate::{Result, report};

/// Calls in a sample.
const REPORTED: u32 = 100_000;
/// Snapshots in a sample.
const SNAPSHOTS: u32 = 50;

pub fn run() -> Result<()> {
    println!("{}", report::header(&format!("{} rounds", rounds())));
    println!("| telemetry of a call | ns | allocations |\n|---|--:|--:|");
    let client = Client::builder().token("a-token").build()?;
    let operation = OPERATIONS.iter().find(|operation| operation.id == "issues/list");
    let reporting = TelemetryProbe::new(&client, operation.ok_or("no such operation")?)?;

    row("no subscriber", &reporting);
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Prefix("octowire_".to_owned()), &HISTOGRAM_BUCKETS)?
        .build_recorder();
    metrics::with_local_recorder(&recorder, || row("a recorder for Prometheus", &reporting));
    for (what, level) in
        [("a log at INFO", LevelFilter::INFO), ("a log at DEBUG", LevelFilter::DEBUG)]
    {
        let log = tracing_subscriber::fmt::layer().with_writer(io::sink);
        let subscriber = tracing_subscriber::registry().with(level).with(log);
        tracing::subscriber::with_default(subscriber, || {
            row(what, &reporting);
            metrics::with_local_recorder(&recorder, || {
                row(&format!("{what}, and the recorder"), &reporting)
            });
        });
    }
    snapshot()
}

/// The dashboard's first event for a browser, when each of its series has ten minutes.
fn snapshot() -> Result<()> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().build()?;
    let (time, series, bytes) = runtime.block_on(measure_snapshot())?;
    println!("\n| the dashboard's snapshot, in series-seconds | JSON, bytes | µs |\n|--:|--:|--:|");
    println!("| {series} | {bytes} | {} |", time.shown(1e6, 0));
    Ok(())
}

async fn measure_snapshot() -> Result<(Summary, usize, usize)> {
    let client = Client::builder().token("a-token").build()?;
    TelemetryProbe::preload(&client);
    let snapshot = Snapshot::new(Dashboard::new(&client))?;
    let reported = snapshot.render().await;
    let series = values(&serde_json::from_str::<Value>(&reported)?["series"]);
    let mut samples = Vec::new();
    for _ in 0..rounds() {
        let start = Instant::now();
        for _ in 0..SNAPSHOTS {
            std::hint::black_box(snapshot.render().await);
        }
        samples.push(start.elapsed().as_secs_f64() / f64::from(SNAPSHOTS));
    }
    Ok((Summary::of(samples), series, reported.len()))
}

/// The number of numbers in a value.
fn values(value: &Value) -> usize {
    match value {
        Value::Array(all) => all.iter().map(values).sum(),
        Value::Object(all) => all.values().map(values).sum(),
        _ => 1,
    }
}

fn row(what: &str, reporting: &TelemetryProbe) {
    let report_all = || (0..REPORTED).for_each(|_| reporting.once());
    report_all();
    let samples = (0..rounds()).map(|_| {
        let start = Instant::now();
        report_all();
        start.elapsed().as_secs_f64() / f64::from(REPORTED)
    });
    let time = Summary::of(samples.collect());
    allocations::start();
    report_all();
    let Allocations { calls, .. } = allocations::stop();
    println!("| {what} | {} | {:.2} |", time.shown(1e9, 0), calls as f64 / f64::from(REPORTED));
}
