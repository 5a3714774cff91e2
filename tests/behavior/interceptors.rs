//! Interceptors and transports of the application.

use std::fmt;
use std::sync::{Arc, Mutex};

use http::header::AUTHORIZATION;
use http::{HeaderValue, Method, Response, StatusCode};
use octowire::auth::PersonalToken;
use octowire::cache::CacheStatus::{Hit, Miss};
use octowire::cache::{CacheConfig, CachePolicy};
use octowire::reqwest::Request;
use octowire::{
    Client, ClientBuilder, ErrorKind, Interceptor, InterceptorFuture, OutgoingRequest,
    RequestOutcome, RetryPolicy, Transport, TransportFuture,
};
use serde_json::Value;

mod protected_headers;

/// Responds with a function of the request's number, and keeps the requests.
#[derive(Clone)]
struct Network {
    requests: Arc<Mutex<Vec<Request>>>,
    respond: fn(usize) -> Result<Response<&'static str>, &'static str>,
}

impl Network {
    fn new(respond: fn(usize) -> Result<Response<&'static str>, &'static str>) -> Self {
        Self { requests: Arc::default(), respond }
    }

    fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// Returns the values of a header in the requests, in their order; empty for a request without it.
    fn sent(&self, name: &str) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        let value = |request: &Request| {
            let value = request.headers().get(name);
            value.map_or("", |value| value.to_str().unwrap()).to_owned()
        };
        requests.iter().map(value).collect()
    }

    fn client(&self) -> ClientBuilder {
        Client::builder().token("s3cret-token").transport(self.clone())
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network")
    }
}

impl Transport for Network {
    fn send(&self, request: Request) -> TransportFuture<'_> {
        let mut requests = self.requests.lock().unwrap();
        requests.push(request);
        let response = (self.respond)(requests.len());
        Box::pin(async move { response.map(Into::into).map_err(Into::into) })
    }
}

fn ok(headers: &[(&'static str, &'static str)]) -> Result<Response<&'static str>, &'static str> {
    let response = Response::builder();
    let response =
        headers.iter().fold(response, |response, (name, value)| response.header(*name, *value));
    Ok(response.body("{}").unwrap())
}

fn status(status: StatusCode) -> Result<Response<&'static str>, &'static str> {
    Ok(Response::builder().status(status).body("{}").unwrap())
}

/// Records when it runs, and adds a header with a number that counts its requests.
#[derive(Clone, Debug)]
struct Trace {
    name: &'static str,
    header: Option<&'static str>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Trace {
    fn new(name: &'static str) -> Self {
        Self { name, header: None, log: Arc::default() }
    }

    fn note(&self, text: impl fmt::Display) {
        self.log.lock().unwrap().push(format!("{}: {text}", self.name));
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

impl Interceptor for Trace {
    fn before_call<'a>(&'a self, request: &'a mut OutgoingRequest<'_>) -> InterceptorFuture<'a> {
        self.note(format_args!("before {}", request.operation()));
        Box::pin(async { Ok(()) })
    }

    fn after_call(&self, outcome: &RequestOutcome<'_>) {
        self.note(format_args!("after {:?}", outcome.status().map(|status| status.as_u16())));
    }

    fn before_attempt<'a>(&'a self, request: &'a mut OutgoingRequest<'_>) -> InterceptorFuture<'a> {
        self.note(format_args!("before attempt {}", request.resend_count()));
        if let Some(header) = self.header {
            assert!(
                !request.headers().contains_key(header),
                "no attempt has the headers of an earlier one"
            );
            let count = request.resend_count();
            request.headers_mut().insert(header, count.into());
        }
        Box::pin(async { Ok(()) })
    }

    fn after_attempt(&self, outcome: &RequestOutcome<'_>) {
        self.note(format_args!(
            "after attempt {:?}",
            outcome.status().map(|status| status.as_u16())
        ));
    }
}

