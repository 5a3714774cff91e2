//! A stub replaces the response of its calls, or injects realistic faults.

use std::time::Duration;

use octowire::testing::{Fault, MockGitHub};
use octowire::{CircuitBreaker, Client, ErrorKind, RateLimitStatus, RetryPolicy};
use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;

/// A client that does not try again.
fn once(mock: &MockGitHub) -> Client {
    mock.client_builder().retry(RetryPolicy::disabled()).build().unwrap()
}

#[tokio::test]
async fn a_stub_matches_calls_with_all_its_parameters() {
    let mock = MockGitHub::start().await;
    let any =
        mock.on(|github| github.issues().get()).modify_example(|it| it["title"] = "any".into());
    let one = mock
        .on(|github| github.issues().get().owner("Acme").repo("rocket").issue_number(7))
        .modify_example(|it| it["title"] = "seven".into());
    let github = mock.client();
    let get = |owner: &'static str, number: i64| {
        let call = github.issues().get().owner(owner).repo("rocket").issue_number(number);
        async move { call.send().await.unwrap().title.clone() }
    };
    assert_eq!(get("acme", 7).await, "seven", "names are the same in upper and lower case");
    assert_eq!(get("acme", 8).await, "any");
    assert_eq!(get("other", 7).await, "any");
    assert_eq!((any.requests(), one.requests()), (2, 1));
    any.remove();
    one.remove();
    assert_eq!(get("acme", 1347).await, "Found a bug");
}

#[tokio::test]
async fn a_stub_looks_at_the_query_and_the_body() {
    let mock = MockGitHub::start().await;
    let closed = mock.on(|github| github.issues().list_for_repo().state("closed")).json(json!([]));
    let titled =
        mock.on(|github| github.issues().create().title("Full")).error(410, "Issues are disabled");
    let github = once(&mock);
    let issues = github.issues();
    let list = || issues.list_for_repo().owner("acme").repo("rocket");
    assert!(list().state("closed").send().await.unwrap().is_empty());
    assert!(!list().send().await.unwrap().is_empty());
    let create = |title: &str| issues.create().owner("acme").repo("rocket").title(title).send();
    assert_eq!(create("Full").await.unwrap_err().status().unwrap(), 410);
    assert_eq!(create("Empty").await.unwrap().title, "Empty");
    assert_eq!((closed.requests(), titled.requests()), (1, 1));
    assert_eq!(mock.count_matching(|github| github.issues().create().owner("acme")), 2);
    mock.assert_called(1, |github| github.issues().create().title("Empty"));
}

#[tokio::test]
async fn steps_are_taken_in_their_order() {
    let mock = MockGitHub::start().await;
    let stub = mock
        .on(|github| github.repos().get())
        .fault(Fault::ServerError(502))
        .times(2)
        .error(404, "Not Found")
        .modify_example(|repository| repository["name"] = "found".into())
        .times(1);
    let github = once(&mock);
    let mut seen = Vec::new();
    for _ in 0..5 {
        let response = github.repos().get().owner("acme").repo("rocket").send().await;
        seen.push(match response {
            Ok(repository) => repository.name.clone(),
            Err(error) => error.status().unwrap().as_u16().to_string(),
        });
    }
    assert_eq!(seen, ["502", "502", "404", "found", "rocket"]);
    assert_eq!(stub.requests(), 4);
}

#[tokio::test]
async fn a_stub_function_computes_the_response_from_the_request() {
    let mock = MockGitHub::start().await;
    mock.on_request(Method::POST, "/graphql").respond_with(|request| {
        let query = request.json()["query"].as_str().unwrap_or_default().len();
        (200, json!({ "data": { "length": query } }))
    });
    let github = mock.client();
    let data = github.graphql::<serde_json::Value>("{ viewer { login } }", ());
    let data = data.await.unwrap();
    assert_eq!(data["length"], 20);
}

#[test]
#[should_panic(expected = "issues/get, at $.title: is integer, expected string")]
fn a_stub_that_github_would_not_send_is_rejected() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mock = MockGitHub::start().await;
        mock.on(|github| github.issues().get()).modify_example(|issue| issue["title"] = 7.into());
    });
}

#[test]
#[should_panic(expected = "418 is undocumented, expected one of 200, 301, 304, 404, 410")]
fn a_status_that_the_operation_does_not_have_is_rejected() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mock = MockGitHub::start().await;
        mock.on(|github| github.issues().get()).error(418, "I'm a teapot");
    });
}

#[test]
#[should_panic(
    expected = "expected 2 matching calls of users/get-authenticated, received 1; the last of 1 requests:\n  GET /user"
)]
fn a_failed_assertion_lists_the_recorded_requests() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mock = MockGitHub::start().await;
        mock.client().users().get_authenticated().send().await.unwrap();
        mock.assert_called(2, |github| github.users().get_authenticated());
    });
}

