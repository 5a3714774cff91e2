//! Numbers of any size in headers and bodies: nothing overflows, and nothing waits for ever.

use std::fmt::Write;
use std::time::Duration;

use http::Method;
use octowire::cache::{CacheConfig, CachePolicy};
use octowire::rate_limit::{LimitAction, RateLimitPolicy};
use octowire::{Client, RetryPolicy};
use serde_json::Value;
use tokio::time::timeout;

use crate::support::{Reply, Server, json_response};

const NUMBERS: [&str; 17] = [
    "18446744073709551615",
    "18446744073709551614",
    "18446744073709551616",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "4294967295",
    "4294967296",
    "253402300800",
    "-1",
    "0",
    "1e300",
    "-1e300",
    "NaN",
    "inf",
    "99999999999999999999999999999999999999999",
    "0x10",
];
const DATES: [&str; 5] = [
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Wed, 32 Foo -001 99:99:99 GMT",
    "soon",
];

/// Makes calls of a server that answers with these, one after the other, and again.
async fn call(
    statuses: &'static [&'static str],
    headers: Vec<String>,
    builder: fn(&Server) -> Client,
) {
    let count = headers.len() * statuses.len();
    let server = Server::start({
        let numbers = std::sync::atomic::AtomicUsize::new(0);
        move |_| {
            let number = numbers.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let (status, headers) = (
                statuses[number % statuses.len()],
                &headers[number / statuses.len() % headers.len()],
            );
            let reply = json_response(status, headers, "{}");
            async { Reply::Raw(reply) }
        }
    })
    .await;
    for number in 0..count {
        // An own client for each, so that no limit of one keeps the next back.
        let client = builder(&server);
        for again in 0..2 {
            let call = client.request(Method::GET, format!("/x/{}", number / 2));
            let called = timeout(Duration::from_secs(20), call.send::<Value>()).await;
            let _ = called.unwrap_or_else(|_| panic!("call {number}, {again} hangs"));
        }
        let _ = format!("{:?} {}", client.health(), client.health());
    }
}

fn limited(server: &Server) -> Client {
    let limits = RateLimitPolicy::default().on_limit(LimitAction::FailFast);
    let retry = RetryPolicy::default().max_elapsed(Duration::from_secs(2));
    let builder = server
        .default_client_builder()
        .rate_limits(limits)
        .retry(retry)
        .cache(CacheConfig::disabled());
    builder.call_timeout(Duration::from_secs(2)).token("t0ken").build().unwrap()
}

fn caching(server: &Server) -> Client {
    let policy = CachePolicy::respect_server();
    let policy = policy.stale_while_revalidate(Duration::MAX).stale_if_error(Duration::MAX);
    let builder =
        server.default_client_builder().cache(CacheConfig::memory(1 << 20).default_policy(policy));
    builder.retry(RetryPolicy::disabled()).token("t0ken").build().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rate_limit_headers_of_any_number_are_bounded() {
    let mut headers = Vec::new();
    for number in NUMBERS {
        for spread in [false, true] {
            let mut text = String::new();
            for (name, usual) in [
                ("limit", "5000"),
                ("remaining", "4000"),
                ("used", "1000"),
                ("reset", "4000000000"),
            ] {
                let value = if spread || name == "reset" { number } else { usual };
                write!(text, "x-ratelimit-{name}: {value}\r\n").unwrap();
            }
            headers.push(text);
        }
        for date in DATES {
            headers.push(format!(
                "x-ratelimit-limit: {number}\r\nx-ratelimit-remaining: {number}\r\n\
                 x-ratelimit-reset: {number}\r\ndate: {date}\r\n"
            ));
        }
    }
    call(&["200 OK"], headers, limited).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_after_of_any_number_is_bounded() {
    let mut headers = Vec::new();
    for number in NUMBERS.iter().chain(&DATES) {
        headers.push(format!("retry-after: {number}\r\n"));
        headers.push(format!("retry-after: {number}\r\ndate: {}\r\n", DATES[1]));
    }
    call(&["503 Unavailable"], headers.clone(), limited).await;
    call(&["429 Too Many Requests"], headers, limited).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn age_and_max_age_of_any_number_are_bounded() {
    let mut headers = Vec::new();
    for number in NUMBERS.iter().chain(&DATES) {
        headers
            .push(format!("age: {number}\r\ncache-control: max-age={number}\r\netag: \"a\"\r\n"));
        headers.push(format!(
            "cache-control: max-age=0, stale-while-revalidate={number}, stale-if-error={number}\r\n\
             etag: \"a\"\r\ndate: {}\r\n",
            DATES[0]
        ));
        headers.push(format!("expires: {number}\r\ndate: {}\r\netag: \"a\"\r\n", DATES[1]));
    }
    call(&["200 OK", "500 Oops"], headers, caching).await;
}