#[tokio::test(start_paused = true)]
async fn interceptors_run_in_order_before_and_in_reverse_order_after() {
    let network = Network::new(|number| match number {
        1 => status(StatusCode::BAD_GATEWAY),
        _ => ok(&[]),
    });
    let one = Trace { header: Some("x-attempt"), ..Trace::new("one") };
    let two = Trace { name: "two", header: None, log: Arc::clone(&one.log) };
    let client = network.client().interceptor(one.clone()).interceptor(two).build().unwrap();
    client.request(Method::GET, "/x").send::<Value>().await.unwrap();
    assert_eq!(
        one.log(),
        [
            "one: before GET /x",
            "two: before GET /x",
            "one: before attempt 0",
            "two: before attempt 0",
            "two: after attempt Some(502)",
            "one: after attempt Some(502)",
            "one: before attempt 1",
            "two: before attempt 1",
            "two: after attempt Some(200)",
            "one: after attempt Some(200)",
            "two: after Some(200)",
            "one: after Some(200)",
        ]
    );
    assert_eq!(network.sent("x-attempt"), ["0", "1"]);
}

/// Rejects writes.
#[derive(Debug)]
struct ReadOnly;

impl Interceptor for ReadOnly {
    fn before_call<'a>(&'a self, request: &'a mut OutgoingRequest<'_>) -> InterceptorFuture<'a> {
        let is_read = request.method().is_safe();
        Box::pin(async move { if is_read { Ok(()) } else { Err("read only".into()) } })
    }
}

#[tokio::test]
async fn a_rejected_call_is_not_sent_and_later_interceptors_do_not_run() {
    let network = Network::new(|_| ok(&[]));
    let (outer, inner) = (Trace::new("outer"), Trace::new("inner"));
    let client = network.client().interceptor(outer.clone()).interceptor(ReadOnly);
    let client = client.interceptor(inner.clone()).build().unwrap();
    for method in [Method::POST, Method::PATCH, Method::DELETE] {
        let error = client.request(method, "/x").send_empty().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interceptor);
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(source, "read only");
        assert!(!error.is_retryable());
    }
    assert_eq!((network.count(), inner.log().len()), (0, 0));
    assert_eq!(outer.log()[..2], ["outer: before POST /x", "outer: after None"]);
    client.request(Method::GET, "/x").send_empty().await.unwrap();
    assert_eq!(network.count(), 1);
}

/// Tries to read and to replace the credentials of attempts.
#[derive(Debug, Default)]
struct Curious(Arc<Mutex<Vec<String>>>);

impl Interceptor for Curious {
    fn before_attempt<'a>(&'a self, request: &'a mut OutgoingRequest<'_>) -> InterceptorFuture<'a> {
        self.0.lock().unwrap().push(format!("{:?} {request:?}", request.headers()));
        request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static("Bearer mine"));
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test]
async fn an_attempt_has_no_credentials_for_interceptors() {
    let network = Network::new(|_| ok(&[]));
    let seen = Curious::default();
    let log = Arc::clone(&seen.0);
    let client = network.client().interceptor(seen).build().unwrap();
    client.request(Method::GET, "/x").send_empty().await.unwrap();
    let own = client.request(Method::GET, "/x").header("authorization", "Bearer s3cret-of-call");
    own.send_empty().await.unwrap();
    assert_eq!(network.sent("authorization"), ["Bearer s3cret-token", "Bearer s3cret-of-call"]);
    let log = log.lock().unwrap();
    assert!(log.len() == 2 && log.iter().all(|seen| !seen.contains("s3cret")), "{log:?}");
    assert!(log.iter().all(|seen| !seen.contains("authorization")), "{log:?}");
}

/// Adds a header with a new value to each call, or to each attempt.
#[derive(Debug)]
struct Number {
    header: &'static str,
    of_calls: bool,
    last: Mutex<u32>,
}

impl Number {
    fn add(&self, request: &mut OutgoingRequest<'_>, is_call: bool) {
        if self.of_calls == is_call {
            let mut last = self.last.lock().unwrap();
            *last += 1;
            request.headers_mut().insert(self.header, (*last).into());
        }
    }
}

impl Interceptor for Number {
    fn before_call<'a>(&'a self, request: &'a mut OutgoingRequest<'_>) -> InterceptorFuture<'a> {
        self.add(request, true);
        Box::pin(async { Ok(()) })
    }

    fn before_attempt<'a>(&'a self, request: &'a mut OutgoingRequest<'_>) -> InterceptorFuture<'a> {
        self.add(request, false);
        Box::pin(async { Ok(()) })
    }
}

const FRESH: (&str, &str) = ("cache-control", "max-age=600");

