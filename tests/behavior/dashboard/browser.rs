//! The dashboard in a real browser.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::Method;
use octowire::bytes::Bytes;
use octowire::cache::{CacheConfig, CachePolicy};
use octowire::dashboard::Dashboard;
use octowire::store::KeyValueStore;
use octowire::testing::{Fault, MockGitHub};
use octowire::usage::{Budget, Period, PricingPlan, UsageConfig};
use octowire::webhooks::{Delivery, PermanentFailure, Verifier, WebhookReceiver, sign};
use octowire::{CircuitBreaker, Client, RetryPolicy};
use serde_json::Value;
use tokio::time::sleep;

use super::serve;
use crate::browser::Browser;
use crate::intercepting_store::InterceptingStore;
use crate::support::github_app::Key;

/// Keeps each text that a figure has had.
const WATCH: &str = r#"
window.had = {};
const note = () => document.querySelectorAll('[data-figure]').forEach((figure) => {
  (window.had[figure.dataset.figure] ??= []).includes(figure.textContent) || window.had[figure.dataset.figure].push(figure.textContent);
});
note();
new MutationObserver(note).observe(document.body, { subtree: true, childList: true, characterData: true });
"#;

/// Figures that stay unchanged here: the identity, operations that do not fail or are fresh, tokens that were
/// issued before the page was open, and deliveries that a journal replays, that exceed the capacity, whose store
/// fails, or that come while they are handled.
const STILL: [&str; 14] = [
    "identity",
    "failed issues/list-for-repo",
    "failed meta/get",
    "failed request",
    "failed users/get-authenticated",
    "failed apps/create-installation-access-token",
    "requests meta/get",
    "token installation:2",
    "token installation:3",
    "delivery replayed",
    "delivery rejected_records",
    "delivery busy",
    "delivery store_failures",
    "delivery in_progress",
];

fn is_still(figure: &str) -> bool {
    // Reasons come and go, and each is a sentence of its own.
    let has_type = cfg!(feature = "webhook-ping");
    STILL.contains(&figure)
        || figure.starts_with("reason ")
        || figure == "delivery undecoded" && !has_type
}

const SECRET: &str = "It's a Secret to Everybody";

