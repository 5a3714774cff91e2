//! What is told is what is documented: spans with their fields, and metrics with their labels.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use octowire::testing::{Fault, MockGitHub};
use octowire::{CircuitBreaker, Client, RetryPolicy};
use reqwest::Method;
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// A span that ended or not: its name, level, and the fields that have a value.
#[derive(Clone, Debug, Default)]
struct Told {
    name: &'static str,
    level: Option<Level>,
    fields: BTreeMap<String, String>,
}

/// Keeps every span and event.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    spans: BTreeMap<u64, Told>,
    events: Vec<Told>,
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.fields.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name().to_owned(), value.to_owned());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Log {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let metadata = attributes.metadata();
        let mut told =
            Told { name: metadata.name(), level: Some(*metadata.level()), ..Told::default() };
        attributes.record(&mut told);
        self.0.lock().unwrap().spans.insert(id.into_u64(), told);
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, _: Context<'_, S>) {
        if let Some(told) = self.0.lock().unwrap().spans.get_mut(&id.into_u64()) {
            record.record(told);
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut told =
            Told { name: metadata.target(), level: Some(*metadata.level()), ..Told::default() };
        event.record(&mut told);
        self.0.lock().unwrap().events.push(told);
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        // Ids are given again: the span moves to where none is.
        let mut log = self.0.lock().unwrap();
        if let Some(told) = log.spans.remove(&id.into_u64()) {
            let next = u64::MAX - log.spans.len() as u64;
            log.spans.insert(next, told);
        }
    }
}

impl Log {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::registry().with(log.clone());
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn spans(&self, name: &str) -> Vec<Told> {
        self.0.lock().unwrap().spans.values().filter(|told| told.name == name).cloned().collect()
    }

    fn events(&self) -> Vec<Told> {
        self.0.lock().unwrap().events.clone()
    }
}

