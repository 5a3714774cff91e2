//! An App is registered from a manifest, and its credentials are kept.

#[cfg(all(feature = "dashboard", feature = "webhooks"))]
mod browser;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Method;
use octowire::auth::{
    AccessToken, AuthFailure, EncryptedFileTokenStore, EncryptedTokenStore, EncryptionKey,
    MemoryTokenStore, PermissionLevel, RegisteredApp, TokenStore, TokenStoreFuture, TokenStoreLock,
};
use octowire::rate_limit::RateLimitPolicy;
use octowire::registration::{AppManifest, AppRegistration, PendingRegistration};
use octowire::reqwest::Request;
use octowire::store::MemoryStore;
use octowire::testing::{Fault, MockGitHub, MockResponse, RecordedRequest};
use octowire::{Client, Error, RetryPolicy, Transport, TransportFuture};
use reqwest::StatusCode;
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tracing::{Instrument, Subscriber, span};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use url::{Url, form_urlencoded};

use crate::support::github_app::Key;
use crate::support::{Folder, FrozenClock};

const CODE: &str = "a180b1a3d263c81bc6441d7b990bae27d4c10679";
const CLIENT_ID: &str = "Iv23liRegistered";
const CLIENT_SECRET: &str = "hunter2-of-the-client";
const WEBHOOK_SECRET: &str = "hunter2-of-the-webhook";

fn manifest() -> AppManifest {
    AppManifest::new("https://bot.example.com")
        .name("Octo \"Bot\" <1>")
        .webhook("https://bot.example.com/webhooks")
        .permission("issues", PermissionLevel::Write)
        .event("issues")
}

/// A GitHub that registers Apps: its API, and its page for the form, which creates the App at once.
async fn github(key: &Key) -> MockGitHub {
    let mock = MockGitHub::start().await;
    for path in ["/settings/apps/new", "/organizations/octo-org/settings/apps/new"] {
        mock.on_request(Method::POST, path).respond_with(|request| {
            let callback = callback_of(request);
            MockResponse::raw(302, "text/html", "").header("location", callback.as_str())
        });
    }
    let pem = key.pem.clone();
    mock.on_request(Method::POST, conversion()).modify_example(move |app| {
        app["client_id"] = CLIENT_ID.into();
        app["slug"] = "octo-bot".into();
        app["html_url"] = "https://github.com/apps/octo-bot".into();
        app["owner"]["login"] = "octo-org".into();
        app["pem"] = pem.into();
        app["client_secret"] = CLIENT_SECRET.into();
        app["webhook_secret"] = WEBHOOK_SECRET.into();
    });
    mock
}

fn conversion() -> String {
    format!("/app-manifests/{CODE}/conversions")
}

fn pairs(text: &[u8]) -> HashMap<String, String> {
    form_urlencoded::parse(text).into_owned().collect()
}

/// The URL to which GitHub sends the browser after this form.
fn callback_of(request: &RecordedRequest) -> Url {
    assert_eq!(request.headers()["content-type"], "application/x-www-form-urlencoded");
    let manifest: Value = serde_json::from_str(&pairs(request.body())["manifest"]).unwrap();
    let mut callback: Url = manifest["redirect_url"].as_str().unwrap().parse().unwrap();
    let state = &pairs(request.query().as_bytes())["state"];
    callback.query_pairs_mut().append_pair("code", CODE).append_pair("state", state);
    callback
}

/// The client of a program that has no App yet. Each call is sent once.
fn client(mock: &MockGitHub) -> Client {
    mock.client_builder().retry(RetryPolicy::disabled()).build().unwrap()
}

/// A client that sends calls again at once.
fn retrying_client(mock: &MockGitHub) -> Client {
    let retry = RetryPolicy::default().backoff(Duration::ZERO, Duration::ZERO);
    mock.client_builder().retry(retry).build().unwrap()
}

