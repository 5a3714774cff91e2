//! The recorded metrics are the documented ones, with their labels.

use std::collections::{BTreeMap, BTreeSet};

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use metrics_util::{CompositeKey, MetricKind as Kind};
use octowire::observability::{METRICS, MetricDescription, MetricKind};
use octowire::testing::{Fault, MockGitHub};
use octowire::{CircuitBreaker, OnItemError, RetryPolicy};
use reqwest::Method;
use serde_json::{Value, json};

use crate::scenarios;
use crate::spans::documented;

/// The recorded metrics: by name, the kind, and the value of each set of labels.
struct MetricsSnapshot(Vec<(CompositeKey, DebugValue)>);

impl MetricsSnapshot {
    fn take(snapshotter: &Snapshotter) -> Self {
        let all = snapshotter.snapshot().into_vec();
        Self(all.into_iter().map(|(key, _, _, value)| (key, value)).collect())
    }

    /// The value for these labels, as a number.
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |key: &CompositeKey| {
            let all: Vec<_> = key.key().labels().map(|it| (it.key(), it.value())).collect();
            key.key().name() == name && labels.iter().all(|label| all.contains(label))
        };
        let found = self.0.iter().filter(|(key, _)| has(key));
        found
            .map(|(_, value)| match value {
                DebugValue::Counter(count) => *count as f64,
                DebugValue::Gauge(value) => value.into_inner(),
                DebugValue::Histogram(values) => values.len() as f64,
            })
            .sum()
    }
}

async fn delivery() {
    use octowire::webhooks::{Delivery, Verifier, WebhookReceiver};

    async fn handle(delivery: Delivery) -> octowire::Result<()> {
        delivery.event().map(drop)
    }

    let receiver = WebhookReceiver::builder(Verifier::new("a secret").unwrap())
        .respond_after_handling()
        .start(handle)
        .unwrap();
    // It does not fit the event's type.
    let body = "{\"zen\":7}";
    let signature = octowire::webhooks::sign("a secret", body.as_bytes()).unwrap();
    let request = octowire::http::Request::post("/")
        .header("content-type", "application/json")
        .header("x-github-event", "ping")
        .header("x-github-delivery", "1")
        .header("x-hub-signature-256", signature);
    let request =
        request.body(http_body_util::Full::new(octowire::bytes::Bytes::from(body))).unwrap();
    let response = tower::ServiceExt::oneshot(receiver, request).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn metrics_are_those_that_are_documented_with_their_labels_and_no_others() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = ::metrics::set_default_local_recorder(&recorder);
    scenarios::traffic().await;
    delivery().await;
    let seen = MetricsSnapshot::take(&snapshotter);

    let mut reported: BTreeMap<String, (Kind, BTreeSet<Vec<String>>)> = BTreeMap::new();
    for (key, _) in &seen.0 {
        let labels: Vec<String> = key.key().labels().map(|it| it.key().to_owned()).collect();
        let entry = reported.entry(key.key().name().to_owned());
        entry.or_insert_with(|| (key.kind(), BTreeSet::new())).1.insert(labels);
    }
    let expected: BTreeMap<_, _> = METRICS
        .iter()
        .map(|MetricDescription { name, kind, labels, .. }| {
            let kind = match kind {
                MetricKind::Counter => Kind::Counter,
                MetricKind::Gauge => Kind::Gauge,
                _ => Kind::Histogram,
            };
            let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
            ((*name).to_owned(), (kind, BTreeSet::from([labels])))
        })
        .collect();
    assert_eq!(reported, expected);

    let value =
        |name: &str, labels: &[(&str, &str)]| seen.value(&format!("octowire_{name}"), labels);
    assert_eq!(value("calls_total", &[("operation", "repos/get"), ("outcome", "ok")]), 2.0);
    assert_eq!(value("calls_total", &[("operation", "issues/get"), ("outcome", "404")]), 1.0);
    assert_eq!(value("calls_total", &[("outcome", "circuit_open")]), 1.0);
    assert_eq!(value("call_duration_seconds", &[("operation", "repos/get")]), 2.0);
    assert_eq!(value("attempt_duration_seconds", &[("method", "GET"), ("status", "502")]), 1.0);
    assert_eq!(value("retries_total", &[("reason", "502")]), 1.0);
    assert_eq!(value("cache_total", &[("outcome", "revalidated")]), 1.0);
    assert_eq!(value("quota_saved_total", &[]), 1.0);
    assert_eq!(value("rate_limited_total", &[("kind", "secondary"), ("resource", "core")]), 1.0);
    assert_eq!(value("tokens_total", &[("outcome", "issued")]), 1.0);
    assert_eq!(value("tokens_total", &[("outcome", "failed")]), 1.0);
    let budget = ("budget", "a plan");
    assert_eq!(value("budget_used", &[budget]), 1.0);
    assert_eq!(value("budget_limit", &[budget]), 1.0);
    assert_eq!(value("budget_rejected_total", &[budget]), 1.0);
    assert_eq!(value("store_available", &[]), 0.0);
    assert_eq!(value("store_unreadable_total", &[("kind", "usage")]), 1.0);
    assert_eq!(value("calls_in_flight", &[]), 0.0);
    assert_eq!(value("calls_waiting", &[]), 0.0);
    assert!(value("rate_limit_remaining", &[("resource", "core")]) > 0.0);
    assert_eq!(value("circuit_state", &[]), 2.0, "one is open, the others closed");
    let open = ("outcome", "handled");
    assert_eq!(value("webhook_deliveries_total", &[("event", "ping"), open]), 1.0);
    let undecoded = [("event", "ping"), ("action", "none")];
    assert_eq!(value("webhook_undecoded_total", &undecoded), 1.0);
}

