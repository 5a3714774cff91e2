//! Calls that are not polled hold up no other call: small random programs always finish.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join_all, poll_immediate};
use futures_util::{StreamExt, stream};
use http::Method;
use reqwest::{Request, Response};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

use super::interceptor::{Interceptor, InterceptorFuture, OutgoingRequest};
use super::{BodyMode, CallContext, cached};
use crate::api::operation::{MissingBody, Operation, OperationParameter, ParameterLocation};
use crate::client::pagination::Items;
use crate::client::test_transport::response;
use crate::client::{Client, ClientBuilder, ResponseFuture};
use crate::policy::auth::{AccessToken, TokenFuture, TokenProvider, TokenRequest};
use crate::policy::cache::{CacheConfig, CachePolicy, CacheStatus};
use crate::policy::circuit_breaker::{CircuitBreaker, CircuitState};
use crate::policy::rate_limit::{RateLimitPolicy, SecondaryLimits};
use crate::policy::retry::RetryPolicy;
use crate::response::{ByteStream, RawResponse};
use crate::store::{CounterStore, KeyValueStore, MemoryStore, QuotaStore, StoreFuture, forward};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// The steps of a program, in order.
#[derive(Debug)]
enum Step {
    Call,
    /// One of a few reads that the cache may share.
    Read(u64),
    Write,
    Query,
    /// The body is left unread.
    Download,
    /// Walks a list, up to so many items, with these steps for each.
    Walk {
        pages: u64,
        prefetch: usize,
        items: u64,
        each: Vec<Step>,
    },
    /// Two lists at a time.
    Zip {
        items: u64,
        each: Vec<Step>,
    },
    Batch {
        calls: u64,
        concurrency: usize,
        results: u64,
        each: Vec<Step>,
    },
    Buffer {
        calls: u64,
        width: usize,
        results: u64,
        each: Vec<Step>,
    },
    Join {
        calls: u64,
    },
    /// Polls a call once and leaves it.
    Leave(u64),
    /// Reads one item of a list and leaves it.
    LeaveWalk {
        pages: u64,
    },
    /// Drops the future that was left last, or awaits it.
    Drop,
    Resume,
}

fn program(random: &mut Random, depth: u64) -> Vec<Step> {
    (0..1 + random.below(1 + depth)).map(|_| step(random, depth)).collect()
}

fn step(random: &mut Random, depth: u64) -> Step {
    let kinds = if depth > 0 { 16 } else { 10 };
    match random.below(kinds) {
        0 => Step::Call,
        1 => Step::Read(random.below(3)),
        2 => Step::Write,
        3 => Step::Query,
        4 => Step::Download,
        5 => Step::Join { calls: 1 + random.below(4) },
        6 => Step::Leave(random.below(4)),
        7 => Step::LeaveWalk { pages: 2 + random.below(5) },
        8 => Step::Drop,
        9 => Step::Resume,
        10..13 => Step::Walk {
            pages: 1 + random.below(5),
            prefetch: random.below(5) as usize,
            items: 1 + random.below(3),
            each: program(random, depth - 1),
        },
        13 => Step::Zip { items: 1 + random.below(3), each: program(random, depth - 1) },
        14 => Step::Batch {
            calls: 1 + random.below(6),
            concurrency: 1 + random.below(5) as usize,
            results: 1 + random.below(3),
            each: program(random, depth - 1),
        },
        _ => Step::Buffer {
            calls: 1 + random.below(6),
            width: 1 + random.below(5) as usize,
            results: 1 + random.below(3),
            each: program(random, depth - 1),
        },
    }
}

