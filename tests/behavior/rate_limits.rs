//! A strict GitHub never has to reject a request.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Method;
use octowire::auth::PersonalToken;
use octowire::rate_limit::{LimitAction, Priority, RateLimitPolicy, SecondaryLimits};
use octowire::{Client, ErrorKind};
use serde_json::Value;
use tokio::time::advance;

use crate::support::limiter::{GitHubLimits, Limiter};
use crate::support::{FrozenClock, Reply, Server, json_response};

const SECOND: Duration = Duration::from_secs(1);

/// Moves the clock on whenever nothing else happens, until the work is done.
async fn advance_until<T>(limiter: &Limiter, step: Duration, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        // Work in flight gets some time to finish: real time, and turns of this thread, which
        // has few of them in that time on a busy machine.
        let (mut seen, mut turns) = (((0, 0), Instant::now()), 0);
        loop {
            let done = futures_util::future::poll_immediate(work.as_mut()).await;
            if let Some(done) = done {
                return done;
            }
            tokio::task::yield_now().await;
            let state = (limiter.server.request_count(), limiter.state().running());
            if seen.0 != state {
                (seen, turns) = ((state, Instant::now()), 0);
            } else if seen.1.elapsed() > Duration::from_millis(10) && turns > 200 {
                break;
            }
            turns += 1;
        }
        advance(step).await;
    }
}