#[test]
fn the_table_of_the_documentation_is_the_data() {
    let rows = documented("octowire_");
    let data: Vec<Vec<String>> = METRICS
        .iter()
        .map(|metric| {
            let labels: Vec<String> = metric.labels.iter().map(|it| format!("`{it}`")).collect();
            let kind = format!("{:?}", metric.kind).to_lowercase();
            let name = format!("`{}`", metric.name);
            let description = metric.description.to_owned();
            vec![name, kind, metric.unit.to_owned(), labels.join(", "), description, String::new()]
        })
        .collect();
    assert_eq!(rows, data);
}

/// Returns the metrics recorded while a future runs.
async fn recorded(calls: impl Future<Output = ()>) -> MetricsSnapshot {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = ::metrics::set_default_local_recorder(&recorder);
    calls.await;
    MetricsSnapshot::take(&snapshotter)
}

#[tokio::test]
async fn a_call_is_counted_as_it_really_ended_and_once() {
    let seen = recorded(scenarios::three_that_fail_late()).await;
    let calls = |operation, outcome| {
        seen.value("octowire_calls_total", &[("operation", operation), ("outcome", outcome)])
    };
    assert_eq!(calls("POST /graphql", "graphql"), 1.0);
    assert_eq!(calls("repos/get", "decode"), 1.0);
    assert_eq!(calls("meta/root", "cancelled"), 1.0);
    assert_eq!(seen.value("octowire_calls_total", &[]), 3.0);
    assert_eq!(seen.value("octowire_call_duration_seconds", &[]), 3.0);
    assert_eq!(seen.value("octowire_attempt_duration_seconds", &[("status", "cancelled")]), 1.0);
    assert_eq!(seen.value("octowire_calls_in_flight", &[]), 0.0);
}