/// The rows of a table in the documentation that begin so, by their cells.
fn documented(begins: &str) -> Vec<Vec<String>> {
    let docs = include_str!("../../src/telemetry.rs");
    let rows = docs.lines().filter(|line| line.starts_with(&format!("//! | `{begins}")));
    rows.map(|row| row.split('|').skip(1).map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[tokio::test]
async fn spans_have_the_fields_that_are_documented_and_no_others() {
    let (log, _guard) = Log::start();
    let mock = MockGitHub::start().await;
    mock.on(|github| github.repos().get()).fault(Fault::ServerError(502)).pass();
    mock.on(|github| github.issues().get()).error(404, "Not Found");
    let github = mock.client();
    let repository = || github.repos().get().owner("acme").repo("rocket").send();
    repository().await.unwrap();
    repository().await.unwrap();
    github.issues().get().owner("acme").repo("rocket").issue_number(1).send().await.unwrap_err();
    github.request(Method::GET, "/user").send::<Value>().await.unwrap();

    let calls = log.spans("github");
    let attempts = log.spans("github.attempt");
    assert_eq!((calls.len(), attempts.len()), (4, 5));
    let names = |spans: &[Told]| -> BTreeSet<String> {
        spans.iter().flat_map(|told| told.fields.keys().cloned()).collect()
    };
    let mut expected = (BTreeSet::new(), BTreeSet::new());
    for prefix in ["otel", "github.", "http.re", "url.", "server.", "error."] {
        for row in documented(prefix) {
            let name = row[0].trim_matches('`').to_owned();
            if !row[1].is_empty() {
                expected.0.insert(name.clone());
            }
            if !row[2].is_empty() {
                expected.1.insert(name);
            }
        }
    }
    assert_eq!((names(&calls), names(&attempts)), expected);

    let of = |spans: &[Told], name: &str, value: &str| -> Vec<Told> {
        let has = |told: &&Told| told.fields.get(name).is_some_and(|is| is == value);
        spans.iter().filter(has).cloned().collect()
    };
    let failed = &of(&calls, "github.operation", "issues/get")[0];
    assert_eq!(failed.level, Some(Level::INFO));
    assert_eq!(failed.fields["error.type"], "404");
    assert_eq!(failed.fields["http.response.status_code"], "404");
    assert_eq!(failed.fields["url.template"], "/repos/{owner}/{repo}/issues/{issue_number}");
    assert_eq!(failed.fields["server.address"], "127.0.0.1");
    assert!(failed.fields["github.request_id"].contains(':'));
    let cached: BTreeSet<_> = of(&calls, "github.operation", "repos/get")
        .iter()
        .map(|told| told.fields["github.cache"].clone())
        .collect();
    assert_eq!(cached, BTreeSet::from(["miss".to_owned(), "revalidated".to_owned()]));
    let sent = of(&attempts, "otel.name", "GET /repos/{owner}/{repo}");
    let resends: Vec<_> =
        sent.iter().filter_map(|told| told.fields.get("http.request.resend_count")).collect();
    assert_eq!((sent.len(), resends), (3, vec![&"1".to_owned()]));
    assert_eq!(of(&sent, "error.type", "502").len(), 1);
    let by_hand = &of(&calls, "otel.name", "GET /user")[0];
    assert!(!by_hand.fields.contains_key("url.template"));
}

#[tokio::test]
async fn a_client_that_works_is_silent_at_info() {
    let (log, _guard) = Log::start();
    let mock = MockGitHub::start().await;
    mock.on(|github| github.repos().get()).fault(Fault::ServerError(502)).pass();
    let github = mock.client();
    github.repos().get().owner("acme").repo("rocket").send().await.unwrap();
    github.issues().get().owner("acme").repo("rocket").issue_number(1).send().await.unwrap_err();
    let loud: Vec<_> =
        log.events().into_iter().filter(|told| told.level <= Some(Level::INFO)).collect();
    assert!(loud.is_empty(), "{loud:#?}");
    assert!(!log.events().is_empty());
}

#[tokio::test]
async fn bodies_are_logged_for_who_asks_and_without_secrets() {
    let (log, _guard) = Log::start();
    let mock = MockGitHub::start().await;
    let bodies = octowire::telemetry::BodyLog::default();
    for (client, logged) in
        [(mock.client(), 0), (mock.client_builder().log_bodies(bodies).build().unwrap(), 4)]
    {
        let create = client.issues().create().owner("acme").repo("rocket").title("Shown");
        create.send().await.unwrap();
        let path = "/app/installations/7/access_tokens";
        let mint = client.request(Method::POST, path).json(&json!({ "repositories": ["rocket"] }));
        let token = mint.send::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned();
        let told: Vec<_> =
            log.events().into_iter().filter(|told| told.name == "octowire::body").collect();
        assert_eq!(told.len(), logged);
        let text = format!("{told:?}");
        assert_eq!(text.contains("Shown"), logged > 0);
        assert!(!text.contains(&token));
    }
}

#[cfg(feature = "metrics")]
mod metrics {
    use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
    use metrics_util::{CompositeKey, MetricKind as Kind};
    use octowire::telemetry::{METRICS, Metric, MetricKind};

    use super::*;

    /// What was recorded: by name, the kind, and for each set of labels the value.
    struct Seen(Vec<(CompositeKey, DebugValue)>);

    impl Seen {
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

    /// Everything that there is to be told of.
    async fn all_that_happens() {
        let mock = MockGitHub::start().await;
        mock.on(|github| github.repos().get()).fault(Fault::ServerError(502)).pass();
        mock.on(|github| github.issues().get()).error(404, "Not Found");
        mock.on(|github| github.users().get_authenticated())
            .fault(Fault::SecondaryRateLimit { retry_after: Some(Duration::from_secs(1)) })
            .pass();
        let github = mock.client();
        for _ in 0..2 {
            github.repos().get().owner("acme").repo("rocket").send().await.unwrap();
        }
        let get = github.issues().get().owner("acme").repo("rocket").issue_number(1);
        get.send().await.unwrap_err();
        github.users().get_authenticated().send().await.unwrap();

        // A circuit opens, and a store that is not there does not answer.
        let down = MockGitHub::start().await;
        down.on_any().fault(Fault::ServerError(500));
        let breaker = CircuitBreaker::default().attempts(1);
        let broken = down.client_builder().circuit_breaker(breaker).retry(RetryPolicy::none());
        let broken = broken.store(Gone).build().unwrap();
        for _ in 0..2 {
            broken.users().get_authenticated().send().await.unwrap_err();
        }
        token(&mock).await;
        #[cfg(feature = "webhooks-core")]
        delivery().await;
    }

    #[derive(Debug)]
    struct Gone;

    use octowire::store::{Store, StoreFuture};

    impl Store for Gone {
        fn get<'a>(&'a self, _: &'a str) -> StoreFuture<'a, Option<octowire::bytes::Bytes>> {
            Box::pin(std::future::pending())
        }

        fn put<'a>(
            &'a self,
            _: &'a str,
            _: octowire::bytes::Bytes,
            _: Duration,
        ) -> StoreFuture<'a, ()> {
            Box::pin(std::future::pending())
        }

        fn claim<'a>(
            &'a self,
            _: &'a str,
            _: octowire::bytes::Bytes,
            _: Duration,
        ) -> StoreFuture<'a, bool> {
            Box::pin(std::future::pending())
        }

        fn renew<'a>(
            &'a self,
            _: &'a str,
            _: octowire::bytes::Bytes,
            _: Duration,
        ) -> StoreFuture<'a, bool> {
            Box::pin(std::future::pending())
        }

        fn remove<'a>(&'a self, _: &'a str) -> StoreFuture<'a, ()> {
            Box::pin(std::future::pending())
        }

        fn release<'a>(&'a self, _: &'a str, _: octowire::bytes::Bytes) -> StoreFuture<'a, bool> {
            Box::pin(std::future::pending())
        }

        fn add<'a>(&'a self, _: &'a str, _: i64, _: Duration) -> StoreFuture<'a, i64> {
            Box::pin(std::future::pending())
        }
    }

    async fn token(mock: &MockGitHub) {
        use octowire::auth::{AccessToken, MintRequest, TokenFuture, TokenSource};

        #[derive(Debug)]
        struct Once(std::sync::atomic::AtomicBool);

        impl TokenSource for Once {
            fn identity(&self) -> std::borrow::Cow<'_, str> {
                "once".into()
            }

            fn mint<'a>(&'a self, _: MintRequest<'a>) -> TokenFuture<'a> {
                let first = self.0.swap(false, std::sync::atomic::Ordering::Relaxed);
                Box::pin(async move {
                    match first {
                        true => AccessToken::new("a-token".to_owned()),
                        // No token is empty.
                        false => AccessToken::new(String::new()),
                    }
                })
            }
        }

        let github: Client = mock.client().with_auth(Once(true.into()));
        github.access_token().await.unwrap();
        github.forget_token().await.unwrap();
        github.access_token().await.unwrap_err();
    }

    #[cfg(feature = "webhooks-core")]
    async fn delivery() {
        use octowire::webhooks::{Delivery, Receiver, Verifier};

        async fn handle(_: Delivery) -> octowire::Result<()> {
            Ok(())
        }

        let receiver =
            Receiver::builder(Verifier::new("a secret").unwrap()).inline().start(handle).unwrap();
        let body = "{\"zen\":\"x\"}";
        let signature = octowire::webhooks::sign("a secret", body.as_bytes()).unwrap();
        let request = octowire::http::Request::post("/")
            .header("content-type", "application/json")
            .header("x-github-event", "ping")
            .header("x-github-delivery", "1")
            .header("x-hub-signature-256", signature);
        let request =
            request.body(http_body_util::Full::new(octowire::bytes::Bytes::from(body))).unwrap();
        let answer = tower::ServiceExt::oneshot(receiver, request).await.unwrap();
        assert_eq!(answer.status(), 200);
    }

    #[tokio::test]
    async fn metrics_are_those_that_are_documented_with_their_labels_and_no_others() {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        let _guard = ::metrics::set_default_local_recorder(&recorder);
        all_that_happens().await;
        let seen = Seen::take(&snapshotter);

        let mut told: BTreeMap<String, (Kind, BTreeSet<Vec<String>>)> = BTreeMap::new();
        for (key, _) in &seen.0 {
            let labels: Vec<String> = key.key().labels().map(|it| it.key().to_owned()).collect();
            let entry = told.entry(key.key().name().to_owned());
            entry.or_insert_with(|| (key.kind(), BTreeSet::new())).1.insert(labels);
        }
        let webhooks = cfg!(feature = "webhooks-core");
        let expected: BTreeMap<_, _> = METRICS
            .iter()
            .filter(|metric| webhooks || !metric.name.contains("webhook"))
            .map(|Metric { name, kind, labels, .. }| {
                let kind = match kind {
                    MetricKind::Counter => Kind::Counter,
                    MetricKind::Gauge => Kind::Gauge,
                    _ => Kind::Histogram,
                };
                let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
                ((*name).to_owned(), (kind, BTreeSet::from([labels])))
            })
            .collect();
        assert_eq!(told, expected);

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
        assert_eq!(
            value("rate_limited_total", &[("kind", "secondary"), ("resource", "core")]),
            1.0
        );
        assert_eq!(value("tokens_total", &[("outcome", "minted")]), 1.0);
        assert_eq!(value("tokens_total", &[("outcome", "failed")]), 1.0);
        assert_eq!(value("store_available", &[]), 0.0);
        assert_eq!(value("calls_in_flight", &[]), 0.0);
        assert_eq!(value("calls_waiting", &[]), 0.0);
        assert!(value("rate_limit_remaining", &[("resource", "core")]) > 0.0);
        assert_eq!(value("circuit_state", &[]), 2.0, "one is open, the others closed");
        let open = ("outcome", "handled");
        assert_eq!(
            value("webhook_deliveries_total", &[("event", "ping"), open]),
            f64::from(u8::from(webhooks))
        );
    }

    #[test]
    fn the_table_of_the_documentation_is_the_data() {
        let rows = documented("octowire_");
        let data: Vec<Vec<String>> = METRICS
            .iter()
            .map(|metric| {
                let labels: Vec<String> =
                    metric.labels.iter().map(|it| format!("`{it}`")).collect();
                let kind = format!("{:?}", metric.kind).to_lowercase();
                let name = format!("`{}`", metric.name);
                let description = metric.description.to_owned();
                vec![
                    name,
                    kind,
                    metric.unit.to_owned(),
                    labels.join(", "),
                    description,
                    String::new(),
                ]
            })
            .collect();
        assert_eq!(rows, data);
    }
}
