//! The refresh of stale responses in the background.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use http::{HeaderValue, Method};
use octowire::cache::{CacheConfig, CachePolicy, CacheStatus};
use octowire::rate_limit::Priority;
use octowire::{Client, Interceptor, InterceptorFuture, OutgoingRequest, Request, RetryPolicy};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

use super::HOUR;
use super::responder::{Responder, respond, settle};

/// How a refresh ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Success,
    ServerError,
    NoResponse,
    Panic,
}

/// A server that responds to the first read of a path immediately, and to later ones when the test permits it.
#[derive(Clone)]
struct Github {
    /// The number of reads that were sent.
    reads: Arc<AtomicUsize>,
    paths: Arc<Mutex<Vec<String>>>,
    permits: Arc<Semaphore>,
    end: End,
}

impl Github {
    fn new(end: End) -> Self {
        let permits = Arc::new(Semaphore::new(0));
        Self { reads: Arc::default(), paths: Arc::default(), permits, end }
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    /// Returns a client whose stored responses are stale immediately.
    fn client(&self) -> Client {
        let github = self.clone();
        let transport = Responder::new(move |request| {
            let github = github.clone();
            async move {
                if request.method() != Method::GET {
                    return respond(204, &[], "");
                }
                github.reads.fetch_add(1, Ordering::Relaxed);
                let path = request.url().path().to_owned();
                let is_first = {
                    let mut paths = github.paths.lock().unwrap();
                    let is_first = !paths.contains(&path);
                    paths.push(path);
                    is_first
                };
                if is_first {
                    return respond(200, &[], "{}");
                }
                github.permits.acquire().await.unwrap().forget();
                match github.end {
                    End::Success => respond(200, &[], "{}"),
                    End::ServerError => respond(500, &[], "{}"),
                    End::NoResponse => Err("connection reset"),
                    End::Panic => panic!("the transport panics"),
                }
            }
        });
        let policy = CachePolicy::max_age(Duration::ZERO).stale_while_revalidate(HOUR);
        let client = Client::builder().transport(transport).retry(RetryPolicy::disabled());
        client.cache(CacheConfig::default().default_policy(policy)).build().unwrap()
    }
}

async fn status(call: Request) -> CacheStatus {
    call.send::<Value>().await.unwrap().meta().cache_status()
}

fn read(client: &Client) -> Request {
    client.request(Method::GET, "/x")
}

/// How a call differs from the others.
type Difference = (&'static str, fn(Request, usize) -> Request);

#[tokio::test(start_paused = true)]
async fn a_stale_response_has_one_refresh_in_flight_however_the_calls_differ() {
    const DIFFERENCES: [Difference; 4] = [
        ("nothing", |call, _| call),
        ("a trace header", |call, number| call.header("x-trace", number.to_string())),
        ("the priority", |call, number| {
            call.priority([Priority::Interactive, Priority::Background][number % 2])
        }),
        ("the timeout", |call, number| call.timeout(HOUR + Duration::from_secs(number as u64))),
    ];
    for (name, differ) in DIFFERENCES {
        let github = Github::new(End::Success);
        let client = github.client();
        assert_eq!(status(read(&client)).await, CacheStatus::Miss);
        let calls = join_all((0..50).map(|number| status(differ(read(&client), number)))).await;
        assert!(calls.iter().all(|status| *status == CacheStatus::Stale), "{name}");
        settle().await;
        assert_eq!(github.reads(), 2, "{name}");
        github.permits.add_permits(1);
        settle().await;
        let calls = join_all((50..100).map(|number| status(differ(read(&client), number)))).await;
        assert!(calls.iter().all(|status| *status == CacheStatus::Stale), "{name}");
        settle().await;
        assert_eq!(github.reads(), 3, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_elsewhere_starts_no_second_refresh() {
    let github = Github::new(End::Success);
    let client = github.client();
    status(read(&client)).await;
    for _ in 0..3 {
        assert_eq!(status(read(&client)).await, CacheStatus::Stale);
        settle().await;
        assert_eq!(github.reads(), 2);
        client.request(Method::POST, "/orgs/o/hooks").send_empty().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_ended_in_any_way_is_followed_by_another() {
    for end in [End::Success, End::ServerError, End::NoResponse, End::Panic] {
        let github = Github::new(end);
        let client = github.client();
        status(read(&client)).await;
        for refreshes in 1..4 {
            for _ in 0..3 {
                assert_eq!(status(read(&client)).await, CacheStatus::Stale, "{end:?}");
                settle().await;
                assert_eq!(github.reads(), 1 + refreshes, "{end:?}");
            }
            github.permits.add_permits(1);
            settle().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_number_of_refreshes_at_a_time_is_bounded() {
    let github = Github::new(End::Success);
    let client = github.client();
    let paths: Vec<_> = (0..40).map(|number| format!("/{number}")).collect();
    for expected in [CacheStatus::Miss, CacheStatus::Stale] {
        for path in &paths {
            assert_eq!(status(client.request(Method::GET, path)).await, expected);
        }
        settle().await;
    }
    assert_eq!(github.reads(), 40 + 16);
}

#[test]
fn a_refresh_that_ended_with_its_runtime_is_followed_by_another() {
    let github = Github::new(End::Success);
    let runtime = || -> Runtime { Builder::new_current_thread().enable_all().build().unwrap() };
    let (one, other) = (runtime(), runtime());
    let client = one.block_on(async {
        let client = github.client();
        status(read(&client)).await;
        assert_eq!(status(read(&client)).await, CacheStatus::Stale);
        settle().await;
        client
    });
    assert_eq!(github.reads(), 2);
    drop(one);
    other.block_on(async {
        assert_eq!(status(read(&client)).await, CacheStatus::Stale);
        settle().await;
    });
    assert_eq!(github.reads(), 3);
}

/// Adds a value to a header of each call.
#[derive(Debug)]
struct Appending;

impl Interceptor for Appending {
    fn before_call<'a>(&'a self, request: &'a mut OutgoingRequest<'_>) -> InterceptorFuture<'a> {
        request.headers_mut().append("x-appended", HeaderValue::from_static("1"));
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_sends_the_request_of_its_call_also_if_interceptors_change_it() {
    for is_intercepted in [false, true] {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&sent);
        let transport = Responder::new(move |request| {
            log.lock().unwrap().push((request.url().to_string(), request.headers().clone()));
            async { respond(200, &[], "{}") }
        });
        let policy = CachePolicy::max_age(Duration::ZERO).stale_while_revalidate(HOUR);
        let cache = CacheConfig::default().default_policy(policy);
        let builder = Client::builder().token("t0ken-of-a-user").transport(transport).cache(cache);
        let builder = if is_intercepted { builder.interceptor(Appending) } else { builder };
        let client = builder.build().unwrap();
        for expected in [CacheStatus::Miss, CacheStatus::Stale] {
            let call = client.request(Method::GET, "/issues?filter=all").query("page", 2);
            let call = call.accept("application/vnd.github.text-match+json");
            assert_eq!(status(call.header("x-trace", "of the call")).await, expected);
            settle().await;
        }
        let sent = sent.lock().unwrap();
        assert_eq!(sent.len(), 2);
        assert_eq!(sent[0], sent[1]);
        assert_eq!(sent[1].1.get_all("x-appended").iter().count(), usize::from(is_intercepted));
    }
}