#[tokio::test]
async fn a_header_for_tracing_does_not_prevent_cache_hits() {
    let cache = || CacheConfig::default().default_policy(CachePolicy::respect_server());
    for of_calls in [true, false] {
        let network = Network::new(|_| ok(&[FRESH, ("vary", "accept")]));
        let number = Number { header: "traceparent", of_calls, last: Mutex::default() };
        let client = network.client().cache(cache()).interceptor(number).build().unwrap();
        for expected in [Miss, Hit, Hit] {
            let call = client.request(Method::GET, "/x").send::<Value>().await.unwrap();
            assert_eq!(call.meta().cache_status(), expected, "calls: {of_calls}");
        }
        assert_eq!(network.sent("traceparent"), ["1"]);
    }
    let network = Network::new(|_| ok(&[FRESH]));
    let client = network.client().cache(cache()).build().unwrap();
    for (value, expected) in [("1", Miss), ("2", Hit), ("3", Hit)] {
        let call = client.request(Method::GET, "/x").header("traceparent", value);
        assert_eq!(call.send::<Value>().await.unwrap().meta().cache_status(), expected);
    }
}

#[tokio::test]
async fn a_response_is_stored_for_the_headers_that_it_varies_by() {
    let cache = || CacheConfig::default().default_policy(CachePolicy::respect_server());
    let network = Network::new(|_| ok(&[FRESH, ("vary", "X-Tenant")]));
    let client = network.client().cache(cache()).build().unwrap();
    let status = async |tenant: Option<&str>| {
        let mut call = client.request(Method::GET, "/x").header("x-other", "any");
        if let Some(tenant) = tenant {
            call = call.header("x-tenant", tenant);
        }
        call.send::<Value>().await.unwrap().meta().cache_status()
    };
    // A response to a call without the header is not used for a call with it, and conversely.
    for (tenant, expected) in [
        (None, Miss),
        (Some("a"), Miss),
        (Some("a"), Hit),
        (Some("b"), Miss),
        (None, Hit),
        (Some("b"), Hit),
        (Some("a"), Hit),
    ] {
        assert_eq!(status(tenant).await, expected, "{tenant:?}");
    }
    // A header of single requests cannot be a part of the key.
    let network = Network::new(|_| ok(&[FRESH, ("vary", "X-Tenant")]));
    let number = Number { header: "x-tenant", of_calls: false, last: Mutex::default() };
    let client = network.client().cache(cache()).interceptor(number).build().unwrap();
    for _ in 0..2 {
        let call = client.request(Method::GET, "/x").send::<Value>().await.unwrap();
        assert_eq!(call.meta().cache_status(), Miss);
    }
}

/// Whatever header a response varies by, calls with different values of it never share the response.
#[tokio::test]
async fn calls_with_different_values_of_a_varying_header_never_share_a_response() {
    for name in ["accept", "accept-encoding", "origin", "x-github-otp", "x-requested-with", "x-any"]
    {
        let network = Network::new(|_| {
            ok(&[
                FRESH,
                ("vary", "Accept, Accept-Encoding, Origin, X-GitHub-OTP, X-Requested-With, X-Any"),
            ])
        });
        let cache = CacheConfig::default().default_policy(CachePolicy::respect_server());
        let client = network.client().cache(cache).build().unwrap();
        for (value, expected) in
            [("a", Miss), ("b", Miss), ("", Miss), ("a", Hit), ("b", Hit), ("", Hit)]
        {
            let mut call = client.request(Method::GET, "/x");
            if !value.is_empty() {
                call = call.header(name, value);
            }
            let status = call.send::<Value>().await.unwrap().meta().cache_status();
            assert_eq!(status, expected, "{name}: {value}");
        }
    }
}

#[tokio::test]
async fn a_default_header_that_a_call_overrides_is_a_part_of_the_key() {
    let network = Network::new(|_| ok(&[FRESH, ("vary", "X-Tenant")]));
    let cache = CacheConfig::default().default_policy(CachePolicy::respect_server());
    let client = network.client().cache(cache).default_header("x-tenant", "m").build().unwrap();
    for (tenant, expected) in [("a", Miss), ("a", Hit), ("b", Miss), ("a", Hit)] {
        let call = client.request(Method::GET, "/x").header("x-tenant", tenant);
        assert_eq!(call.send::<Value>().await.unwrap().meta().cache_status(), expected, "{tenant}");
    }
}

