//! Retries, and the requests that GitHub receives.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use http::Method;
use octowire::{
    Body, CircuitBreaker, Client, ClientBuilder, ErrorKind, Request, Response, RetryPolicy,
};
use serde_json::{Value, json};

use crate::support::{Received, Reply, Server, json_response};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Tries again at once, and in spite of any `Retry-After`.
fn at_once() -> RetryPolicy {
    RetryPolicy::default().backoff(Duration::ZERO, Duration::ZERO)
}

fn builder(server: &Server) -> ClientBuilder {
    server.builder().retry(at_once()).circuit_breaker(CircuitBreaker::disabled())
}

fn client(server: &Server) -> Client {
    builder(server).build().unwrap()
}

/// The failure of the first attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Status(&'static str),
    RateLimit(&'static str),
    /// The connection ends before a byte of the answer.
    Reset,
    /// It ends in the answer's head, or in its body.
    InHead,
    InBody,
    Silence,
}

impl Failure {
    fn reply(self) -> Reply {
        match self {
            Self::Status(status) => Reply::Raw(json_response(status, "", r#"{"message":"no"}"#)),
            Self::RateLimit(status) => {
                let message = r#"{"message":"You have exceeded a secondary rate limit."}"#;
                Reply::Raw(json_response(status, "retry-after: 0\r\n", message))
            }
            Self::Reset => Reply::Last(Vec::new()),
            Self::InHead => Reply::Last(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec()),
            Self::InBody => Reply::Last(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec()),
            Self::Silence => Reply::Silence(Vec::new()),
        }
    }

    /// Whether it may have been executed for all one knows.
    fn is_uncertain(self) -> bool {
        !matches!(self, Self::RateLimit(_))
    }

    fn is_transient(self) -> bool {
        match self {
            Self::Status(status) => {
                ["408", "425", "500", "502", "503", "504"].contains(&&status[..3])
            }
            _ => true,
        }
    }
}

const FAILURES: [Failure; 16] = [
    Failure::Status("408 Request Timeout"),
    Failure::Status("425 Too Early"),
    Failure::Status("500 Oops"),
    Failure::Status("502 Bad Gateway"),
    Failure::Status("503 Unavailable"),
    Failure::Status("504 Late"),
    Failure::Status("400 Bad"),
    Failure::Status("403 Forbidden"),
    Failure::Status("404 Not Found"),
    Failure::Status("422 Unprocessable"),
    Failure::RateLimit("429 Too Many"),
    Failure::RateLimit("403 Forbidden"),
    Failure::Reset,
    Failure::InHead,
    Failure::InBody,
    Failure::Silence,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carries {
    Nothing,
    Json,
    Bytes,
    Stream,
}

impl Carries {
    fn on(self, request: Request) -> Request {
        match self {
            Self::Nothing => request,
            Self::Json => request.json(&json!({ "a": 1 })),
            Self::Bytes => request.body("text/plain", "whole"),
            Self::Stream => {
                let chunks = ["who", "le"].map(Ok::<_, std::io::Error>);
                let chunks = futures_util::stream::iter(chunks);
                request.body("text/plain", Body::stream(chunks, Some(5)))
            }
        }
    }

    fn bytes(self) -> &'static [u8] {
        match self {
            Self::Nothing => b"",
            Self::Json => br#"{"a":1}"#,
            Self::Bytes | Self::Stream => b"whole",
        }
    }
}

/// A server whose first answer is this one, and whose later ones are good.
async fn failing_once(failure: Failure) -> Server {
    let seen = Arc::new(AtomicUsize::new(0));
    Server::start(move |_: Received| {
        let first = seen.fetch_add(1, Ordering::Relaxed) == 0;
        let good = json_response("200 OK", "", "{}");
        let reply = if first { failure.reply() } else { Reply::Raw(good) };
        async { reply }
    })
    .await
}

async fn send(request: Request) -> octowire::Result<Response<Value>> {
    request.send::<Value>().await
}

#[tokio::test]
async fn retries_depend_on_the_method_the_failure_and_the_body() {
    let mut silences = Vec::new();
    for method in [
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::PUT,
        Method::DELETE,
        Method::POST,
        Method::PATCH,
    ] {
        for failure in FAILURES {
            for carries in [Carries::Nothing, Carries::Json, Carries::Bytes, Carries::Stream] {
                let reads = matches!(method, Method::GET | Method::HEAD | Method::OPTIONS);
                // HEAD has no body to break off.
                if (reads && carries != Carries::Nothing)
                    || (method == Method::HEAD && failure == Failure::InBody)
                {
                    continue;
                }
                for opted_in in [false, true] {
                    let kept =
                        is_tried_again_by_the_rule(method.clone(), failure, carries, opted_in)
                            .await;
                    // The timeout of these is waited for, by all at once.
                    match failure {
                        Failure::Silence => silences.push(kept),
                        _ => kept.await,
                    }
                }
            }
        }
    }
    assert!(silences.len() > 30, "{}", silences.len());
    join_all(silences).await;
}

/// Returns the call of a client that is built already.
async fn is_tried_again_by_the_rule(
    method: Method,
    failure: Failure,
    carries: Carries,
    opted_in: bool,
) -> impl Future<Output = ()> {
    let case = format!("{method} {failure:?} {carries:?} {opted_in}");
    let idempotent = opted_in || !matches!(method, Method::POST | Method::PATCH);
    let again = failure.is_transient()
        && (idempotent || !failure.is_uncertain())
        && carries != Carries::Stream;

    let server = failing_once(failure).await;
    let builder = match failure {
        Failure::Silence => builder(&server).attempt_timeout(4 * SECOND),
        _ => builder(&server),
    };
    let request = carries.on(builder.build().unwrap().request(method, "/x"));
    let request = if opted_in { request.idempotent() } else { request };
    async move {
        let outcome = request.send_empty().await;
        assert_eq!(outcome.is_ok(), again, "{case}: {outcome:?}");
        let seen = server.requests();
        assert_eq!(seen.len(), if again { 2 } else { 1 }, "{case}");
        for request in seen {
            assert_eq!(request.body, carries.bytes(), "{case}");
        }
    }
}

#[tokio::test]
async fn a_failed_connection_is_retried_for_every_method() {
    // No server listens on this port.
    let client = Client::builder()
        .base_url("http://127.0.0.1:1")
        .retry(at_once().max_attempts(3))
        .build()
        .unwrap();
    for (method, carries, attempts) in [
        (Method::GET, Carries::Nothing, 3),
        (Method::POST, Carries::Json, 3),
        (Method::PATCH, Carries::Bytes, 3),
    ] {
        let request = carries.on(client.request(method, "/x"));
        let error = send(request.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transport);
        assert_eq!(error.attempts().len() + 1, attempts, "{error}");
    }
}

#[tokio::test]
async fn the_error_lists_every_attempt() {
    let count = Arc::new(AtomicUsize::new(0));
    let server = Server::start(move |_: Received| {
        let id = count.fetch_add(1, Ordering::Relaxed) + 1;
        let header = format!("x-github-request-id: R{id}\r\n");
        async move { Reply::Raw(json_response("502 Bad Gateway", &header, "{}")) }
    })
    .await;
    let error = send(client(&server).request(Method::GET, "/x")).await.unwrap_err();
    let ids: Vec<_> = error.attempts().iter().map(|a| a.request_id.as_deref().unwrap()).collect();
    assert_eq!((ids, error.request_id()), (vec!["R1", "R2", "R3"], Some("R4")));
    assert!(error.attempts().iter().all(|attempt| attempt.status.unwrap() == 502));
    assert!(error.to_string().contains("after 4 attempts"), "{error}");
}

#[tokio::test]
async fn the_retry_policy_of_a_call_overrides_that_of_the_client() {
    let server = Server::fixed_response(json_response("503 Busy", "", "{}")).await;
    let client = client(&server);
    let request = client.request(Method::GET, "/x").retry(at_once().max_attempts(7));
    let error = send(request).await.unwrap_err();
    assert_eq!(error.attempts().len(), 6);
    let error =
        send(client.request(Method::GET, "/x").retry(RetryPolicy::disabled())).await.unwrap_err();
    assert!(error.attempts().is_empty());
    assert_eq!(server.requests().len(), 8);
}

#[tokio::test]
async fn an_outage_is_not_made_worse() {
    let server = Server::fixed_response(json_response("503 Busy", "", "{}")).await;
    let client = client(&server);
    for _ in 0..200 {
        send(client.request(Method::GET, "/x")).await.unwrap_err();
    }
    let retries = server.requests().len() - 200;
    assert!((25..=30).contains(&retries), "a reserve of 10, and one for ten calls: {retries}");
}

#[tokio::test(start_paused = true)]
async fn a_backoff_beyond_the_deadline_is_not_started() {
    for (retry_after, timeout) in [("300", None), ("5", Some(3 * SECOND))] {
        let header = format!("retry-after: {retry_after}\r\n");
        let server = Server::fixed_response(json_response("503 Busy", &header, "{}")).await;
        let client = server.builder().retry(RetryPolicy::default()).build().unwrap();
        let mut request = client.request(Method::GET, "/x");
        if let Some(timeout) = timeout {
            request = request.timeout(timeout);
        }
        let error = send(request).await.unwrap_err();
        assert_eq!(error.status().unwrap(), 503);
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_of_a_server_error_is_respected() {
    let count = Arc::new(AtomicUsize::new(0));
    let server = Server::start(move |_: Received| {
        let first = count.fetch_add(1, Ordering::Relaxed) == 0;
        let headers =
            "date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sun, 06 Nov 1994 08:50:17 GMT\r\n";
        let status = if first { "503 Busy" } else { "200 OK" };
        async move { Reply::Raw(json_response(status, headers, "{}")) }
    })
    .await;
    let client = server.builder().retry(RetryPolicy::default()).build().unwrap();
    let start = tokio::time::Instant::now();
    send(client.request(Method::GET, "/x")).await.unwrap();
    assert!(start.elapsed() >= 40 * SECOND, "{:?}", start.elapsed());
}

/// A server that says 202 so often, and then 200.
async fn working_on_it(times: usize) -> Server {
    let count = Arc::new(AtomicUsize::new(0));
    Server::start(move |_: Received| {
        let ready = count.fetch_add(1, Ordering::Relaxed) >= times;
        let (status, body) = if ready { ("200 OK", "[1]") } else { ("202 Accepted", "{}") };
        async move { Reply::Raw(json_response(status, "", body)) }
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn an_accepted_response_is_polled_until_ready_on_request() {
    let server = working_on_it(5).await;
    let client = server.builder().build().unwrap();
    let request = || client.request(Method::GET, "/repos/o/r/stats/contributors");
    assert_eq!(send(request()).await.unwrap().meta().status(), 202);
    let start = tokio::time::Instant::now();
    let response = send(request().poll_until_ready(60 * SECOND)).await.unwrap();
    assert_eq!((response.meta().status().as_u16(), response.into_inner()), (200, json!([1])));
    let took = start.elapsed();
    assert!(took >= 15 * SECOND && took < 20 * SECOND, "{took:?}");
    assert_eq!(server.requests().len(), 6);
}

/// What becomes of a call that is not ready: polled to its end, and without that an error that says
/// so, never a decode error or an empty list.
macro_rules! not_ready_then_ready {
    ($body:expr, $ready:expr, $call:expr) => {{
        let (body, ready): (&'static str, &'static str) = ($body, $ready);
        let server = Server::start(move |received: Received| {
            let polled = received.headers.get("x-test").is_some();
            let (status, body) = if polled { ("200 OK", ready) } else { ("202 Accepted", body) };
            async move { Reply::Raw(json_response(status, "", body)) }
        })
        .await;
        let client = server.builder().build().unwrap();
        let call = $call;
        let error = call(&client).send().await.err().expect("it is not ready");
        assert!(error.is_not_ready() && error.is_retryable(), "{error:?}");
        assert_eq!(error.status().unwrap().as_u16(), 202);
        assert!(error.to_string().contains("poll_until_ready"), "{error}");
        let ready = call(&client).with(|request| request.header("x-test", "1")).send().await;
        assert_eq!(ready.unwrap().meta().status(), 200);
    }};
}

#[tokio::test]
async fn a_202_with_any_body_is_an_accepted_response_of_statistics() {
    for body in ["{}", "", "[]", "null"] {
        not_ready_then_ready!(body, "[]", |client: &Client| client
            .repos()
            .get_contributors_stats()
            .owner("o")
            .repo("r"));
        not_ready_then_ready!(body, "[[1,2,3]]", |client: &Client| client
            .repos()
            .get_code_frequency_stats()
            .owner("o")
            .repo("r"));
        not_ready_then_ready!(body, "[]", |client: &Client| client
            .repos()
            .get_commit_activity_stats()
            .owner("o")
            .repo("r"));
        not_ready_then_ready!(body, "[[0,0,5]]", |client: &Client| client
            .repos()
            .get_punch_card_stats()
            .owner("o")
            .repo("r"));
        not_ready_then_ready!(body, r#"{"all":[1],"owner":[1]}"#, |client: &Client| client
            .repos()
            .get_participation_stats()
            .owner("o")
            .repo("r"));
        not_ready_then_ready!(body, "{}", |client: &Client| client
            .repos()
            .get_pages_health_check()
            .owner("o")
            .repo("r"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_statistic_with_until_ready_is_polled_and_then_typed() {
    let count = Arc::new(AtomicUsize::new(0));
    let server = Server::start(move |_: Received| {
        let ready = count.fetch_add(1, Ordering::Relaxed) >= 3;
        let (status, body) = if ready { ("200 OK", "[[0,0,5]]") } else { ("202 Accepted", "{}") };
        async move { Reply::Raw(json_response(status, "", body)) }
    })
    .await;
    let client = server.builder().build().unwrap();
    let call = client.repos().get_punch_card_stats().owner("o").repo("r");
    let card = call.with(|request| request.poll_until_ready(60 * SECOND)).send().await.unwrap();
    assert_eq!(card.into_inner(), Some(vec![vec![0, 0, 5]]));
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn a_202_that_does_not_fit_the_type_of_a_call_by_hand_is_not_ready() {
    let server = working_on_it(100).await;
    let client = server.builder().build().unwrap();
    let call = client.request(Method::GET, "/repos/o/r/stats/punch_card");
    let error = call.send::<Vec<Vec<i64>>>().await.unwrap_err();
    assert!(error.is_not_ready(), "{error:?}");
    assert_eq!(error.operation(), Some("GET /repos/o/r/stats/punch_card"));
    // To a change, 202 is its success.
    let call = client.request(Method::POST, "/x");
    let error = call.send::<Vec<i64>>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(!error.is_not_ready());
}

/// The document's reads with 202, which a refresh may add to: each is tested above or in the crate.
#[test]
fn the_description_has_no_other_read_that_may_not_be_ready() {
    let document = std::fs::read("openapi/api.github.com.json").unwrap();
    let document: Value = serde_json::from_slice(&document).unwrap();
    let mut reads: Vec<_> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, path)| path["get"]["responses"].get("202").is_some())
        .map(|(path, _)| path.rsplit('/').next().unwrap())
        .collect();
    reads.sort_unstable();
    assert_eq!(
        reads,
        ["code_frequency", "commit_activity", "contributors", "health", "{sbom_uuid}"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_fails_immediately_even_with_an_exhausted_limit() {
    for (status, waits) in [("403 Forbidden", false), ("404 Not Found", false)] {
        let reset = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + HOUR;
        let headers = format!(
            "x-ratelimit-limit: 5000\r\nx-ratelimit-remaining: 0\r\nx-ratelimit-used: 5000\r\n\
             x-ratelimit-reset: {}\r\nx-ratelimit-resource: core\r\nretry-after: 60\r\n",
            reset.as_secs()
        );
        let body = r#"{"message":"Resource not accessible by integration"}"#;
        let server = Server::fixed_response(json_response(status, &headers, body)).await;
        let client = server.builder().build().unwrap();
        let start = tokio::time::Instant::now();
        let error = send(client.request(Method::GET, "/x")).await.unwrap_err();
        assert_eq!(error.is_rate_limited(), waits, "{error}");
        assert_eq!(error.kind(), ErrorKind::Api);
        assert!(start.elapsed() < SECOND, "{:?}", start.elapsed());
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn statistics_that_take_too_long_are_an_error_that_says_so() {
    let server = working_on_it(100).await;
    let client = server.builder().build().unwrap();
    let request = || client.request(Method::GET, "/x");
    let start = tokio::time::Instant::now();
    for request in [
        request().poll_until_ready(10 * SECOND),
        request().poll_until_ready(Duration::MAX).timeout(10 * SECOND),
    ] {
        let error = send(request).await.unwrap_err();
        assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Timeout, 202));
        assert!(error.to_string().contains("response not ready"), "{error}");
    }
    assert!(start.elapsed() <= 20 * SECOND, "{:?}", start.elapsed());
    let error =
        send(client.request(Method::POST, "/x").poll_until_ready(SECOND)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
}

#[tokio::test]
async fn a_graphql_query_is_retried_and_a_mutation_is_not() {
    for (query, seen) in [
        ("query { viewer { login } }", 2),
        ("{ viewer { login } }", 2),
        ("# mutation\nquery Q($a: String = \"mutation\") { mutation }", 2),
        ("mutation { addStar(input: {}) { clientMutationId } }", 1),
        ("fragment F on User { login } mutation M { x }", 1),
    ] {
        let server = failing_once(Failure::Status("502 Bad Gateway")).await;
        let _ = client(&server).graphql::<Value>(query, ()).await;
        assert_eq!(server.requests().len(), seen, "{query}");
    }
}
