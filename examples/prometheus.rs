//! Metrics for Prometheus: a client with some traffic, and its metrics at `/metrics`.
//!
//! ```text
//! cargo run -p octowire-examples --example prometheus --features prometheus -- --listen 127.0.0.1:9464
//! curl http://127.0.0.1:9464/metrics
//! ```
//!
//! runs without a token and without a network, against a mock of GitHub that fails occasionally, until
//! Ctrl-C. `dashboards/grafana.json` shows these metrics.

#[path = "support/traffic.rs"]
mod traffic;

use std::env;
use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use octowire::observability::HISTOGRAM_BUCKETS;
use octowire::testing::{Fault, MockGitHub};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let address = match arguments.as_slice() {
        [] => "127.0.0.1:9464",
        ["--listen", address] => address,
        _ => return Err("usage: prometheus [--listen ADDRESS:PORT]".into()),
    };
    // Before the client is built, so that it can describe its metrics.
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Prefix("octowire_".to_owned()), &HISTOGRAM_BUCKETS)?
        .install_recorder()?;
    let app = Router::new().route("/metrics", get(move || async move { metrics.render() }));
    let listener = TcpListener::bind(address).await?;
    println!("http://{}/metrics", listener.local_addr()?);

    let mock = MockGitHub::start().await;
    mock.on(|github| github.repos().get())
        .passthrough()
        .times(20)
        .fault(Fault::ServerError(502))
        .passthrough()
        .delay(Duration::from_millis(300))
        .fault(Fault::Reset)
        .passthrough();
    let traffic = tokio::spawn(traffic::traffic(mock.client()));
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without signals, it continues until it is killed.
            std::future::pending::<()>().await;
        }
    };
    axum::serve(listener, app).with_graceful_shutdown(interrupted).await?;
    traffic.abort();
    Ok(())
}
