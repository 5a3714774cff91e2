//! Spans and events are the documented ones.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::{self, ThreadId};

use octowire::testing::{Fault, MockGitHub};
use reqwest::Method;
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::scenarios;

/// A span that ended or not: its name, level, and the fields that have a value.
#[derive(Clone, Debug, Default)]
struct SpanRecord {
    name: &'static str,
    level: Option<Level>,
    fields: BTreeMap<String, String>,
}

/// Keeps every span and event of each thread: a test has one.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<HashMap<ThreadId, ThreadRecords>>>);

#[derive(Default)]
struct ThreadRecords {
    open: HashMap<u64, SpanRecord>,
    closed: Vec<SpanRecord>,
    events: Vec<SpanRecord>,
}

static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    log
});

impl Visit for SpanRecord {
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
        let mut record = SpanRecord {
            name: metadata.name(),
            level: Some(*metadata.level()),
            ..SpanRecord::default()
        };
        attributes.record(&mut record);
        self.with_records(|records| records.open.insert(id.into_u64(), record));
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, _: Context<'_, S>) {
        self.with_records(|records| {
            if let Some(reported) = records.open.get_mut(&id.into_u64()) {
                record.record(reported);
            }
        });
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut record = SpanRecord {
            name: metadata.target(),
            level: Some(*metadata.level()),
            ..SpanRecord::default()
        };
        event.record(&mut record);
        self.with_records(|records| records.events.push(record));
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.with_records(|records| {
            let record = records.open.remove(&id.into_u64());
            records.closed.extend(record);
        });
    }
}

impl Log {
    /// The log, without entries of another test on this thread.
    fn start() -> Self {
        LOG.with_records(|records| *records = ThreadRecords::default());
        LOG.clone()
    }

    fn with_records<T>(&self, look: impl FnOnce(&mut ThreadRecords) -> T) -> T {
        look(self.0.lock().unwrap().entry(thread::current().id()).or_default())
    }

    /// The spans of this name that ended.
    fn spans(&self, name: &str) -> Vec<SpanRecord> {
        self.with_records(|records| {
            records.closed.iter().filter(|record| record.name == name).cloned().collect()
        })
    }

    fn events(&self) -> Vec<SpanRecord> {
        self.with_records(|records| records.events.clone())
    }
}

