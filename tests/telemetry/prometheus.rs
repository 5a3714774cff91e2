//! A Prometheus that scrapes a client's metrics answers for each of them, and for each panel of the dashboard.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs, process};

use crate::scenarios;
use axum::Router;
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use octowire::observability::{HISTOGRAM_BUCKETS, METRICS, MetricKind};
use octowire::webhooks::{Delivery, OutgoingDelivery, Verifier, WebhookReceiver};
use reqwest::Client;
use serde_json::Value;

#[path = "../support/ports.rs"]
mod ports;

const DASHBOARD: &str = include_str!("../../dashboards/grafana.json");

/// The query for Prometheus, without the variables of Grafana.
fn queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let queries = targets.map(|target| target["expr"].as_str().unwrap());
    queries.map(|query| query.replace("$__rate_interval", "1m")).collect()
}

#[test]
fn the_dashboard_uses_each_metric_and_no_others() {
    let mut used = BTreeSet::new();
    for query in queries() {
        for word in query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
            if word.starts_with("octowire_") {
                let name = METRICS.iter().find(|metric| {
                    let histogram = metric.kind == MetricKind::Histogram;
                    let parts = ["_bucket", "_sum", "_count"];
                    word == metric.name
                        || histogram
                            && parts.iter().any(|part| word.strip_suffix(part) == Some(metric.name))
                });
                used.insert(name.unwrap_or_else(|| panic!("{word} is no metric: {query}")).name);
            }
        }
    }
    let all: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(used, all);
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let ids: BTreeSet<u64> = dashboard["panels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.len(), dashboard["panels"].as_array().unwrap().len());
}

/// A Prometheus that scrapes a server every second; it ends with this value.
struct Prometheus {
    child: Child,
    folder: PathBuf,
    url: String,
}

impl Prometheus {
    fn start(target: &str) -> Self {
        let folder = env::temp_dir().join(format!("octowire-prometheus-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let config = format!(
            "global: {{ scrape_interval: 1s }}\n\
             scrape_configs: [{{ job_name: octowire, static_configs: [{{ targets: ['{target}'] }}] }}]\n"
        );
        let file = folder.join("prometheus.yml");
        fs::write(&file, config).unwrap();
        let free = format!("127.0.0.1:{}", ports::free_port());
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={free}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus, which scripts/test.sh installs");
        Self { child, folder, url: format!("http://{free}/api/v1/query") }
    }

    /// The result of a query: empty while Prometheus has not started, or has no value.
    async fn ask(&self, query: &str) -> Result<usize, String> {
        let response = Client::new().post(&self.url).form(&[("query", query)]).send().await;
        let Ok(response) = response else { return Ok(0) };
        let response: Value = response.json().await.unwrap_or_default();
        match response["status"].as_str() {
            Some("success") => Ok(response["data"]["result"].as_array().map_or(0, Vec::len)),
            _ => Err(format!("{query}: {response}")),
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

async fn handle(delivery: Delivery) -> octowire::Result<()> {
    delivery.event().map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_has_data_for_each_metric_and_each_panel() {
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Prefix("octowire_".to_owned()), &HISTOGRAM_BUCKETS)
        .unwrap()
        .install_recorder()
        .unwrap();
    let receiver =
        WebhookReceiver::builder(Verifier::new("a secret").unwrap()).start(handle).unwrap();
    let app = Router::new()
        .route("/metrics", get(move || async move { metrics.render() }))
        .merge(receiver.router("/webhooks"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let prometheus = Prometheus::start(&address.to_string());

    let asked: Vec<String> = METRICS
        .iter()
        .map(|metric| match metric.kind {
            MetricKind::Histogram => format!("{}_count", metric.name),
            _ => metric.name.to_owned(),
        })
        .chain(queries())
        .collect();
    let mut open = asked.clone();
    // A rate needs two scrapes with traffic between them.
    for round in 0..60 {
        scenarios::traffic().await;
        let delivery = OutgoingDelivery::new("ping", "{\"zen\":7}").id(format!("d-{round}"));
        delivery.send("a secret", &format!("http://{address}/webhooks")).await.unwrap();
        let mut left = Vec::new();
        for query in open {
            if prometheus.ask(&query).await.unwrap() == 0 {
                left.push(query);
            }
        }
        open = left;
        if open.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(open.is_empty(), "no answer to {open:#?}");
    println!("{} queries are answered", asked.len());
}