fn client(limiter: &Limiter, limits: RateLimitPolicy) -> Client {
    let builder =
        limiter.server.default_client_builder().token("ghs_0123456789").rate_limits(limits);
    // By the paused clock, which jumps.
    builder.attempt_timeout(600 * SECOND).call_timeout(7200 * SECOND).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn two_hundred_tasks_are_never_rejected_and_all_are_served_once() {
    let _still = FrozenClock::new();
    let limiter = Limiter::start(GitHubLimits::default(), Duration::ZERO).await;
    let client = client(&limiter, RateLimitPolicy::default());
    let call = |task: usize, number: usize| {
        let request = match number {
            0 => client.request(Method::POST, format!("/repos/owner{}/r/issues?{task}", task % 50)),
            1 if task < 50 => client.request(Method::GET, format!("/search/issues?{task}")),
            _ => client.request(Method::GET, format!("/repos/o/r/issues/{task}?{number}")),
        };
        request.send::<Value>()
    };
    let tasks = (0..200).map(|task| async move {
        for number in 0..8 {
            call(task, number).await.unwrap();
        }
    });
    let start = tokio::time::Instant::now();
    advance_until(&limiter, SECOND / 4, join_all(tasks)).await;
    let state = limiter.state();
    assert_eq!(state.rejections, [""; 0]);
    assert_eq!(state.served.len(), 200 * 8);
    assert!(state.served.values().all(|times| *times == 1), "nothing is served twice");
    assert!(state.most_at_once <= 100);
    // 1,400 points for reads and 1,000 for writes, at 900 a minute; 200 writes at 80 a minute.
    assert!(start.elapsed() < 150 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_search_waits_for_its_own_resource_and_other_calls_do_not() {
    let _still = FrozenClock::new();
    let limiter =
        Limiter::start(GitHubLimits { search: 5, ..GitHubLimits::default() }, Duration::ZERO).await;
    let client = client(&limiter, RateLimitPolicy::default());
    let search = |n: usize| client.search().issues_and_pull_requests().q(format!("is:open {n}"));
    let search = |n: usize| search(n).into_request().send::<Value>();
    search(0).await.unwrap();
    let start = tokio::time::Instant::now();
    let searches = join_all((1..12).map(search));
    let reads = async {
        for n in 0..20 {
            client.request(Method::GET, format!("/x?{n}")).send::<Value>().await.unwrap();
        }
        start.elapsed()
    };
    let both = futures_util::future::join(searches, reads);
    let (searches, reads) = advance_until(&limiter, SECOND / 4, both).await;
    assert!(searches.iter().all(Result::is_ok));
    assert!(reads < SECOND, "{reads:?}");
    assert_eq!(limiter.state().rejections, [""; 0]);
    assert!((120..=130).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn calls_over_the_primary_limit_wait_for_the_reset() {
    let _still = FrozenClock::new();
    let limiter =
        Limiter::start(GitHubLimits { core: 50, ..GitHubLimits::default() }, Duration::ZERO).await;
    let client = client(&limiter, RateLimitPolicy::default());
    let call = |n: usize| client.request(Method::GET, format!("/x?{n}")).send::<Value>();
    call(0).await.unwrap();
    let calls = join_all((1..100).map(call));
    let calls = advance_until(&limiter, 10 * SECOND, calls).await;
    assert!(calls.iter().all(Result::is_ok));
    assert_eq!(limiter.state().rejections, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_call_waits_for_retry_after_and_then_succeeds() {
    let _still = FrozenClock::new();
    // Stricter than published.
    let allowed = GitHubLimits { points: 100, ..GitHubLimits::default() };
    let limiter = Limiter::start(allowed, Duration::ZERO).await;
    let client = client(&limiter, RateLimitPolicy::default());
    let call = |n: usize| client.request(Method::GET, format!("/x?{n}")).send::<Value>();
    let calls = advance_until(&limiter, SECOND, join_all((0..150).map(call))).await;
    assert!(calls.iter().all(Result::is_ok));
    let state = limiter.state();
    assert!(state.served.values().all(|times| *times == 1) && state.served.len() == 150);
    // The calls that were in flight are rejected with it, and later the probe.
    let at = |why: &str| why.rsplit_once(" at ").map(|(_, at)| at.to_owned()).unwrap();
    let overruns: Vec<_> =
        state.rejections.iter().filter(|why| why.contains("too many")).map(|why| at(why)).collect();
    assert!((1..=4).contains(&overruns.len()), "{overruns:?}");
    for why in state.rejections.iter().filter(|why| why.contains("did not wait")) {
        assert_eq!(at(why), overruns[0], "{why}");
    }
}

#[tokio::test]
async fn a_fail_fast_call_returns_the_rate_limit_response_immediately() {
    let headers = "retry-after: 77\r\nx-github-request-id: R1\r\n";
    let message = r#"{"message":"You have exceeded a secondary rate limit."}"#;
    let server = Server::fixed_response(json_response("429 Too Many", headers, message)).await;
    let limits = RateLimitPolicy::default().on_limit(LimitAction::FailFast);
    let client = server.default_client_builder().rate_limits(limits).build().unwrap();
    let call = || client.request(Method::GET, "/x").send::<Value>();
    let error = call().await.unwrap_err();
    assert_eq!((error.kind(), error.request_id()), (ErrorKind::Api, Some("R1")));
    assert_eq!(error.retry_after(), Some(77 * SECOND));
    // And the next one is not sent at all.
    let error = call().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimit);
    assert!(error.retry_after().unwrap() > 70 * SECOND, "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn identities_have_limits_of_their_own() {
    let headers =
        "x-ratelimit-limit: 5\r\nx-ratelimit-remaining: 0\r\nx-ratelimit-reset: 99999999999\r\n";
    let headers: &'static str = Box::leak(headers.to_owned().into_boxed_str());
    let server = Server::start(move |request| async move {
        let spent = request.headers["authorization"].ends_with("one_token");
        Reply::Raw(json_response("200 OK", if spent { headers } else { "" }, "{}"))
    })
    .await;
    let limits = RateLimitPolicy::default().on_limit(LimitAction::FailFast);
    let client =
        server.default_client_builder().rate_limits(limits).token("ghp_one_token").build().unwrap();
    let call = |client: &Client| client.request(Method::GET, "/x").send::<Value>();
    call(&client).await.unwrap();
    assert_eq!(call(&client).await.unwrap_err().kind(), ErrorKind::RateLimit);
    let other = octowire::auth::PersonalToken::new("ghp_other_token").unwrap();
    call(&client.with_auth(other)).await.unwrap();
    // Another handle of the same identity knows.
    let same = client.with_auth(octowire::auth::PersonalToken::new("ghp_one_token").unwrap());
    assert_eq!(call(&same).await.unwrap_err().kind(), ErrorKind::RateLimit);
}

#[tokio::test(start_paused = true)]
async fn an_interactive_call_is_admitted_before_background_calls() {
    let _still = FrozenClock::new();
    let limiter = Limiter::start(GitHubLimits::default(), SECOND).await;
    let limits =
        RateLimitPolicy::default().secondary_limits(SecondaryLimits::default().max_concurrent(1));
    let client = client(&limiter, limits);
    let call = |n: usize, priority| {
        client.request(Method::GET, format!("/x?{n}")).priority(priority).send::<Value>()
    };
    let flood = join_all((0..50).map(|n| call(n, Priority::Background)));
    let start = tokio::time::Instant::now();
    let interactive = async {
        tokio::task::yield_now().await;
        call(1000, Priority::Interactive).await.unwrap();
        start.elapsed()
    };
    let both = futures_util::future::join(interactive, flood);
    let (interactive, _) = advance_until(&limiter, SECOND / 10, both).await;
    assert!(interactive <= 3 * SECOND, "{interactive:?}");
}

#[tokio::test(start_paused = true)]
async fn a_graphql_rate_limit_with_status_200_is_retried_after_its_wait() {
    let seen = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let server = Server::start(move |_| {
        let first = seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        let refused = r#"{"errors":[{"type":"RATE_LIMITED","message":"API rate limit exceeded"}]}"#;
        let good = r#"{"data":{"ok":true}}"#;
        let reply =
            json_response("200 OK", "retry-after: 30\r\n", if first { refused } else { good });
        async { Reply::Raw(reply) }
    })
    .await;
    let client = server.default_client_builder().token("ghp_0123456789").build().unwrap();
    let start = tokio::time::Instant::now();
    let data = client.graphql::<Value>("mutation { x }", ()).await.unwrap();
    assert_eq!(data["ok"], true);
    assert!(start.elapsed() >= 30 * SECOND);
    assert_eq!(server.requests().len(), 2);
}

/// Every answer that GitHub gives to a call that goes over one limit or another.
fn rejection(headers: &str, message: &str) -> Vec<u8> {
    let headers = format!("x-ratelimit-limit: 30\r\nx-ratelimit-remaining: 0\r\n{headers}");
    json_response("403 Forbidden", &headers, &format!(r#"{{"message":"{message}"}}"#))
}

fn in_seconds(seconds: u64) -> u64 {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    now.as_secs() + seconds
}

#[tokio::test]
async fn retry_after_applies_to_the_identity_even_with_an_exhausted_primary_limit() {
    let reset = format!("x-ratelimit-resource: search\r\nx-ratelimit-reset: {}\r\n", in_seconds(5));
    for (headers, message) in [
        (format!("retry-after: 60\r\n{reset}"), "API rate limit exceeded"),
        (reset.clone(), "You have exceeded a secondary rate limit"),
    ] {
        let server = Server::fixed_response(rejection(&headers, message)).await;
        let client = server
            .default_client_builder()
            .rate_limits(RateLimitPolicy::disabled())
            .build()
            .unwrap();
        let search = client.request(Method::GET, "/search/issues?q=a").send::<Value>().await;
        assert!(search.unwrap_err().is_rate_limited());
        let other = client.request(Method::GET, "/user").send::<Value>().await.unwrap_err();
        assert_eq!(other.kind(), ErrorKind::RateLimit, "{message}: {other}");
        assert!(other.retry_after().is_some_and(|wait| wait > 50 * SECOND), "{message}: {other}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_call_by_hand_is_not_sent_again_before_the_limit_that_rejected_it_ends() {
    let headers =
        format!("x-ratelimit-resource: audit_log\r\nx-ratelimit-reset: {}\r\n", in_seconds(600));
    let server = Server::fixed_response(rejection(&headers, "API rate limit exceeded")).await;
    let limits = RateLimitPolicy::default().on_limit(LimitAction::Wait { max: 60 * SECOND });
    let client = server.default_client_builder().rate_limits(limits).build().unwrap();
    let call = client.request(Method::GET, "/enterprises/e/audit-log");
    let error = call.send::<Value>().await.unwrap_err();
    assert!(error.is_rate_limited() && error.retry_after().is_some(), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_call_with_a_token_of_its_own_has_limits_of_its_own() {
    let headers = format!(
        "x-ratelimit-limit: 9\r\nx-ratelimit-remaining: 0\r\nx-ratelimit-resource: core\r\n\
         x-ratelimit-reset: {}\r\n",
        in_seconds(600)
    );
    let server = Server::fixed_response(json_response("200 OK", &headers, "{}")).await;
    let client =
        server.default_client_builder().rate_limits(RateLimitPolicy::disabled()).build().unwrap();
    let call = |token: &'static str| {
        client.request(Method::GET, "/user").header("authorization", token).send::<Value>()
    };
    call("Bearer one").await.unwrap();
    call("Bearer two").await.unwrap();
    let error = call("Bearer one").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimit);
    client.request(Method::GET, "/user").send::<Value>().await.unwrap();
}

#[tokio::test]
async fn clients_with_one_token_share_one_rate_limit() {
    let headers = format!(
        "x-ratelimit-limit: 9\r\nx-ratelimit-remaining: 0\r\nx-ratelimit-resource: core\r\n\
         x-ratelimit-reset: {}\r\n",
        in_seconds(600)
    );
    let server = Server::fixed_response(json_response("200 OK", &headers, "{}")).await;
    let client =
        server.default_client_builder().rate_limits(RateLimitPolicy::disabled()).build().unwrap();
    let path = std::env::temp_dir().join(format!("octowire-one-token-{}", std::process::id()));
    std::fs::write(&path, "ghp_0123456789").unwrap();
    let given = client.with_auth(PersonalToken::new("ghp_0123456789").unwrap());
    let read = client.with_auth(PersonalToken::from_file(&path).unwrap());
    std::fs::remove_file(&path).unwrap();
    assert_ne!(given.identity(), read.identity());
    given.request(Method::GET, "/user").send::<Value>().await.unwrap();
    let error = read.request(Method::GET, "/user").send::<Value>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimit);
}