/// The rows of a table in the documentation that begin so, by their cells.
pub(crate) fn documented(begins: &str) -> Vec<Vec<String>> {
    let docs = include_str!("../../src/observability/mod.rs");
    let rows = docs.lines().filter(|line| line.starts_with(&format!("//! | `{begins}")));
    rows.map(|row| row.split('|').skip(1).map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[tokio::test]
async fn spans_have_the_fields_that_are_documented_and_no_others() {
    let log = Log::start();
    let mock = MockGitHub::start().await;
    mock.on(|github| github.repos().get()).fault(Fault::ServerError(502)).passthrough();
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
    let names = |spans: &[SpanRecord]| -> BTreeSet<String> {
        spans.iter().flat_map(|record| record.fields.keys().cloned()).collect()
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

    let of = |spans: &[SpanRecord], name: &str, value: &str| -> Vec<SpanRecord> {
        let has = |record: &&SpanRecord| record.fields.get(name).is_some_and(|is| is == value);
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
        .map(|record| record.fields["github.cache"].clone())
        .collect();
    assert_eq!(cached, BTreeSet::from(["miss".to_owned(), "revalidated".to_owned()]));
    let sent = of(&attempts, "otel.name", "GET /repos/{owner}/{repo}");
    let resends: Vec<_> =
        sent.iter().filter_map(|record| record.fields.get("http.request.resend_count")).collect();
    assert_eq!((sent.len(), resends), (3, vec![&"1".to_owned()]));
    assert_eq!(of(&sent, "error.type", "502").len(), 1);
    let by_hand = &of(&calls, "github.operation", "GET /user")[0];
    assert!(!by_hand.fields.contains_key("url.template"));
}

#[tokio::test]
async fn a_client_that_works_is_silent_at_info() {
    let log = Log::start();
    let mock = MockGitHub::start().await;
    mock.on(|github| github.repos().get()).fault(Fault::ServerError(502)).passthrough();
    let github = mock.client();
    github.repos().get().owner("acme").repo("rocket").send().await.unwrap();
    github.issues().get().owner("acme").repo("rocket").issue_number(1).send().await.unwrap_err();
    let loud: Vec<_> =
        log.events().into_iter().filter(|record| record.level <= Some(Level::INFO)).collect();
    assert!(loud.is_empty(), "{loud:#?}");
    assert!(!log.events().is_empty());
}

#[tokio::test]
async fn bodies_are_logged_on_request_and_without_secrets() {
    let log = Log::start();
    let mock = MockGitHub::start().await;
    let bodies = octowire::observability::BodyLogging::default();
    for (client, logged) in
        [(mock.client(), 0), (mock.client_builder().body_logging(bodies).build().unwrap(), 4)]
    {
        let create = client.issues().create().owner("acme").repo("rocket").title("Shown");
        create.send().await.unwrap();
        let path = "/app/installations/7/access_tokens";
        let issue_token =
            client.request(Method::POST, path).json(&json!({ "repositories": ["rocket"] }));
        let token =
            issue_token.send::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned();
        let record: Vec<_> =
            log.events().into_iter().filter(|record| record.name == "octowire::body").collect();
        assert_eq!(record.len(), logged);
        let text = format!("{record:?}");
        assert_eq!(text.contains("Shown"), logged > 0);
        assert!(!text.contains(&token));
    }
}

#[tokio::test]
async fn a_span_says_how_a_call_really_ended() {
    let log = Log::start();
    scenarios::three_that_fail_late().await;

    let ended = |spans: Vec<SpanRecord>| -> Vec<(String, Option<String>, Option<String>)> {
        let ended = spans.into_iter().map(|record| {
            let field = |name: &str| record.fields.get(name).cloned();
            (record.fields["otel.name"].clone(), field("error.type"), field("otel.status_code"))
        });
        ended.collect()
    };
    let record = |name: &str, failed: &str| {
        (name.to_owned(), Some(failed.to_owned()), Some("ERROR".to_owned()))
    };
    assert_eq!(
        ended(log.spans("github")),
        [
            record("POST", "graphql"),
            record("repos/get", "decode"),
            record("meta/root", "cancelled")
        ]
    );
    let attempts = ended(log.spans("github.attempt"));
    assert_eq!(
        attempts[1],
        ("GET /repos/{owner}/{repo}".to_owned(), None, None),
        "the attempt itself was well"
    );
    assert_eq!(attempts[2], record("GET /", "cancelled"));
}

#[tokio::test]
async fn a_shared_usage_budget_near_its_limit_is_warned_about_once() {
    use octowire::cache::CacheConfig;
    use octowire::usage::{Budget, Period, UsageConfig};

    let log = Log::start();
    let mock = MockGitHub::start().await;
    let store = octowire::store::MemoryStore::new();
    let client = || {
        let budget = Budget::new("a plan", Period::Month).soft_limit(3).hard_limit(6);
        let builder = mock.client_builder().usage(UsageConfig::new().budget(budget));
        builder.cache(CacheConfig::disabled()).store(store.clone()).build().unwrap()
    };
    let (one, other) = (client(), client());
    for _ in 0..4 {
        let _ = one.meta().root().send().await;
        let _ = other.meta().root().send().await;
    }
    let record: Vec<_> =
        log.events().into_iter().filter(|record| record.level == Some(Level::WARN)).collect();
    assert_eq!(record.len(), 1, "{record:#?}");
    assert_eq!(
        (record[0].fields["budget"].as_str(), record[0].fields["used"].as_str()),
        ("a plan", "3")
    );
}