#[tokio::test]
async fn a_page_is_counted_by_its_outcome_after_decoding() {
    let label = json!({ "id": 1, "node_id": "x", "url": "https://x", "name": "x", "description": null,
        "color": "fff", "default": false });
    for (body, outcome, undecodable) in [
        (json!([label, label]), "ok", 0.0),
        (json!([label, 7, label, {}]), "decode", 2.0),
        (json!({ "message": "x" }), "decode", 0.0),
    ] {
        let mock = MockGitHub::start().await;
        let text = body.to_string();
        mock.on(|github| github.issues().list_labels_for_repo()).respond_raw(
            200,
            "application/json",
            text,
        );
        let github = mock.client();
        let call = github.issues().list_labels_for_repo().owner("a").repo("b");
        let seen = recorded(async {
            let mut items = call.clone().stream().on_item_error(OnItemError::Skip);
            while items.next().await.is_some() {}
        })
        .await;
        let labels = [("operation", "issues/list-labels-for-repo"), ("outcome", outcome)];
        assert_eq!(seen.value("octowire_calls_total", &labels), 1.0, "{body}");
        assert_eq!(seen.value("octowire_calls_total", &[]), 1.0, "{body}");
        let items = seen.value("octowire_undecodable_items_total", &labels[..1]);
        assert_eq!(items, undecodable, "{body}");
        let seen = recorded(async {
            let mut pages = call.pages();
            while pages.next().await.is_some() {}
        })
        .await;
        assert_eq!(seen.value("octowire_calls_total", &labels), 1.0, "{body}");
        assert_eq!(seen.value("octowire_calls_total", &[]), 1.0, "{body}");
        assert_eq!(seen.value("octowire_undecodable_items_total", &[]), 0.0, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_query_retried_after_a_rate_limit_is_one_call() {
    let mock = MockGitHub::start().await;
    let refused = r#"{"errors":[{"type":"RATE_LIMITED","message":"API rate limit exceeded"}]}"#;
    mock.on_request(Method::POST, "/graphql")
        .respond_raw(200, "application/json", refused)
        .header("retry-after", "30")
        .respond_raw(200, "application/json", r#"{"data":{"viewer":{"login":"octocat"}}}"#);
    let github = mock.client();
    let seen = recorded(async {
        github.graphql::<Value>("{ viewer { login } }", ()).await.unwrap();
    })
    .await;
    assert_eq!(mock.requests().len(), 2);
    assert_eq!(seen.value("octowire_calls_total", &[("outcome", "ok")]), 1.0);
    assert_eq!(seen.value("octowire_calls_total", &[]), 1.0);
    assert_eq!(seen.value("octowire_call_duration_seconds", &[]), 1.0);
    assert_eq!(seen.value("octowire_attempt_duration_seconds", &[("status", "200")]), 2.0);
    assert_eq!(seen.value("octowire_rate_limited_total", &[]), 1.0);
}

#[tokio::test]
async fn a_304_saves_quota_only_for_authenticated_calls() {
    let seen = recorded(async {
        let mock = MockGitHub::start().await;
        let (known, unauthenticated) = (mock.client(), mock.client().unauthenticated());
        for github in [&known, &known, &unauthenticated, &unauthenticated] {
            github.repos().get().owner("acme").repo("rocket").send().await.unwrap();
        }
    })
    .await;
    assert_eq!(seen.value("octowire_cache_total", &[("outcome", "revalidated")]), 2.0);
    assert_eq!(seen.value("octowire_quota_saved_total", &[]), 1.0);
}

#[tokio::test]
async fn a_responding_store_is_reported_and_another_client_hides_no_circuit() {
    let seen = recorded(async {
        let down = MockGitHub::start().await;
        down.on_any_request().fault(Fault::ServerError(500));
        let breaker = CircuitBreaker::default().min_samples(1);
        let builder = || down.client_builder().circuit_breaker(breaker.clone());
        let github = builder().retry(RetryPolicy::disabled()).build().unwrap();
        github.users().get_authenticated().send().await.unwrap_err();
        let _another = builder().build().unwrap();
        let mock = MockGitHub::start().await;
        let stored = mock.client_builder().store(octowire::store::MemoryStore::new());
        let stored = stored.build().unwrap();
        stored.repos().get().owner("acme").repo("rocket").send().await.unwrap();
    })
    .await;
    assert_eq!(seen.value("octowire_circuit_state", &[]), 2.0);
    assert_eq!(seen.value("octowire_store_available", &[]), 1.0);
}