/// The form of the page at a URL: the URL that it is posted to, and the manifest.
async fn form(page: &Url) -> (Url, String) {
    let response = reqwest::get(page.clone()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let html = response.text().await.unwrap();
    let attribute = |before: &str| {
        let rest = html.split_once(before).unwrap_or_else(|| panic!("{before} in {html}")).1;
        unescaped(rest.split_once('"').unwrap().0)
    };
    let manifest = attribute("name=\"manifest\" value=\"");
    (attribute("action=\"").parse().unwrap(), manifest)
}

fn unescaped(text: &str) -> String {
    let escapes = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&#123;", "{")];
    let text = escapes.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    text.replace("&amp;", "&")
}

/// What a person does in a browser: opens the page, and posts its form. Returns the last page.
async fn register_in_browser(page: &Url) -> (StatusCode, String) {
    let (action, manifest) = form(page).await;
    let browser = reqwest::Client::new();
    let response = browser.post(action).form(&[("manifest", manifest)]).send().await.unwrap();
    (response.status(), response.text().await.unwrap())
}

async fn start(mock: &MockGitHub) -> PendingRegistration {
    AppRegistration::new(&client(mock), manifest()).start().await.unwrap()
}

/// Registers an App, as its person and as the program.
async fn register(mock: &MockGitHub) -> Result<RegisteredApp, Error> {
    let pending = start(mock).await;
    let page = pending.url().clone();
    let (outcome, _) = tokio::join!(pending.finish(), register_in_browser(&page));
    outcome
}

fn failure<T: std::fmt::Debug>(outcome: Result<T, Error>) -> Option<AuthFailure> {
    outcome.unwrap_err().auth_failure()
}

fn key_of(byte: u8) -> EncryptionKey {
    EncryptionKey::from_bytes([byte; 32])
}

/// The text of the token as which a store that does not encrypt keeps an App. It contains the secrets in base64.
async fn stored_text(registered: &RegisteredApp) -> String {
    let store = MemoryTokenStore::new();
    registered.save(&store, "production").await.unwrap();
    let stored = store.load("registered-app:production").await.unwrap().unwrap();
    stored.expose_secret().to_owned()
}

/// Whether some bytes contain any 16 bytes of the stored text.
fn contains_part_of(bytes: &[u8], stored: &str) -> bool {
    let windows: HashSet<_> = bytes.windows(16).collect();
    stored.as_bytes().windows(16).any(|part| windows.contains(part))
}

#[tokio::test]
async fn an_app_is_registered_in_a_browser_saved_and_loaded() {
    let key = Key::generate();
    let mock = github(&key).await;
    let registration = AppRegistration::new(&client(&mock), manifest()).organization("octo-org");
    let pending = registration.start().await.unwrap();
    assert_eq!(pending.url().host_str(), Some("127.0.0.1"));
    let page = pending.url().clone();
    let (registered, (status, html)) = tokio::join!(pending.finish(), register_in_browser(&page));
    let registered = registered.unwrap();
    assert_eq!(status, StatusCode::OK);
    assert!(html.contains("https://github.com/apps/octo-bot/installations/new"), "{html}");

    // GitHub received the form of the organization, and a request without a token.
    let requests = mock.requests();
    let [posted, converted] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!(posted.path(), "/organizations/octo-org/settings/apps/new");
    let sent: Value = serde_json::from_str(&pairs(posted.body())["manifest"]).unwrap();
    assert_eq!(sent["name"], "Octo \"Bot\" <1>");
    assert_eq!(sent["default_permissions"]["issues"], "write");
    let redirect: Url = sent["redirect_url"].as_str().unwrap().parse().unwrap();
    assert_eq!((redirect.origin(), redirect.path()), (page.origin(), "/callback"));
    assert_eq!(converted.operation_id(), Some("apps/create-from-manifest"));
    assert!(!converted.headers().contains_key("authorization"));

    let folder = Folder::created("registered-app");
    let path = folder.0.join("credentials");
    let store = EncryptedFileTokenStore::open(&path, key_of(1)).unwrap();
    registered.save(&store, "production").await.unwrap();
    let stored = stored_text(&registered).await;
    assert!(stored.len() > key.pem.len() && contains_part_of(stored.as_bytes(), &stored));
    assert!(!contains_part_of(&std::fs::read(&path).unwrap(), &stored), "it is encrypted");
    let with_another_key = match EncryptedFileTokenStore::open(&path, key_of(2)) {
        Ok(store) => RegisteredApp::load(&store, "production").await,
        Err(error) => Err(error),
    };
    assert_eq!(failure(with_another_key), Some(AuthFailure::StoreKey));

    // Another program, with the same key.
    let store = EncryptedFileTokenStore::open(&path, key_of(1)).unwrap();
    let loaded = RegisteredApp::load(&store, "production").await.unwrap();
    assert_eq!((loaded.client_id(), loaded.slug()), (CLIENT_ID, Some("octo-bot")));
    assert_eq!((loaded.id(), loaded.owner()), (registered.id(), Some("octo-org")));
    assert_eq!(loaded.private_key().expose_secret(), key.pem);
    assert_eq!(loaded.client_secret().unwrap().expose_secret(), CLIENT_SECRET);
    assert_eq!(loaded.webhook_secret().unwrap().expose_secret(), WEBHOOK_SECRET);
    assert_eq!(loaded.oauth_app().unwrap().client_id(), CLIENT_ID);
    let github = mock.client_builder().auth(loaded.app().unwrap().installation(42));
    let token = github.build().unwrap().access_token().await.unwrap();
    assert!(token.is_some(), "the App signs with its key");
    assert_eq!(
        failure(RegisteredApp::load(&store, "staging").await),
        Some(AuthFailure::Missing),
        "each environment has its own"
    );
}

#[cfg(feature = "webhooks")]
#[tokio::test]
async fn the_webhook_secret_of_a_registered_app_verifies_deliveries() {
    use octowire::webhooks::{Verifier, sign};
    let mock = github(&Key::generate()).await;
    let registered = register(&mock).await.unwrap();
    let signature = sign(WEBHOOK_SECRET, b"{}").unwrap();
    Verifier::from_app(&registered).unwrap().verify_signature(&signature, b"{}").unwrap();

    mock.on_request(Method::POST, conversion())
        .modify_example(|app| app["webhook_secret"] = Value::Null);
    let without = register(&mock).await.unwrap();
    let error = Verifier::from_app(&without).unwrap_err();
    assert!(error.to_string().contains("with_webhook_secret"), "{error}");
}

#[tokio::test]
async fn credentials_are_kept_in_every_store() {
    let mock = github(&Key::generate()).await;
    let registered = register(&mock).await.unwrap();
    let stores: [Box<dyn TokenStore>; 2] = [
        Box::new(MemoryTokenStore::new()),
        Box::new(EncryptedTokenStore::new(MemoryStore::new(), key_of(1))),
    ];
    for store in stores {
        registered.save(&*store, "production").await.unwrap();
        let loaded = RegisteredApp::load(&*store, "production").await.unwrap();
        assert_eq!(loaded.webhook_secret().unwrap().expose_secret(), WEBHOOK_SECRET);
        RegisteredApp::remove(&*store, "production").await.unwrap();
        RegisteredApp::remove(&*store, "production").await.unwrap();
        let gone = RegisteredApp::load(&*store, "production").await;
        assert_eq!(failure(gone), Some(AuthFailure::Missing));
    }
}

/// Also the way out if the credentials of a registration are lost.
#[tokio::test]
async fn an_app_that_exists_is_kept_as_a_registered_one() {
    let key = Key::generate();
    let mock = github(&key).await;
    let app = RegisteredApp::new(7, format!(" {CLIENT_ID}\n"), key.pem.clone()).unwrap();
    assert!(app.client_secret().is_none() && app.webhook_secret().is_none());
    assert!(app.slug().is_none() && app.owner().is_none() && app.install_url().is_none());
    let app = app.with_client_secret(CLIENT_SECRET).unwrap();
    let app = app.with_webhook_secret(WEBHOOK_SECRET).unwrap();

    let store = EncryptedTokenStore::new(MemoryStore::new(), key_of(1));
    app.save(&store, "production").await.unwrap();
    let loaded = RegisteredApp::load(&store, "production").await.unwrap();
    assert_eq!((loaded.id(), loaded.client_id()), (7, CLIENT_ID));
    assert_eq!(loaded.private_key().expose_secret(), key.pem);
    assert_eq!(loaded.client_secret().unwrap().expose_secret(), CLIENT_SECRET);
    assert_eq!(loaded.webhook_secret().unwrap().expose_secret(), WEBHOOK_SECRET);
    let github = mock.client_builder().auth(loaded.app().unwrap().installation(42));
    assert!(github.build().unwrap().access_token().await.unwrap().is_some());
    // It is the App that this registration returns.
    register(&mock).await.unwrap().save(&store, "production").await.unwrap();

    let pem = &key.pem;
    for (outcome, expected) in [
        (RegisteredApp::new(7, " ", pem.clone()), AuthFailure::Empty),
        (RegisteredApp::new(7, "7", pem.clone()), AuthFailure::WrongKind),
        (RegisteredApp::new(7, pem.clone(), pem.clone()), AuthFailure::WrongKind),
        (RegisteredApp::new(7, CLIENT_ID, "hunter2"), AuthFailure::InvalidKey),
    ] {
        let error = outcome.unwrap_err();
        assert_eq!(error.auth_failure(), Some(expected), "{error}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("MII"), "{error}");
    }
}

#[tokio::test]
async fn an_environment_keeps_its_app_until_it_is_replaced() {
    let mock = github(&Key::generate()).await;
    let first = register(&mock).await.unwrap();
    mock.on_request(Method::POST, conversion())
        .modify_example(|app| app["client_id"] = "Iv23liOther".into());
    let other = register(&mock).await.unwrap();
    let store = MemoryTokenStore::new();
    first.save(&store, "production").await.unwrap();
    let outcome = other.save(&store, "production").await;
    assert_eq!(failure(outcome), Some(AuthFailure::Ambiguous));
    let loaded = RegisteredApp::load(&store, "production").await.unwrap();
    assert_eq!(loaded.client_id(), CLIENT_ID);

    // The same App, with new secrets.
    let (key, rotated) =
        (Key::generate(), first.with_webhook_secret("rotated-hunter2-webhook").unwrap());
    let rotated = rotated.with_private_key(key.pem.clone()).unwrap();
    let rotated = rotated.with_client_secret("rotated-hunter2-client").unwrap();
    rotated.save(&store, "production").await.unwrap();
    let loaded = RegisteredApp::load(&store, "production").await.unwrap();
    assert_eq!(loaded.webhook_secret().unwrap().expose_secret(), "rotated-hunter2-webhook");
    assert_eq!(loaded.private_key().expose_secret(), key.pem);
    assert_eq!(loaded.client_secret().unwrap().expose_secret(), "rotated-hunter2-client");

    other.replace(&store, "production").await.unwrap();
    let loaded = RegisteredApp::load(&store, "production").await.unwrap();
    assert_eq!(loaded.client_id(), "Iv23liOther");
}

/// A token store that fails while a test says so.
#[derive(Debug, Default)]
struct FailingStore {
    inner: MemoryTokenStore,
    fails: AtomicBool,
}

impl TokenStore for FailingStore {
    fn load<'a>(&'a self, key: &'a str) -> TokenStoreFuture<'a, Option<AccessToken>> {
        self.inner.load(key)
    }

    fn save<'a>(&'a self, key: &'a str, token: &'a AccessToken) -> TokenStoreFuture<'a, ()> {
        if self.fails.load(Ordering::Relaxed) {
            return Box::pin(async { Err(Error::token_store("no space left", None)) });
        }
        self.inner.save(key, token)
    }

    fn remove<'a>(&'a self, key: &'a str) -> TokenStoreFuture<'a, ()> {
        self.inner.remove(key)
    }

    fn lock<'a>(&'a self, key: &'a str) -> TokenStoreFuture<'a, TokenStoreLock> {
        self.inner.lock(key)
    }
}