#[tokio::test]
async fn a_connection_is_reset_or_closed_before_the_response() {
    let mock = MockGitHub::start().await;
    let stub = mock
        .on(|github| github.users().get_authenticated())
        .fault(Fault::Reset)
        .fault(Fault::Closed)
        .passthrough();
    let github = once(&mock);
    for sign in ["reset", "closed"] {
        let error = github.users().get_authenticated().send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transport);
        let mut chain = format!("{error:?}").to_lowercase();
        chain.push_str(&format!("{:?}", std::error::Error::source(&error)).to_lowercase());
        let said = match sign {
            "reset" => chain.contains("connectionreset") || chain.contains("reset by peer"),
            _ => chain.contains("incompletemessage") || chain.contains("closed"),
        };
        assert!(said, "{sign}: {chain}");
    }
    // A client with retries does not notice.
    stub.remove();
    let stub = mock.on_any_request().fault(Fault::Reset).fault(Fault::Closed).passthrough();
    mock.client().users().get_authenticated().send().await.unwrap();
    assert_eq!(stub.requests(), 3);
}

#[tokio::test]
async fn a_response_is_truncated_in_its_middle() {
    let mock = MockGitHub::start().await;
    mock.on(|github| github.repos().get()).fault(Fault::Truncated(100)).passthrough();
    let url = mock.base_url() + "/repos/acme/rocket";
    let mut response = reqwest::get(url).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut read = 0;
    let end = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => read += chunk.len(),
            end => break end,
        }
    };
    assert!(end.is_err(), "the body is not whole");
    assert_eq!(read, 100);
    mock.client().repos().get().owner("acme").repo("rocket").send().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_runs_into_the_client_s_timeout() {
    let mock = MockGitHub::start().await;
    mock.on_any_request().fault(Fault::Silent);
    let github = mock.client_builder().attempt_timeout(Duration::from_secs(3));
    let github = github.retry(RetryPolicy::disabled()).build().unwrap();
    let started = Instant::now();
    let error = github.users().get_authenticated().send().await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert!(started.elapsed() < Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn a_delayed_response_follows_the_tokio_clock() {
    let mock = MockGitHub::start().await;
    mock.on_any_request().delay(Duration::from_secs(20)).times(1);
    let (started, github) = (Instant::now(), mock.client());
    github.users().get_authenticated().send().await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(20));
    let between = Instant::now();
    github.users().get_authenticated().send().await.unwrap();
    assert!(between.elapsed() < Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn rate_limits_behave_as_github_s() {
    let mock = MockGitHub::start().await;
    mock.on(|github| github.users().get_authenticated())
        .fault(Fault::PrimaryRateLimit { reset_in: Duration::from_secs(90) })
        .passthrough()
        .fault(Fault::SecondaryRateLimit { retry_after: Some(Duration::from_secs(7)) })
        .passthrough();
    let github = mock.client();
    let call = || github.users().get_authenticated().send();
    let started = Instant::now();
    let response = call().await.unwrap();
    let waited = started.elapsed();
    assert!(waited >= Duration::from_secs(90) && waited < Duration::from_secs(100), "{waited:?}");
    let RateLimitStatus { limit, remaining, .. } = response.meta().rate_limit().unwrap();
    assert_eq!((limit, remaining), (5_000, 4_999));
    call().await.unwrap();
    let waited = started.elapsed() - waited;
    assert!(waited >= Duration::from_secs(7) && waited < Duration::from_secs(60), "{waited:?}");
}

#[tokio::test]
async fn the_bad_credentials_fault_returns_401() {
    let mock = MockGitHub::start().await;
    mock.on_any_request().fault(Fault::BadCredentials);
    let error = once(&mock).users().get_authenticated().send().await.unwrap_err();
    assert_eq!(error.status().unwrap(), 401);
}

#[tokio::test]
async fn a_server_error_has_the_page_of_a_load_balancer() {
    let mock = MockGitHub::start().await;
    mock.on_any_request().fault(Fault::ServerError(503)).header("retry-after", "0");
    let github = mock.client_builder().retry(RetryPolicy::disabled());
    let github = github.circuit_breaker(CircuitBreaker::disabled()).build().unwrap();
    let error = github.users().get_authenticated().send().await.unwrap_err();
    assert_eq!(error.status().unwrap(), 503);
    assert_eq!(error.headers().unwrap()["retry-after"], "0");
    mock.reset();
    assert!(github.users().get_authenticated().send().await.is_ok());
    assert_eq!(mock.requests().len(), 1);
}
