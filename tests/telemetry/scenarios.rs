//! Scenarios whose telemetry the tests check.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use octowire::auth::{AccessToken, TokenFuture, TokenProvider, TokenRequest};
use octowire::bytes::Bytes;
use octowire::store::{CounterStore, KeyValueStore, MemoryStore};
use octowire::testing::{Fault, MockGitHub};
use octowire::usage::{Budget, Period, UsageConfig};
use octowire::{CircuitBreaker, RetryPolicy};
use reqwest::Method;
use serde_json::{Value, json};

use crate::unresponsive_store::UnresponsiveStore;

/// Something for each metric to tell, but for deliveries.
pub(crate) async fn traffic() {
    let mock = MockGitHub::start().await;
    mock.on(|github| github.repos().get()).fault(Fault::ServerError(502)).passthrough();
    mock.on(|github| github.issues().get()).error(404, "Not Found");
    mock.on(|github| github.users().get_authenticated())
        .fault(Fault::SecondaryRateLimit { retry_after: Some(Duration::from_secs(1)) })
        .passthrough();
    let github = mock.client();
    for _ in 0..2 {
        github.repos().get().owner("acme").repo("rocket").send().await.unwrap();
    }
    let get = github.issues().get().owner("acme").repo("rocket").issue_number(1);
    get.send().await.unwrap_err();
    github.users().get_authenticated().send().await.unwrap();
    mock.on(|github| github.issues().list_labels_for_repo()).respond_raw(
        200,
        "application/json",
        "[7]",
    );
    let labels = github.issues().list_labels_for_repo().owner("acme").repo("rocket").stream();
    labels.collect_all(1).await.unwrap_err();

    let policy = UsageConfig::new().budget(Budget::new("a plan", Period::Month).hard_limit(1));
    let thrifty = mock.client_builder().usage(policy).build().unwrap();
    thrifty.users().get_authenticated().send().await.unwrap();
    thrifty.meta().root().send().await.unwrap_err();

    // A circuit opens, and a store that is not there does not answer.
    let down = MockGitHub::start().await;
    down.on_any_request().fault(Fault::ServerError(500));
    let breaker = CircuitBreaker::default().min_samples(1);
    let broken = down.client_builder().circuit_breaker(breaker).retry(RetryPolicy::disabled());
    let broken = broken.store(UnresponsiveStore).build().unwrap();
    for _ in 0..2 {
        broken.users().get_authenticated().send().await.unwrap_err();
    }

    // A value in the store cannot be read.
    let memory = MemoryStore::new();
    let garbage = Bytes::from_static(b"garbage");
    memory.put("usage:x", garbage, Duration::from_secs(60)).await.unwrap();
    assert!(memory.counters("usage:x").await.unwrap().is_empty());

    // Writes to an absent store are dropped.
    let forgetful = mock.client_builder().store(UnresponsiveStore).build().unwrap();
    forgetful.users().get_authenticated().send().await.unwrap();

    let github = github.with_auth(Once(true.into()));
    github.access_token().await.unwrap();
    github.invalidate_token().await.unwrap();
    github.access_token().await.unwrap_err();
}

/// Gives one token.
#[derive(Debug)]
struct Once(AtomicBool);

impl TokenProvider for Once {
    fn identity(&self) -> Cow<'_, str> {
        "once".into()
    }

    fn fetch_token<'a>(&'a self, _: TokenRequest<'a>) -> TokenFuture<'a> {
        let first = self.0.swap(false, Ordering::Relaxed);
        Box::pin(async move {
            match first {
                true => AccessToken::new("a-token".to_owned()),
                // No token is empty.
                false => AccessToken::new(String::new()),
            }
        })
    }
}

/// Three calls that GitHub answers with success, or would have: a query with errors, a body that does not
/// decode, and one that is dropped.
pub(crate) async fn three_that_fail_late() {
    let mock = MockGitHub::start().await;
    mock.on_request(Method::POST, "/graphql")
        .respond_with(|_| (200, json!({ "errors": [{ "message": "No", "type": "FORBIDDEN" }] })));
    mock.on(|github| github.repos().get()).respond_raw(200, "application/json", "[]");
    mock.on(|github| github.meta().root()).fault(Fault::Silent);
    let github = mock.client_builder().retry(RetryPolicy::disabled()).build().unwrap();
    github.graphql::<Value>("{ viewer { login } }", ()).await.unwrap_err();
    github.repos().get().owner("a").repo("b").send().await.unwrap_err();
    let patience = Duration::from_millis(200);
    tokio::time::timeout(patience, github.meta().root().send()).await.unwrap_err();
}