#[tokio::test]
async fn a_failing_store_loses_no_credentials() {
    let mock = github(&Key::generate()).await;
    let registered = register(&mock).await.unwrap();
    let store = FailingStore::default();
    store.fails.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        let outcome = registered.save(&store, "production").await;
        assert_eq!(failure(outcome), Some(AuthFailure::Store));
    }
    store.fails.store(false, Ordering::Relaxed);
    registered.save(&store, "production").await.unwrap();
    let loaded = RegisteredApp::load(&store, "production").await.unwrap();
    assert_eq!(loaded.client_id(), CLIENT_ID);
}

#[tokio::test]
async fn a_code_that_github_does_not_accept_is_an_error_of_its_own() {
    let mock = github(&Key::generate()).await;
    mock.on_request(Method::POST, conversion()).error(404, "Not Found");
    let error = register(&mock).await.unwrap_err();
    assert_eq!(error.auth_failure(), Some(AuthFailure::CodeRejected), "{error}");
    assert_eq!(error.status(), None, "a program would take it for the status of its own call");
    assert!(!format!("{error} {error:?}").contains(CODE), "{error}");
}

#[tokio::test]
async fn a_lost_response_is_requested_again() {
    let mock = github(&Key::generate()).await;
    for fault in [Fault::Reset, Fault::Truncated(10), Fault::ServerError(502)] {
        let before = mock.count("apps/create-from-manifest");
        mock.on_request(Method::POST, conversion())
            .fault(fault.clone())
            .modify_example(|app| app["client_id"] = CLIENT_ID.into());
        let registered = RegisteredApp::from_code(&retrying_client(&mock), CODE).await.unwrap();
        assert_eq!(registered.client_id(), CLIENT_ID);
        let requests = mock.count("apps/create-from-manifest") - before;
        assert_eq!(requests, 2, "{fault:?}");
    }
}