/// Sets headers of each attempt or call, beside those that are there.
#[derive(Debug)]
struct Sets(&'static [(&'static str, &'static str)], bool);

impl Sets {
    fn add(&self, request: &mut OutgoingRequest<'_>, is_call: bool) {
        if self.1 == is_call {
            for (name, value) in self.0 {
                request.headers_mut().append(*name, HeaderValue::from_static(value));
            }
        }
    }
}

impl Interceptor for Sets {
    fn before_call<'a>(&'a self, request: &'a mut OutgoingRequest<'_>) -> InterceptorFuture<'a> {
        self.add(request, true);
        Box::pin(async { Ok(()) })
    }

    fn before_attempt<'a>(&'a self, request: &'a mut OutgoingRequest<'_>) -> InterceptorFuture<'a> {
        self.add(request, false);
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test]
async fn a_304_is_only_about_the_stored_response() {
    let network = Network::new(|number| match number {
        1 => ok(&[("etag", "\"a\"")]),
        _ => status(StatusCode::NOT_MODIFIED),
    });
    let conditions = &[("if-none-match", "\"b\""), ("range", "bytes=0-1")];
    let client = network.client().interceptor(Sets(conditions, false)).build().unwrap();
    for _ in 0..2 {
        client.request(Method::GET, "/x").send::<Value>().await.unwrap();
    }
    assert_eq!(network.sent("if-none-match"), ["", "\"a\""]);
    assert_eq!(network.sent("range"), ["", ""]);
}

#[tokio::test]
async fn each_value_of_a_header_is_sent() {
    let network = Network::new(|_| ok(&[]));
    let values = &[("x-a", "1"), ("x-a", "2")];
    let client = network.client().interceptor(Sets(values, false)).build().unwrap();
    client.request(Method::POST, "/x").send_empty().await.unwrap();
    let requests = network.requests.lock().unwrap();
    let sent: Vec<_> = requests[0].headers().get_all("x-a").iter().collect();
    assert_eq!(sent, ["1", "2"]);
}

#[tokio::test]
async fn an_interceptor_cannot_replace_a_credential() {
    let others = &[("authorization", "Bearer of-another"), ("x-gateway", "Bearer of-another")];
    for of_calls in [true, false] {
        let network = Network::new(|_| ok(&[]));
        let gateway = PersonalToken::new("gateway-token").unwrap();
        let client = network.client().gateway("x-gateway", gateway);
        let client = client.interceptor(Sets(others, of_calls)).build().unwrap();
        client.request(Method::POST, "/x").send_empty().await.unwrap();
        assert_eq!(network.sent("authorization"), ["Bearer s3cret-token"]);
        assert_eq!(network.sent("x-gateway"), ["Bearer gateway-token"]);
        let usage = client.usage().report().await;
        assert!(!format!("{usage:?}").contains("of-another"));
    }
}

#[tokio::test(start_paused = true)]
async fn reads_with_different_headers_are_not_coalesced() {
    let network = Network::new(|_| ok(&[FRESH, ("vary", "X-Tenant")]));
    let cache = CacheConfig::default().default_policy(CachePolicy::respect_server());
    let client = network.client().cache(cache).build().unwrap();
    let call = |tenant| client.request(Method::GET, "/x").header("x-tenant", tenant).send_empty();
    let (a, b) = tokio::join!(call("a"), call("b"));
    assert_eq!((a.unwrap().meta().cache_status(), b.unwrap().meta().cache_status()), (Miss, Miss));
    assert_eq!(network.sent("x-tenant"), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_transport_is_retried_and_becomes_the_source() {
    let network = Network::new(|number| if number == 1 { Err("no route") } else { ok(&[]) });
    let client = network.client().build().unwrap();
    client.request(Method::GET, "/x").send_empty().await.unwrap();
    assert_eq!(network.count(), 2);
    let network = Network::new(|_| Err("no route"));
    let client = network.client().retry(RetryPolicy::disabled()).build().unwrap();
    let error = client.request(Method::GET, "/x").send_empty().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("no route"));
}

#[tokio::test]
async fn redirects_of_a_transport_are_followed() {
    let network = Network::new(|number| match number {
        1 => Ok(Response::builder().status(301).header("location", "/y").body("").unwrap()),
        _ => ok(&[]),
    });
    let client = network.client().build().unwrap();
    client.request(Method::GET, "/x").send_empty().await.unwrap();
    let requests = network.requests.lock().unwrap();
    let urls: Vec<_> = requests.iter().map(|request| request.url().as_str()).collect();
    assert_eq!(urls, ["https://api.github.com/x", "https://api.github.com/y"]);
}
