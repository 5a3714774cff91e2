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

use crate::scenes;

/// A span that ended or not: its name, level, and the fields that have a value.
#[derive(Clone, Debug, Default)]
struct Told {
    name: &'static str,
    level: Option<Level>,
    fields: BTreeMap<String, String>,
}

/// Keeps every span and event of each thread: a test has one.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<HashMap<ThreadId, Kept>>>);

#[derive(Default)]
struct Kept {
    open: HashMap<u64, Told>,
    closed: Vec<Told>,
    events: Vec<Told>,
}

static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    log
});

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
        self.kept(|kept| kept.open.insert(id.into_u64(), told));
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, _: Context<'_, S>) {
        self.kept(|kept| {
            if let Some(told) = kept.open.get_mut(&id.into_u64()) {
                record.record(told);
            }
        });
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut told =
            Told { name: metadata.target(), level: Some(*metadata.level()), ..Told::default() };
        event.record(&mut told);
        self.kept(|kept| kept.events.push(told));
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.kept(|kept| {
            let told = kept.open.remove(&id.into_u64());
            kept.closed.extend(told);
        });
    }
}

impl Log {
    /// The log, without entries of another test on this thread.
    fn start() -> Self {
        LOG.kept(|kept| *kept = Kept::default());
        LOG.clone()
    }

    fn kept<T>(&self, look: impl FnOnce(&mut Kept) -> T) -> T {
        look(self.0.lock().unwrap().entry(thread::current().id()).or_default())
    }

    /// The spans of this name that ended.
    fn spans(&self, name: &str) -> Vec<Told> {
        self.kept(|kept| kept.closed.iter().filter(|told| told.name == name).cloned().collect())
    }

    fn events(&self) -> Vec<Told> {
        self.kept(|kept| kept.events.clone())
    }
}

/// The rows of a table in the documentation that begin so, by their cells.
pub(crate) fn documented(begins: &str) -> Vec<Vec<String>> {
    let docs = include_str!("../../src/telemetry.rs");
    let rows = docs.lines().filter(|line| line.starts_with(&format!("//! | `{begins}")));
    rows.map(|row| row.split('|').skip(1).map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[tokio::test]
async fn spans_have_the_fields_that_are_documented_and_no_others() {
    let log = Log::start();
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
    let by_hand = &of(&calls, "github.operation", "GET /user")[0];
    assert!(!by_hand.fields.contains_key("url.template"));
}

#[tokio::test]
async fn a_client_that_works_is_silent_at_info() {
    let log = Log::start();
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
async fn bodies_are_logged_on_request_and_without_secrets() {
    let log = Log::start();
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

#[tokio::test]
async fn a_span_says_how_a_call_really_ended() {
    let log = Log::start();
    scenes::three_that_fail_late().await;

    let ended = |spans: Vec<Told>| -> Vec<(String, Option<String>, Option<String>)> {
        let ended = spans.into_iter().map(|told| {
            let field = |name: &str| told.fields.get(name).cloned();
            (told.fields["otel.name"].clone(), field("error.type"), field("otel.status_code"))
        });
        ended.collect()
    };
    let told = |name: &str, failed: &str| {
        (name.to_owned(), Some(failed.to_owned()), Some("ERROR".to_owned()))
    };
    assert_eq!(
        ended(log.spans("github")),
        [told("POST", "graphql"), told("repos/get", "decode"), told("meta/root", "cancelled")]
    );
    let attempts = ended(log.spans("github.attempt"));
    assert_eq!(
        attempts[1],
        ("GET /repos/{owner}/{repo}".to_owned(), None, None),
        "the attempt itself was well"
    );
    assert_eq!(attempts[2], told("GET /", "cancelled"));
}

#[tokio::test]
async fn a_shared_usage_budget_near_its_limit_is_warned_about_once() {
    use octowire::cache::Cache;
    use octowire::telemetry::usage::{Budget, Period, UsagePolicy};

    let log = Log::start();
    let mock = MockGitHub::start().await;
    let store = octowire::store::Memory::new();
    let client = || {
        let budget = Budget::new("a plan", Period::Month).soft(3).hard(6);
        let builder = mock.client_builder().usage(UsagePolicy::new().budget(budget));
        builder.cache(Cache::off()).store(store.clone()).build().unwrap()
    };
    let (one, other) = (client(), client());
    for _ in 0..4 {
        let _ = one.meta().root().send().await;
        let _ = other.meta().root().send().await;
    }
    let told: Vec<_> =
        log.events().into_iter().filter(|told| told.level == Some(Level::WARN)).collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(
        (told[0].fields["budget"].as_str(), told[0].fields["used"].as_str()),
        ("a plan", "3")
    );
}