/// A network that refuses the first connection. Then GitHub responds that it does not know the code.
#[derive(Debug, Default)]
struct UnreachableNetwork {
    requests: AtomicUsize,
}

impl Transport for UnreachableNetwork {
    fn send(&self, _: Request) -> TransportFuture<'_> {
        Box::pin(async move {
            if self.requests.fetch_add(1, Ordering::Relaxed) == 0 {
                let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
                reqwest::get(format!("http://{free}/")).await?;
            }
            let response = http::Response::builder().status(404);
            Ok(response.body(r#"{"message":"Not Found"}"#)?.into())
        })
    }
}

#[tokio::test]
async fn a_code_that_expired_was_not_used_by_a_request_that_was_not_sent() {
    let retry = RetryPolicy::default().backoff(Duration::ZERO, Duration::ZERO);
    let builder = Client::builder().retry(retry).rate_limits(RateLimitPolicy::disabled());
    let client = builder.transport(UnreachableNetwork::default()).build().unwrap();
    let error = RegisteredApp::from_code(&client, CODE).await.unwrap_err();
    assert_eq!(error.auth_failure(), Some(AuthFailure::CodeRejected), "{error}");
    let source = std::error::Error::source(&error).unwrap().downcast_ref::<Error>().unwrap();
    assert_eq!(source.attempts().len(), 1, "{source}");
}

/// The credentials do not arrive, after this number of requests.
async fn assert_lost(mock: &MockGitHub, requests: usize) {
    let before = mock.count("apps/create-from-manifest");
    let error = RegisteredApp::from_code(&retrying_client(mock), CODE).await.unwrap_err();
    assert_eq!(mock.count("apps/create-from-manifest"), before + requests, "{error}");
    assert_eq!(error.auth_failure(), Some(AuthFailure::CredentialsLost), "{error}");
    assert_eq!(error.status(), None, "{error}");
    assert!(error.to_string().contains("settings page"), "{error}");
    assert!(error.to_string().contains("RegisteredApp::new"), "{error}");
    assert!(!format!("{error} {error:?}").contains(CODE), "{error}");
}

#[tokio::test]
async fn credentials_that_do_not_arrive_are_an_error_with_the_next_step() {
    let mock = github(&Key::generate()).await;
    for fault in [Fault::Reset, Fault::ServerError(502)] {
        mock.on_request(Method::POST, conversion()).fault(fault.clone());
        assert_lost(&mock, 4).await;
        // GitHub has used the code in the first request.
        mock.on_request(Method::POST, conversion()).fault(fault).error(404, "Not Found");
        assert_lost(&mock, 2).await;
    }
}

#[tokio::test]
async fn the_browser_is_told_of_a_failure_but_not_of_its_reason() {
    let mock = github(&Key::generate()).await;
    mock.on_request(Method::POST, conversion()).error(422, "spammed");
    let pending = start(&mock).await;
    let page = pending.url().clone();
    let (outcome, (status, html)) = tokio::join!(pending.finish(), register_in_browser(&page));
    let error = outcome.unwrap_err();
    assert_eq!(error.auth_failure(), Some(AuthFailure::CredentialsLost), "{error}");
    for next_step in ["RegisteredApp::from_code", "RegisteredApp::new"] {
        assert!(error.to_string().contains(next_step), "{error}");
    }
    assert!(!format!("{error} {error:?}").contains(CODE), "{error}");
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert!(html.contains("The registration failed") && !html.contains("spammed"), "{html}");
}

#[tokio::test]
async fn a_forged_callback_does_not_end_the_registration() {
    let mock = github(&Key::generate()).await;
    let pending = start(&mock).await;
    let page = pending.url().clone();
    let browser = async {
        for query in ["", "?code=forged", "?code=forged&state=guessed", "?state="] {
            let url = page.join(&format!("/callback{query}")).unwrap();
            let response = reqwest::get(url).await.unwrap();
            assert_eq!(response.status(), StatusCode::FORBIDDEN, "{query}");
        }
        // A page of another site whose name resolves to this machine.
        let rebound = reqwest::Client::new().get(page.clone()).header("host", "evil.example");
        assert_eq!(rebound.send().await.unwrap().status(), StatusCode::FORBIDDEN);
        let guessed = reqwest::get(page.join("/").unwrap()).await.unwrap();
        assert_eq!(guessed.status(), StatusCode::NOT_FOUND);
        register_in_browser(&page).await
    };
    let (registered, (status, _)) = tokio::join!(pending.finish(), browser);
    assert_eq!(registered.unwrap().client_id(), CLIENT_ID);
    assert_eq!(status, StatusCode::OK);
    assert_eq!(mock.count("apps/create-from-manifest"), 1);
    let again = reqwest::get(page).await;
    assert!(!again.is_ok_and(|response| response.status().is_success()), "the server has ended");
}

/// A connection to the server of this page.
async fn connect(page: &Url) -> TcpStream {
    TcpStream::connect(("127.0.0.1", page.port().unwrap())).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_delays_the_end_by_two_seconds_at_most() {
    let clock = FrozenClock::new();
    let mock = github(&Key::generate()).await;
    let pending = start(&mock).await;
    let page = pending.url().clone();
    let program = tokio::spawn(pending.finish());
    let mut half = connect(&page).await;
    half.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
    let (status, _) = register_in_browser(&page).await;
    assert_eq!(status, StatusCode::OK);
    let start = Instant::now();
    drop(clock);
    assert_eq!(program.await.unwrap().unwrap().client_id(), CLIENT_ID);
    assert_eq!(start.elapsed().as_secs(), 2, "{:?}", start.elapsed());
    drop(half);
}

#[tokio::test]
async fn idle_connections_in_every_place_do_not_keep_the_browser_out() {
    let mock = github(&Key::generate()).await;
    let pending = start(&mock).await;
    let page = pending.url().clone();
    let browser = async {
        let mut idle = Vec::new();
        // One more than the server has places.
        for _ in 0..17 {
            idle.push(connect(&page).await);
        }
        let last_page = register_in_browser(&page).await;
        // The first two were closed: for the last of them, and for the browser.
        for connection in &mut idle[..2] {
            let read = timeout(Duration::from_secs(1), connection.read(&mut [0])).await;
            assert!(!read.expect("it is open").is_ok_and(|bytes| bytes > 0));
        }
        last_page
    };
    let (registered, (status, _)) = tokio::join!(pending.finish(), browser);
    assert_eq!(registered.unwrap().client_id(), CLIENT_ID);
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_registration_that_the_person_does_not_finish_times_out() {
    let client = Client::builder().build().unwrap();
    let pending = AppRegistration::new(&client, manifest()).start().await.unwrap();
    let start = Instant::now();
    let error = pending.finish().await.unwrap_err();
    assert!(error.is_timeout() && !error.is_retryable(), "{error}");
    assert_eq!(start.elapsed().as_secs(), 600);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_after_callbacks_with_another_state_says_so() {
    let clock = FrozenClock::new();
    let client = Client::builder().build().unwrap();
    let registration = AppRegistration::new(&client, manifest()).timeout(Duration::from_secs(60));
    let pending = registration.start().await.unwrap();
    let url = pending.url().join("/callback?code=hunter2&state=hunter2").unwrap();
    let program = tokio::spawn(pending.finish());
    assert_eq!(reqwest::get(url).await.unwrap().status(), StatusCode::FORBIDDEN);
    drop(clock);
    let error = program.await.unwrap().unwrap_err();
    assert_eq!(error.auth_failure(), Some(AuthFailure::StateMismatch), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
}

/// Until then, GitHub can accept the confirmation, and another program at this port would receive the code.
#[tokio::test(start_paused = true)]
async fn the_port_is_not_free_for_an_hour_after_the_timeout() {
    let clock = FrozenClock::new();
    let client = Client::builder().build().unwrap();
    let registration = AppRegistration::new(&client, manifest()).timeout(Duration::from_secs(60));
    let pending = registration.start().await.unwrap();
    let page = pending.url().clone();
    let program = tokio::spawn(pending.finish());
    let (action, _) = form(&page).await;
    drop(clock);
    assert!(program.await.unwrap().unwrap_err().is_timeout());

    let clock = FrozenClock::new();
    let state = &pairs(action.query().unwrap().as_bytes())["state"];
    let late_callback = format!("/callback?code={CODE}&state={state}");
    for path in [page.path(), late_callback.as_str()] {
        let response = reqwest::get(page.join(path).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::GONE, "{path}");
    }
    drop(clock);
    let closed = timeout(Duration::from_millis(500), client.close()).await;
    assert!(closed.is_ok(), "the end of a program does not wait for it");
    sleep(Duration::from_secs(60 * 60 - 2)).await;
    drop(connect(&page).await);
    sleep(Duration::from_secs(3)).await;
    let address = ("127.0.0.1", page.port().unwrap());
    assert!(TcpStream::connect(address).await.is_err(), "the port is free again");
}

/// The names of the spans that have closed.
#[derive(Clone, Default)]
struct ClosedSpans(Arc<Mutex<Vec<&'static str>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for ClosedSpans {
    fn on_close(&self, id: span::Id, context: Context<'_, S>) {
        self.0.lock().unwrap().extend(context.span(&id).map(|span| span.name()));
    }
}

#[tokio::test(start_paused = true)]
async fn the_span_of_the_caller_closes_at_the_timeout_although_the_port_is_kept() {
    let closed = ClosedSpans::default();
    let _guard = tracing::subscriber::set_default(Registry::default().with(closed.clone()));
    let client = Client::builder().build().unwrap();
    let pending = AppRegistration::new(&client, manifest()).start().await.unwrap();
    let page = pending.url().clone();
    let error = pending.finish().instrument(tracing::info_span!("deployment")).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    let _clock = FrozenClock::new();
    drop(connect(&page).await);
    assert!(closed.0.lock().unwrap().contains(&"deployment"));
}

/// As of a page that looks for servers on this machine.
#[tokio::test(start_paused = true)]
async fn a_request_that_is_no_callback_does_not_change_the_timeout() {
    let clock = FrozenClock::new();
    let client = Client::builder().build().unwrap();
    let registration = AppRegistration::new(&client, manifest()).timeout(Duration::from_secs(60));
    let pending = registration.start().await.unwrap();
    let page = pending.url().clone();
    let program = tokio::spawn(pending.finish());
    for query in ["", "?code=hunter2", "?state=hunter2", "?code=&state=hunter2"] {
        let response = reqwest::get(page.join(&format!("/callback{query}")).unwrap()).await;
        assert_eq!(response.unwrap().status(), StatusCode::FORBIDDEN, "{query}");
    }
    drop(clock);
    let error = program.await.unwrap().unwrap_err();
    assert!(error.is_timeout() && error.auth_failure().is_none(), "{error}");
}

#[tokio::test]
async fn an_invalid_manifest_or_organization_opens_no_page() {
    let client = Client::builder().build().unwrap();
    let invalid = AppRegistration::new(&client, AppManifest::new("bot.example.com"));
    let elsewhere = AppRegistration::new(&client, manifest()).organization("../../settings");
    for registration in [invalid, elsewhere] {
        let error = registration.start().await.unwrap_err();
        assert_eq!(error.kind(), octowire::ErrorKind::InvalidRequest, "{error}");
    }
}

#[tokio::test]
async fn no_output_shows_a_secret_of_a_registration() {
    let key = Key::generate();
    let mock = github(&key).await;
    let pending = start(&mock).await;
    let page = pending.url().clone();
    let mut shown = format!("{pending:?} {pending:#?}");
    let browser = async {
        let (action, manifest) = form(&page).await;
        let state = pairs(action.query().unwrap().as_bytes())["state"].clone();
        let post = reqwest::Client::new().post(action).form(&[("manifest", manifest)]);
        (state, post.send().await.unwrap().text().await.unwrap())
    };
    let (registered, (state, html)) = tokio::join!(pending.finish(), browser);
    let registered = registered.unwrap();
    let store = MemoryTokenStore::new();
    registered.save(&store, "production").await.unwrap();
    shown.push_str(&format!("{registered:?} {registered:#?} {store:?} {html}"));
    let line = key.pem.lines().nth(3).unwrap().to_owned();
    let path = page.path().trim_start_matches('/').to_owned();
    for secret in [state, path, line, CODE.into(), CLIENT_SECRET.into(), WEBHOOK_SECRET.into()] {
        assert!(!shown.contains(&secret), "{secret} in {shown}");
    }
    let stored = stored_text(&registered).await;
    assert!(!contains_part_of(shown.as_bytes(), &stored), "a part of {stored} in {shown}");
    assert!(shown.contains(CLIENT_ID), "{shown}");
}