/// A future that a program has left, and can poll again.
enum AbandonedWork {
    Call(ResponseFuture<Value>),
    Walk(Box<Items<u64>>),
    /// It is kept for its connection's sake alone.
    Body(#[allow(dead_code)] Option<ByteStream>),
}

fn get(client: &Client, path: &str) -> ResponseFuture<Value> {
    client.request(Method::GET, path).send()
}

fn walk(client: &Client, pages: u64, prefetch: usize) -> Items<u64> {
    let list = client.request(Method::GET, format!("/list/{pages}")).prefetch(prefetch);
    list.items(|page: Vec<u64>| page)
}

/// A few reads that are shared, and others.
fn some_call(client: &Client, number: u64) -> ResponseFuture<Value> {
    match number {
        0..3 => get(client, &format!("/read/{number}")),
        _ => get(client, "/call"),
    }
}

type Run<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Errors are results as well: it is about the end of each call, not about how it ends.
fn run<'a>(client: &'a Client, steps: &'a [Step], left: &'a mut Vec<AbandonedWork>) -> Run<'a> {
    Box::pin(async move {
        for step in steps {
            match step {
                Step::Call => drop(get(client, "/call").await),
                Step::Read(number) => drop(get(client, &format!("/read/{number}")).await),
                Step::Write => {
                    let write = client.request(Method::POST, "/write").send_empty();
                    drop(write.await);
                }
                Step::Query => drop(client.graphql::<Value>("{ viewer }", ()).await),
                Step::Download => {
                    let body = client.request(Method::GET, "/body").send_stream().await;
                    left.push(AbandonedWork::Body(body.ok().map(|body| body.into_inner())));
                }
                Step::Walk { pages, prefetch, items, each } => {
                    let mut list = walk(client, *pages, *prefetch);
                    for _ in 0..*items {
                        let Ok(Some(_)) = list.try_next().await else { break };
                        run(client, each, left).await;
                    }
                }
                Step::Zip { items, each } => {
                    let mut lists = walk(client, 3, 2).zip(walk(client, 4, 4));
                    for _ in 0..*items {
                        let Some(_) = lists.next().await else { break };
                        run(client, each, left).await;
                    }
                }
                Step::Batch { calls, concurrency, results, each } => {
                    let calls = (0..*calls).map(|number| some_call(client, number));
                    let mut batch =
                        Box::pin(client.batch(calls).concurrency(*concurrency).stream());
                    for _ in 0..*results {
                        let Some(_) = batch.next().await else { break };
                        run(client, each, left).await;
                    }
                }
                Step::Buffer { calls, width, results, each } => {
                    let calls = (0..*calls).map(|number| some_call(client, number));
                    let mut buffer = stream::iter(calls).buffer_unordered(*width);
                    for _ in 0..*results {
                        let Some(_) = buffer.next().await else { break };
                        run(client, each, left).await;
                    }
                }
                Step::Join { calls } => {
                    let calls = (0..*calls).map(|number| some_call(client, number));
                    drop(join_all(calls).await);
                }
                Step::Leave(number) => {
                    let mut call = some_call(client, *number);
                    if poll_immediate(&mut call).await.is_none() {
                        left.push(AbandonedWork::Call(call));
                    }
                }
                Step::LeaveWalk { pages } => {
                    let mut list = walk(client, *pages, 4);
                    let _ = list.try_next().await;
                    left.push(AbandonedWork::Walk(Box::new(list)));
                }
                Step::Drop => drop(left.pop()),
                Step::Resume => match left.pop() {
                    Some(AbandonedWork::Call(call)) => drop(call.await),
                    Some(AbandonedWork::Walk(list)) => drop(list.collect_all(100).await),
                    Some(AbandonedWork::Body(_)) | None => {}
                },
            }
        }
    })
}