async fn deliver(receiver: &WebhookReceiver, id: &str, secret: &str, content_type: &str) {
    // An invalid payload does not fit the type of the event either.
    let is_bad = id.starts_with("bad");
    let body = if is_bad { r#"{"zen":7}"# } else { r#"{"zen":"Keep it logically awesome."}"# };
    let request = http::Request::post("/")
        .header("content-type", content_type)
        .header("x-github-event", "ping")
        .header("x-github-delivery", id)
        .header("x-hub-signature-256", sign(secret, body.as_bytes()).unwrap());
    let request = request.body(http_body_util::Full::new(Bytes::from(body))).unwrap();
    tower::ServiceExt::oneshot(receiver.clone(), request).await.unwrap();
}

async fn handle(delivery: Delivery) -> Result<(), PermanentFailure> {
    sleep(Duration::from_millis(1_500)).await;
    let _ = delivery.event();
    if delivery.id().starts_with("bad") {
        Err(PermanentFailure::new("it is of no use"))
    } else {
        Ok(())
    }
}

/// Each sort of thing happens, for some seconds.
async fn traffic(round: u64, github: &Client, receiver: &WebhookReceiver, hangs: &AtomicBool) {
    for (id, secret, content_type) in [
        ("one", SECRET, "application/json"),
        ("bad", SECRET, "application/json"),
        ("two", "a guess", "application/json"),
        ("three", SECRET, "text/plain"),
    ] {
        deliver(receiver, &format!("{id}-{round}"), secret, content_type).await;
    }
    github.installation(round + 2).unwrap().access_token().await.unwrap();
    for round in 0..20 {
        let get = || github.repos().get().owner("o").repo("r");
        let slow = github.issues().list_for_repo().owner("o").repo("r");
        let missing = github.issues().get().owner("o").repo("r").issue_number(1);
        // Two lists at a time would be one call too many.
        let other = github.issues().list_for_repo().owner("o").repo("other");
        let _ = tokio::join!(get().send(), slow.send(), other.send(), missing.send());
        // One is fresh for a while, one is not current and the server fails, and one is not stored.
        let _ = github.meta().get().send().await;
        let _ = github.users().get_authenticated().send().await;
        let bypass = github.request(Method::GET, "/meta").cache(CachePolicy::no_store());
        let _ = bypass.send::<Value>().await;
        hangs.store((5..12).contains(&round), Ordering::Relaxed);
    }
    sleep(Duration::from_secs(2)).await;
    deliver(receiver, &format!("one-{round}"), SECRET, "application/json").await;
    // Now it fails all the time.
    for _ in 0..30 {
        let _ = github.meta().root().send().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_figure_changes_under_live_traffic_without_a_complaint() {
    let key = Key::generate();
    let mock = MockGitHub::start().await;
    let repo = mock.on(|github| github.repos().get());
    // Once in each round.
    repo.passthrough()
        .fault(Fault::ServerError(502))
        .passthrough()
        .times(23)
        .fault(Fault::ServerError(502))
        .passthrough();
    mock.on(|github| github.issues().get()).error(404, "Not <b>Found</b>");
    mock.on(|github| github.issues().list_for_repo()).delay(Duration::from_millis(200));
    mock.on(|github| github.meta().root()).fault(Fault::ServerError(503));
    mock.on(|github| github.users().get_authenticated())
        .passthrough()
        .fault(Fault::ServerError(504));
    let plan = PricingPlan::new("gateway", Period::Month, "USD").tier(20, 0).tier(1_000, 29_00);
    let budget = Budget::from_plan(plan).soft_limit(50).hard_limit(1_000);
    let hangs = Arc::new(AtomicBool::new(false));
    let reported = Arc::clone(&hangs);
    let store = InterceptingStore::new(move |_| !reported.load(Ordering::Relaxed));
    // One of them is left to a client that starts.
    let limits = octowire::rate_limit::SecondaryLimits::default().max_concurrent(3);
    let limits = octowire::rate_limit::RateLimitPolicy::default().secondary_limits(limits);
    // The month's first request was an hour ago.
    let now =
        octowire::chrono::DateTime::<octowire::chrono::Utc>::from(std::time::SystemTime::now());
    let github = mock.base_url().replace(':', "%3A");
    let month = now.format("%Y-%m");
    let first = format!("budget:v1:{github}/::gateway:of:installation%3A1:{month}:first");
    let hour_ago = Bytes::from((now.timestamp() - 3_600).to_string());
    store.put_if_absent(&first, hour_ago, Duration::from_secs(600)).await.unwrap();
    let app = octowire::auth::App::new("Iv23liOctowire", key.pem).unwrap();
    let minute = Duration::from_secs(60);
    let cache = CacheConfig::default()
        .policy_for("meta/get", CachePolicy::max_age(minute))
        .policy_for("users/get-authenticated", CachePolicy::revalidate().stale_if_error(minute));
    let github = mock
        .client_builder()
        .cache(cache)
        .auth(app.installation(1))
        .rate_limits(limits)
        .store(store)
        .usage(UsageConfig::new().budget(budget))
        .circuit_breaker(
            CircuitBreaker::default()
                .min_samples(20)
                .failure_rate(0.25)
                .open_duration(Duration::from_secs(4)),
        )
        .retry(RetryPolicy::disabled())
        .build()
        .unwrap();
    let receiver = WebhookReceiver::builder(Verifier::new(SECRET).unwrap()).start(handle).unwrap();
    let dashboard = || Dashboard::new(&github).title("Octowire").webhooks(&receiver);
    // On a runtime of its own, which can be ended with all its connections.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let address = runtime.spawn(serve(dashboard())).await.unwrap();

    let mut browser = Browser::start().await;
    browser.look(1280, 900, false).await;
    browser.open(&format!("http://{address}/")).await;
    browser
        .until("document.querySelector('[data-figure=connection]').textContent === 'live'")
        .await;
    browser.until("state.update").await;
    browser.value(WATCH).await;
    browser.until("had['status'].includes('ready')").await;
    for round in 0..2 {
        browser.value("had['status'] = []").await;
        traffic(round, &github, &receiver, &hangs).await;
        browser.until("had['status'].includes('not ready')").await;
        // Usage is read every five seconds.
        sleep(Duration::from_secs(6)).await;
    }
    figures_match_the_server(&mut browser, address).await;
    looks(&mut browser).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());

    // The server goes and comes back, and so does the page.
    runtime.shutdown_background();
    browser.until("had['connection'].some((text) => text.startsWith('connection lost'))").await;
    browser.until("document.body.classList.contains('stale')").await;
    let listener = loop {
        match tokio::net::TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    };
    tokio::spawn(dashboard().serve(listener).unwrap());
    browser
        .until("document.querySelector('[data-figure=connection]').textContent === 'live'")
        .await;
    browser.until("!document.body.classList.contains('stale')").await;
    let had = browser.value("had").await;
    let had: BTreeMap<String, BTreeSet<String>> = serde_json::from_value(had).unwrap();
    let still: Vec<_> =
        had.iter().filter(|(name, texts)| texts.len() < 2 && !is_still(name)).collect();
    assert!(still.is_empty(), "these never changed: {still:#?}\nof {had:#?}");
    assert!(had.len() > 60, "{} figures", had.len());
    let text = |name: &str| had.get(name).unwrap_or_else(|| panic!("{name} of {had:#?}"));
    assert!(text("store").iter().any(|text| text.starts_with("unavailable for ")));
    assert!(text("delivery handled").contains("1") && text("delivery failed").contains("1"));
    assert!(text("budget gateway").iter().any(|text| text.ends_with("29.00 USD")));
    assert!(
        text("in-flight").contains("2")
            && !text("queued").is_disjoint(&BTreeSet::from(["1".to_owned(), "2".to_owned()]))
    );

    // Text of GitHub is shown and not executed.
    let failed = browser.value("document.querySelector('#failed tbody').innerText").await;
    let failed = failed.as_str().unwrap();
    assert!(failed.contains("Not <b>Found</b>") && failed.contains("issues/get"), "{failed}");
    assert_eq!(browser.value("document.querySelectorAll('#failed b').length").await, 0);
}

/// The figures are those that the server tells, and the charts end with the second that ended last.
async fn figures_match_the_server(browser: &mut Browser, address: std::net::SocketAddr) {
    // Nothing happens any more, so that both are of the same time once the page has been told.
    let start = Instant::now();
    let reported = loop {
        let reported = reqwest::get(format!("http://{address}/state.json")).await.unwrap();
        let reported: Value = reported.json().await.unwrap();
        let wrong = differences(browser, &reported).await;
        if wrong.is_empty() {
            break reported;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{wrong:#?} of {reported}");
        sleep(Duration::from_millis(200)).await;
    };
    assert!(sum(&reported, "saved") > 20 && sum(&reported, "calls") > 200, "{reported}");
}

fn sum(reported: &Value, name: &str) -> u64 {
    reported["series"][name].as_array().unwrap().iter().map(|it| it.as_u64().unwrap()).sum()
}

/// The figures of the page that differ from those of the server.
async fn differences(browser: &mut Browser, reported: &Value) -> Vec<String> {
    let mut figures = vec![("quota-saved".to_owned(), sum(reported, "saved").to_string(), true)];
    for name in ["accepted", "handled", "failed", "duplicates", "unauthorized", "malformed"] {
        let count = reported["webhooks"][name].to_string();
        figures.push((format!("delivery {name}"), count, true));
    }
    // Of these, more is shown.
    let used = &reported["usage"]["budgets"][0]["used"];
    figures.push(("budget gateway".to_owned(), format!("{used} of 1000"), false));
    let core = &reported["limits"][0]["primary"][0]["remaining"];
    figures.push(("limit installation:1 core".to_owned(), format!("{core} of "), false));
    let mut wrong = Vec::new();
    for (name, expected, is_all) in figures {
        let text = format!("document.querySelector('[data-figure=\"{name}\"]').textContent");
        let shown = browser.value(&text).await.as_str().unwrap().replace(',', "");
        if !shown.starts_with(&expected) || is_all && shown != expected {
            wrong.push(format!("{name}: {shown:?} for {expected:?}"));
        }
    }
    let rows = browser.value("document.querySelectorAll('#failed tbody tr').length").await;
    if rows != reported["failed"].as_array().unwrap().len() {
        wrong.push(format!("{rows} rows of calls that failed"));
    }
    let ends = "[...document.querySelectorAll('#chart-calls svg.chart path')].map((path) => Math.round(path.getPointAtLength(path.getTotalLength()).x))";
    let ends = browser.value(ends).await;
    if ends != serde_json::json!([600, 600]) {
        wrong.push(format!("the lines end at {ends}"));
    }
    wrong
}

/// What is told in pieces is put where it belongs: seconds that were missed stay empty, a line that is new is zero
/// before, and after ten minutes the first ones go.
#[tokio::test]
async fn seconds_are_shown_in_their_places() {
    let unreachable = Client::builder().base_url("http://127.0.0.1:1").build().unwrap();
    let address = serve(Dashboard::new(&unreachable)).await;
    let mut browser = Browser::start().await;
    browser.open(&format!("http://{address}/")).await;
    browser.until("state.update").await;
    let shown = browser
        .value(
            r#"(() => {
  source.close();
  const series = (from, calls, errors) => {
    const line = (value) => calls.map(() => value);
    return { from, calls, requests: calls, saved: line(0), p50: line(null), p95: line(1), p99: line(2), cache: { hit: line(1) }, errors };
  };
  begin(series(100, [1, 2, 3], {}));
  extend(series(103, [4], { 404: [7] }));
  // Two seconds were missed.
  extend(series(106, [6], {}));
  const first = { from: state.from, calls: [...line('calls')], errors: [...line('error 404')], p50: [...line('p50')], smooth: smooth([5, 0, 0, 0, 0, 10]) };
  for (let at = 107; at < 800; at += 1) extend(series(at, [at], at === 790 ? { 502: [1] } : {}));
  return { first, from: state.from, length: line('calls').length, last: line('calls').at(-1), names: [...state.lines.keys()].sort(), error: line('error 502').indexOf(1), after: line('error 502').at(-1) };
})()"#,
        )
        .await;
    let expected = serde_json::json!({
        "first": {
            "from": 100,
            "calls": [1, 2, 3, 4, null, null, 6],
            "errors": [0, 0, 0, 7, null, null, 0],
            "p50": [null, null, null, null, null, null, null],
            "smooth": [5, 2.5, 5.0 / 3.0, 1.25, 1, 2],
        },
        "from": 200,
        "length": 600,
        "last": 799,
        // Of 404 there was none for ten minutes.
        "names": ["cache hit", "calls", "error 502", "p50", "p95", "p99", "requests", "saved"],
        "error": 590,
        "after": 0,
    });
    assert_eq!(shown, expected);
}

const LOOKS: [(&str, u32, bool); 4] = [
    ("light-wide", 1280, false),
    ("dark-wide", 1280, true),
    ("light-narrow", 375, false),
    ("dark-narrow", 375, true),
];

/// In the light and in the dark, wide and narrow: nothing is cut off, and everything can be read.
async fn looks(browser: &mut Browser) {
    let mut backs = BTreeSet::new();
    for (name, width, dark) in LOOKS {
        browser.look(width, 900, dark).await;
        let wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(browser.value(wider).await, 0, "{name}: the page is wider than its window");
        let back = browser.value("getComputedStyle(document.body).backgroundColor").await;
        backs.insert(back.as_str().unwrap().to_owned());
        let pale = browser.value(CONTRAST).await;
        assert_eq!(pale, Value::Array(Vec::new()), "{name}: this can hardly be read");
        let png = browser.screenshot(true).await;
        assert!(png.len() > 20_000, "{name}: {} bytes", png.len());
    }
    assert_eq!(backs.len(), 2, "{backs:?}");
    // Screen readers announce it.
    let unnamed = "[...document.querySelectorAll('svg[role=img]')].filter((it) => !it.getAttribute('aria-label')).length";
    assert_eq!(browser.value(unnamed).await, 0);
    assert_eq!(browser.value("document.documentElement.lang").await, "en");
    let levels = "[...document.querySelectorAll('h1, h2')].map((it) => it.textContent).filter((it) => !it).length";
    assert_eq!(browser.value(levels).await, 0);
}

/// With the example running for some minutes at `DASHBOARD`.
#[tokio::test]
#[ignore = "it makes the pictures of the documentation"]
async fn pictures() {
    let mut browser = Browser::start().await;
    browser.open(&std::env::var("DASHBOARD").expect("DASHBOARD is the page's address")).await;
    browser.until("state.update?.usage").await;
    browser.ask("Emulation.setScrollbarsHidden", serde_json::json!({ "hidden": true })).await;
    for (name, width, dark) in LOOKS {
        browser.look(width, if width < 600 { 2_000 } else { 1_400 }, dark).await;
        sleep(Duration::from_secs(2)).await;
        let path = format!("docs/images/dashboard-{name}.png");
        std::fs::write(
            Path::new(env!("CARGO_MANIFEST_DIR")).join(path),
            browser.screenshot(false).await,
        )
        .unwrap();
    }
}

/// Texts with less contrast to what is behind them than
/// [WCAG 2.2 AA](https://www.w3.org/TR/WCAG22/#contrast-minimum) asks for.
const CONTRAST: &str = r#"(() => {
  const parse = (color) => color.match(/[\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = parse(color).map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if ((parse(color)[3] ?? 1) > 0) return color;
    }
    return 'rgb(255, 255, 255)';
  };
  const pale = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || element.closest('noscript, svg') || !element.getClientRects().length) continue;
    const [one, other] = [light(getComputedStyle(element).color), light(behind(element))].sort((a, b) => b - a);
    if ((one + 0.05) / (other + 0.05) < 4.5) pale.push(element.textContent.trim().slice(0, 40) + ' ' + getComputedStyle(element).color + ' on ' + behind(element));
  }
  return pale;
})()"#;