/// Responds after up to 20 ms. One of 64 responses is a secondary rate limit.
async fn respond(request: Request, number: u64) -> Response {
    let mut random = Random(number);
    sleep(Duration::from_millis(random.below(20))).await;
    if random.below(64) == 0 {
        let headers = [("retry-after", "1".to_owned())];
        let body = r#"{"message": "You have exceeded a secondary rate limit"}"#;
        return response(&request, 403, &headers, body);
    }
    let Some(pages) = request.url().path().strip_prefix("/list/") else {
        return response(&request, 200, &[], r#"{"data": {}}"#);
    };
    let pages: u64 = pages.parse().unwrap();
    let page = request.url().query_pairs().find(|(name, _)| name == "page");
    let page: u64 = page.map_or(1, |(_, page)| page.parse().unwrap());
    let link = |page: u64, rel: &str| {
        format!("<https://api.github.com/list/{pages}?page={page}>; rel=\"{rel}\"")
    };
    let links = format!("{}, {}", link(page + 1, "next"), link(pages, "last"));
    let headers = [("link", links)];
    response(&request, 200, if page < pages { &headers } else { &[] }, "[1, 2]")
}

/// A client with so many permits, or one that only finds out about an unknown limit.
fn client(permits: u64, seed: u64, sent: &Arc<AtomicU64>) -> Client {
    let pacing = SecondaryLimits::disabled()
        .max_concurrent(u32::try_from(permits).ok().filter(|one| *one > 0));
    let sent = Arc::clone(sent);
    let builder = Client::builder();
    let builder = builder.rate_limits(RateLimitPolicy::default().secondary_limits(pacing));
    let builder = builder.responder(move |request| {
        let number = seed.wrapping_add(sent.fetch_add(1, Ordering::Relaxed));
        respond(request, number)
    });
    builder.build().unwrap()
}

/// So many programs, a quarter of them beside another one in its own task.
const PROGRAMS: u64 = 10_000;
/// In tokio's time: a program makes a hundred calls of milliseconds, and waits for a few pauses.
const AT_MOST: Duration = Duration::from_secs(600);

#[tokio::test(start_paused = true)]
async fn random_programs_of_calls_that_are_left_unpolled_always_finish() {
    let sent = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..=4).map(|permits| client(permits, 7, &sent)).collect();
    let (mut detached, mut longest) = (0, Duration::ZERO);
    for seed in 0..PROGRAMS {
        let mut random = Random(seed);
        let permits = random.below(5);
        let client = clients[permits as usize].named(&format!("program-{seed}"));
        let steps = program(&mut random, 2);
        let beside = (random.below(4) == 0).then(|| program(&mut random, 1));
        let began = Instant::now();
        let shown = format!("{permits} permits: {steps:?}, beside {beside:?}");
        let beside = beside.map(|steps| {
            let client = client.clone();
            tokio::spawn(async move { run(&client, &steps, &mut Vec::new()).await })
        });
        let mut left = Vec::new();
        let ends = async {
            run(&client, &steps, &mut left).await;
            if let Some(beside) = beside {
                beside.await.unwrap();
            }
        };
        let ended = timeout(AT_MOST, ends).await;
        assert!(ended.is_ok(), "program {seed} hangs: {shown}");
        longest = longest.max(began.elapsed());
        detached += Handle::current().metrics().num_alive_tasks();
    }
    let sent = sent.load(Ordering::Relaxed);
    println!(
        "{PROGRAMS} programs, {sent} requests; {detached} tasks at their ends, the longest took {longest:?}"
    );
    assert!(sent > 5 * PROGRAMS);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_blocks_no_other_call_is_not_spawned() {
    let client = client(4, 1, &Arc::default());
    let mut list = walk(&client, 5, 3);
    for _ in 0..10 {
        list.try_next().await.unwrap();
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_waits_is_not_timed_out_by_the_time_before_it_was_detached() {
    let client = client(1, 1, &Arc::default());
    let mut list = walk(&client, 2, 1);
    list.try_next().await.unwrap().unwrap();
    // The second page is in flight, and nothing polls it for longer than an attempt may take.
    tokio::time::advance(Duration::from_secs(3600)).await;
    get(&client, "/call").await.unwrap();
    assert_eq!(list.collect_all(10).await.unwrap().len(), 3);
}

const SECOND: Duration = Duration::from_secs(1);

/// A client whose responses take 10 ms.
fn plain() -> ClientBuilder {
    let builder = Client::builder();
    builder.responder(|request| async move {
        sleep(SECOND / 100).await;
        response(&request, 200, &[], "1")
    })
}

#[tokio::test(start_paused = true)]
async fn a_call_that_probes_an_open_circuit_ends_though_nothing_polls_it() {
    let fails = Arc::new(AtomicBool::new(true));
    let failing = Arc::clone(&fails);
    let breaker = CircuitBreaker::default().min_samples(1).half_open_probes(1);
    let client = plain().circuit_breaker(breaker).retry(RetryPolicy::disabled());
    let client = client.responder(move |request| {
        let status = if failing.load(Ordering::Relaxed) { 500 } else { 200 };
        async move {
            sleep(SECOND / 100).await;
            response(&request, status, &[], "1")
        }
    });
    let client = client.build().unwrap();
    get(&client, "/fails").await.unwrap_err();
    assert_eq!(client.circuit_state(), CircuitState::Open);
    fails.store(false, Ordering::Relaxed);
    sleep(11 * SECOND).await;
    let mut probe = get(&client, "/probe");
    assert!(poll_immediate(&mut probe).await.is_none());
    sleep(SECOND).await;
    get(&client, "/other").await.unwrap();
    probe.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_unpolled_call_does_not_keep_the_places_that_a_fleet_shares() {
    let store = MemoryStore::new();
    let limits =
        RateLimitPolicy::default().secondary_limits(SecondaryLimits::disabled().max_concurrent(1));
    let member = || {
        let member = plain().rate_limits(limits.clone()).cache(CacheConfig::disabled());
        member.store(store.clone()).build().unwrap()
    };
    let (one, other) = (member(), member());
    let mut left = get(&one, "/left");
    assert!(poll_immediate(&mut left).await.is_none());
    sleep(SECOND).await;
    timeout(30 * SECOND, get(&other, "/other")).await.expect("it waits for a place").unwrap();
    left.await.unwrap();
}

/// A store that takes 10 ms to read.
#[derive(Debug)]
struct Slow(MemoryStore);

impl KeyValueStore for Slow {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            sleep(SECOND / 100).await;
            self.0.get(key).await
        })
    }
    forward!(0 => put, put_if_absent, extend_if_equal, remove, remove_if_equal);
}

impl CounterStore for Slow {
    forward!(0 => increment);
}

impl QuotaStore for Slow {}

#[tokio::test(start_paused = true)]
async fn an_unpolled_call_does_not_keep_the_log_of_a_shared_cache() {
    let client = plain().cache(CacheConfig::store(Slow(MemoryStore::new()))).build().unwrap();
    let mut left = get(&client, "/left");
    assert!(poll_immediate(&mut left).await.is_none());
    timeout(30 * SECOND, get(&client, "/other")).await.expect("it waits for the log").unwrap();
    left.await.unwrap();
}

/// A body that never comes.
struct Never;

impl http_body::Body for Never {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

/// A client of a server that answers with this status and never with a body, and the number of requests.
fn without_bodies(status: u16) -> (ClientBuilder, Arc<AtomicU64>) {
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let builder = Client::builder();
    let builder = builder.responder(move |request| {
        counter.fetch_add(1, Ordering::Relaxed);
        async move { response(&request, status, &[], reqwest::Body::wrap(Never)) }
    });
    (builder, sent)
}

#[tokio::test(start_paused = true)]
async fn an_error_body_is_awaited_for_three_seconds_or_half_the_remaining_time() {
    const SECOND: Duration = Duration::from_secs(1);
    for (attempt, call, waited) in
        [(30 * SECOND, None, 3000), (4 * SECOND, None, 2000), (30 * SECOND, Some(SECOND), 500)]
    {
        for status in [401, 403, 404, 422] {
            let (builder, sent) = without_bodies(status);
            let client = builder.attempt_timeout(attempt).build().unwrap();
            let request = client.request(Method::GET, "/x");
            let request = match call {
                Some(call) => request.timeout(call),
                None => request,
            };
            let began = Instant::now();
            let error = request.send::<Value>().await.unwrap_err();
            assert_eq!(error.status().unwrap().as_u16(), status);
            assert_eq!(error.body().unwrap(), "");
            let elapsed = began.elapsed().as_millis();
            assert!((waited..waited + 5).contains(&elapsed), "{status}: {elapsed} ms");
            assert_eq!(sent.load(Ordering::Relaxed), 1, "{status}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_error_with_a_failing_body_is_retried_as_a_server_error() {
    let (builder, sent) = without_bodies(503);
    let retry = RetryPolicy::default().backoff(Duration::ZERO, Duration::ZERO);
    let call = builder.retry(retry).build().unwrap().request(Method::GET, "/x");
    let error = call.send::<Value>().await.unwrap_err();
    assert_eq!(error.status().unwrap(), 503);
    assert_eq!(error.attempts().len(), 3);
    assert!(error.attempts().iter().all(|attempt| attempt.status.unwrap() == 503));
    assert_eq!(sent.load(Ordering::Relaxed), 4);
}

/// An operation that documents a parameter which is called like a secret.
static RESTORE: Operation = Operation {
    id: "test/restore",
    tag: "test",
    method: Method::GET,
    path: "/restore",
    server: None,
    accept: "application/vnd.github+json",
    parameters: &[OperationParameter {
        name: "token",
        setter: "token",
        location: ParameterLocation::Query,
        required: false,
        allows_slash: false,
    }],
    missing_body: MissingBody::Send,
    rate_limit: "core",
    creates_content: false,
    statuses: &[200],
    documentation_url: "",
    deprecated: false,
};

/// A parameter is no secret only if the operation documents it and the caller gave it.
#[tokio::test(start_paused = true)]
async fn documented_query_parameters_are_not_secrets() {
    use crate::sanitize::has_secret;

    let builder = Client::builder();
    let builder = builder.responder(|request| async move {
        let place = match (request.url().path(), request.url().query()) {
            ("/restore", None) => {
                "https://api.github.com/codeload?token=s1gned-by-the-server".into()
            }
            ("/restore", Some(query)) => {
                format!(
                    "https://api.github.com/repositories/1/restore?{query}&auth=s1gned-in-addition"
                )
            }
            _ => return response(&request, 200, &[], "[]"),
        };
        response(&request, 301, &[("location", place)], "{}")
    });
    let client = builder.build().unwrap();
    let operation = || crate::Request::operation(&client, &RESTORE);
    let call = operation().query("token", "d0cumented-t0ken").query("api_key", "und0cumented-key");
    call.send::<Value>().await.unwrap();
    assert!(!has_secret(b"d0cumented-t0ken"));
    assert!(has_secret(b"und0cumented-key") && has_secret(b"s1gned-in-addition"));
    operation().send::<Value>().await.unwrap();
    assert!(has_secret(b"s1gned-by-the-server"));
    let call = client.request(Method::GET, "/restore").query("token", "t0ken-by-h4nd");
    call.send::<Value>().await.unwrap();
    assert!(has_secret(b"t0ken-by-h4nd"));
}

/// A header that is not an ordinary one is sent as sensitive, wherever it was set.
#[tokio::test(start_paused = true)]
async fn headers_that_are_not_ordinary_are_sent_as_sensitive() {
    let marks = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&marks);
    let names = ["x-gateway", "x-upstream", "x-api-key", "x-note", "cookie"];
    let ordinary = ["accept", "user-agent", "time-zone", "x-github-next", "x-request-id"];
    let builder = Client::builder();
    let builder = builder.responder(move |request| {
        for (name, value) in request.headers() {
            seen.lock().unwrap().push((name.to_string(), value.is_sensitive()));
        }
        async move { response(&request, 200, &[], "[]") }
    });
    let all = names.iter().chain(&ordinary);
    let by_default =
        all.clone().fold(builder, |builder, name| builder.default_header(*name, "word"));
    let client = by_default.build().unwrap();
    get(&client, "/by-default").await.unwrap();
    let call = client.request(Method::GET, "/by-call");
    let call = all.fold(call, |call, name| call.header(*name, "another"));
    call.send::<Value>().await.unwrap();
    let marks = marks.lock().unwrap();
    for name in names {
        let of_name: Vec<_> = marks.iter().filter(|(it, _)| it == name).collect();
        assert!(of_name.len() == 2 && of_name.iter().all(|(_, marked)| *marked), "{of_name:?}");
    }
    for name in ordinary {
        let of_name: Vec<_> = marks.iter().filter(|(it, _)| it == name).collect();
        assert!(of_name.len() == 2 && of_name.iter().all(|(_, marked)| !*marked), "{of_name:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_is_waited_for_though_a_word_of_its_message_is_the_token() {
    const TOKEN: &str = "lImIt~w4its";
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let builder = Client::builder().token(TOKEN);
    let builder = builder.responder(move |request| {
        let number = counter.fetch_add(1, Ordering::Relaxed);
        async move {
            let body = format!("{{\"message\": \"You have exceeded a secondary rate {TOKEN}\"}}");
            match number {
                0 => response(&request, 403, &[], body),
                _ => response(&request, 200, &[], "{}"),
            }
        }
    });
    let began = Instant::now();
    builder.build().unwrap().request(Method::GET, "/x").send::<Value>().await.unwrap();
    assert_eq!(sent.load(Ordering::Relaxed), 2);
    assert!(began.elapsed() >= Duration::from_secs(60), "{:?}", began.elapsed());
}

/// A body that breaks off after a part.
struct TruncatedBody(Option<&'static str>);

impl http_body::Body for TruncatedBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        let part = self.0.take().map(|part| http_body::Frame::data(part.into()));
        std::task::Poll::Ready(Some(part.ok_or_else(|| std::io::Error::other("cut"))))
    }
}

/// The body breaks off within the last word of the message, and within a secret.
#[tokio::test(start_paused = true)]
async fn a_truncated_error_body_is_classified_by_the_part_received() {
    let part = |body: &'static str| {
        let builder = Client::builder();
        let builder = builder.rate_limits(
            RateLimitPolicy::default().on_limit(crate::policy::rate_limit::LimitAction::FailFast),
        );
        let builder = builder.responder(move |request| async move {
            response(&request, 403, &[], reqwest::Body::wrap(TruncatedBody(Some(body))))
        });
        builder.build().unwrap().request(Method::GET, "/x").send::<Value>()
    };
    let error = part("You have exceeded a secondary rate limit").await.unwrap_err();
    assert!(error.is_rate_limited(), "{error}");
    let error = part("Forbidden for the user with the code s3cr3t-th4t-is-c").await.unwrap_err();
    assert_eq!(error.body().unwrap(), "Forbidden for the user with the code ");
    assert!(!format!("{error} {:?}", error.api()).contains("s3cr3t"), "{error}");
}

/// Waits before each attempt.
#[derive(Debug)]
struct SlowInterceptor;

impl Interceptor for SlowInterceptor {
    fn before_attempt<'a>(&'a self, _: &'a mut OutgoingRequest<'_>) -> InterceptorFuture<'a> {
        Box::pin(async {
            sleep(5 * SECOND).await;
            Ok(())
        })
    }
}

/// Needs time for a token.
#[derive(Debug)]
struct SlowProvider;

impl TokenProvider for SlowProvider {
    fn fetch_token<'a>(&'a self, _: TokenRequest<'a>) -> TokenFuture<'a> {
        Box::pin(async {
            sleep(5 * SECOND).await;
            AccessToken::new("token")
        })
    }

    fn identity(&self) -> Cow<'_, str> {
        Cow::Borrowed("slow")
    }
}

/// The admission, the attempt and its time limit share one reading of the clock only if nothing waits between them.
#[tokio::test(start_paused = true)]
async fn the_time_limit_of_an_attempt_begins_after_every_wait_before_it() {
    let builder = || {
        let builder = Client::builder().attempt_timeout(3 * SECOND);
        builder.responder(|request| async move {
            sleep(2 * SECOND).await;
            response(&request, 200, &[], "1")
        })
    };
    let one_at_a_time = SecondaryLimits::disabled().max_concurrent(1);
    let limits = RateLimitPolicy::default().secondary_limits(one_at_a_time);
    for (client, expected) in [
        (builder().build().unwrap(), [2, 2, 2]),
        (builder().interceptor(SlowInterceptor).build().unwrap(), [7, 7, 7]),
        (builder().auth(SlowProvider).build().unwrap(), [7, 7, 7]),
        (builder().rate_limits(limits).build().unwrap(), [2, 4, 6]),
    ] {
        let began = Instant::now();
        let calls = (0..3).map(|number| {
            let call = client.request(Method::GET, format!("/x/{number}")).send::<Value>();
            async move {
                call.await.unwrap();
                began.elapsed().as_secs()
            }
        });
        assert_eq!(join_all(calls).await, expected);
    }
}

/// Returns the size of the future that a function returns.
fn future_size<A, B, C, F: Future>(_: fn(A, B, C) -> F) -> usize {
    size_of::<F>()
}

/// A caller that awaits a call holds its future, of 200 bytes. The box of its attempts has 4,000 bytes, with their context
/// of 568, and that of a read through the cache some 1,700. The bounds leave a little for further fields.
#[test]
fn the_parts_of_a_call_stay_small() {
    let client = Client::builder().build().unwrap();
    let pointer = size_of::<usize>();
    assert_eq!((size_of::<Client>(), size_of::<crate::Request>()), (pointer, pointer));
    let call = size_of_val(&client.request(Method::GET, "/x").send::<Value>());
    let context = size_of::<CallContext>();
    let attempts = future_size(super::uncached_attempts);
    let (cached, stored) = (future_size(cached::fetch), future_size(cached::read_from_store));
    let response = size_of::<RawResponse>();
    println!("call: {call}, attempts: {attempts} with a context of {context}");
    println!("cached: {cached}, in a store: {stored}, response: {response}");
    assert!(call <= 1_024, "{call}");
    assert!(attempts <= 4_096, "{attempts}");
    assert!(cached <= 1_792 && stored <= 1_792, "{cached}, in a store {stored}");
    assert!(response <= 208, "{response}");
}

#[tokio::test(start_paused = true)]
async fn a_call_begins_with_its_first_poll_and_stays_pending_after_its_end() {
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    let builder = Client::builder().responder(move |request| {
        count.fetch_add(1, Ordering::Relaxed);
        async move { response(&request, 200, &[], "1") }
    });
    let client = builder.build().unwrap();
    let mut call = client.request(Method::GET, "/x").send::<u64>();
    assert_eq!(sent.load(Ordering::Relaxed), 0);
    assert_eq!(*(&mut call).await.unwrap(), 1);
    assert!(poll_immediate(&mut call).await.is_none());
    // An invalid request ends with the first poll.
    let mut invalid = client.request(Method::GET, "/x").header("a\n", "b").send::<u64>();
    assert!(poll_immediate(&mut invalid).await.unwrap().is_err());
    assert!(poll_immediate(&mut invalid).await.is_none());
    assert_eq!(sent.load(Ordering::Relaxed), 1);
}

/// Begins a read through the cache: with a response from memory, or with a future.
fn begin_read(client: &Client, path: &str) -> ControlFlow<RawResponse, ()> {
    let call = *client.request(Method::GET, path).into_call();
    let context = CallContext::new(call, Instant::now()).unwrap();
    let lookup = cached::plan_lookup(&context, BodyMode::Buffered).unwrap().unwrap();
    cached::begin(lookup, context, None).unwrap().map_continue(drop)
}

#[tokio::test(start_paused = true)]
async fn a_response_in_memory_ends_the_call_in_its_first_poll_and_takes_no_further_future() {
    let policy = CachePolicy::max_age(3600 * SECOND);
    let client =
        |cache: CacheConfig| plain().cache(cache.default_policy(policy.clone())).build().unwrap();
    let (memory, store) =
        (client(CacheConfig::default()), client(CacheConfig::store(MemoryStore::new())));
    for client in [&memory, &store] {
        assert!(begin_read(client, "/x").is_continue());
        get(client, "/x").await.unwrap();
    }
    let mut hit = get(&memory, "/x");
    let response = poll_immediate(&mut hit).await.unwrap().unwrap();
    assert_eq!(response.meta().cache_status(), CacheStatus::Hit);
    assert!(poll_immediate(&mut hit).await.is_none());
    let begun = begin_read(&memory, "/x");
    assert!(begun.break_value().unwrap().cache_status == CacheStatus::Hit);
    assert!(begin_read(&memory.with_auth(SlowProvider), "/x").is_continue());
    assert!(begin_read(&store, "/x").is_continue());
    assert_eq!(get(&store, "/x").await.unwrap().meta().cache_status(), CacheStatus::Hit);
}
