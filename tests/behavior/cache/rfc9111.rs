//! The requirements of RFC 9111 for a private cache, as a table.

use std::time::Duration;

use http::Method;
use octowire::cache::{CacheConfig, CachePolicy, CacheStatus};
use serde_json::Value;
use tokio::time::advance;

use super::still;
use crate::support::{Reply, Server, json_response};

/// A first read, a pause, and a second one.
struct Case {
    /// The section and its requirement.
    rule: &'static str,
    /// The headers of the first answer; `{-60}` is the date a minute ago.
    reported: &'static str,
    /// A header of the second request.
    asks: Option<(&'static str, &'static str)>,
    /// Seconds between the two.
    after: u64,
    expected: CacheStatus,
}

const fn case(
    rule: &'static str,
    reported: &'static str,
    after: u64,
    expected: CacheStatus,
) -> Case {
    Case { rule, reported, asks: None, after, expected }
}

const fn asking(
    rule: &'static str,
    reported: &'static str,
    asks: (&'static str, &'static str),
    expected: CacheStatus,
) -> Case {
    Case { rule, reported, asks: Some(asks), after: 0, expected }
}

use CacheStatus::{Bypass, Hit, Miss, Revalidated};

const CASES: [Case; 52] = [
    // Freshness.
    case("4.2.1 max-age", "cache-control: max-age=60", 58, Hit),
    case("4.2.1 max-age is over", "cache-control: max-age=60", 61, Revalidated),
    case("4.2.1 max-age=0", "cache-control: max-age=0", 0, Revalidated),
    case("4.2.1 s-maxage is for shared caches", "cache-control: max-age=60, s-maxage=1", 30, Hit),
    case("4.2.1 s-maxage alone is none", "cache-control: s-maxage=60", 0, Revalidated),
    case("4.2.1 max-age twice is over", "cache-control: max-age=60, max-age=60", 0, Revalidated),
    case("4.2.1 max-age that is no number", "cache-control: max-age=soon", 0, Revalidated),
    case("4.2.1 max-age with a sign", "cache-control: max-age=-60", 0, Revalidated),
    case("4.2.1 max-age with a fraction", "cache-control: max-age=60.5", 0, Revalidated),
    case("4.2.1 max-age without a number", "cache-control: max-age", 0, Revalidated),
    case("1.2.2 too many seconds are many", "cache-control: max-age=99999999999999", 9999, Hit),
    case("5.2 names in any case", "cache-control: Max-AGE=60", 30, Hit),
    case("5.2 quoted", "cache-control: max-age=\"60\"", 30, Hit),
    case("5.2 unknown directives", "cache-control: x=\"a, no-store\", max-age=60", 30, Hit),
    case("5.2 several lines", "cache-control: private\r\ncache-control: max-age=60", 30, Hit),
    case("5.2 spaces and empty parts", "cache-control:  , max-age=60 ,,", 30, Hit),
    case("5.3 Expires", "date: {0}\r\nexpires: {60}", 30, Hit),
    case("5.3 Expires is over", "date: {0}\r\nexpires: {60}", 61, Revalidated),
    case("5.3 Expires by the server's clock", "date: {-3600}\r\nexpires: {-3540}", 0, Revalidated),
    case("5.3 Expires that is no date is over", "expires: 0", 0, Revalidated),
    case("5.3 max-age goes before Expires", "cache-control: max-age=60\r\nexpires: {-9}", 30, Hit),
    case(
        "5.3 and also if it is less",
        "cache-control: max-age=1\r\nexpires: {600}",
        2,
        Revalidated,
    ),
    case("5.3 Expires twice says nothing", "expires: {60}\r\nexpires: {60}", 0, Revalidated),
    case("4.2.2 nothing is guessed", "last-modified: {-9999999}", 0, Revalidated),
    // Age.
    case("5.1 Age", "cache-control: max-age=60\r\nage: 50", 5, Hit),
    case("5.1 Age makes it old", "cache-control: max-age=60\r\nage: 50", 11, Revalidated),
    case("5.1 Age that is no number", "cache-control: max-age=60\r\nage: old", 30, Hit),
    case("4.2.3 Date makes it old", "cache-control: max-age=60\r\ndate: {-55}", 10, Revalidated),
    case("4.2.3 a Date to come does not", "cache-control: max-age=60\r\ndate: {600}", 30, Hit),
    case("4.2.3 Date that is none", "cache-control: max-age=60\r\ndate: today", 30, Hit),
    // Responses that must not be stored, or must be revalidated.
    case("5.2.2.5 no-store", "cache-control: no-store", 0, Miss),
    case("5.2.2.5 whatever else it says", "cache-control: max-age=60, no-store", 0, Miss),
    case("5.2.2.4 no-cache", "cache-control: no-cache, max-age=60", 0, Revalidated),
    case("5.2.2.4 of a field", "cache-control: no-cache=\"link\", max-age=60", 0, Revalidated),
    case("5.2.2.7 private", "cache-control: private, max-age=60", 30, Hit),
    case("5.2.2.2 must-revalidate", "cache-control: must-revalidate, max-age=60", 30, Hit),
    case(
        "5.2.2.8 proxy-revalidate is for others",
        "cache-control: proxy-revalidate, max-age=9",
        5,
        Hit,
    ),
    case("5.4 Pragma says nothing", "pragma: no-cache\r\ncache-control: max-age=60", 30, Hit),
    case("7.1 Set-Cookie does not forbid", "set-cookie: a=b\r\ncache-control: max-age=60", 30, Hit),
    // Vary.
    case("4.1 Vary by all", "vary: *\r\ncache-control: max-age=60", 0, Miss),
    case("4.1 among others", "vary: accept, *\r\ncache-control: max-age=60", 0, Miss),
    case(
        "4.1 GitHub's",
        "vary: Accept, Authorization, Cookie, X-GitHub-OTP, Accept-Encoding, Accept, X-Requested-With\r\ncache-control: max-age=60",
        30,
        Hit,
    ),
    case("4.1 by what is the same", "vary: x-same\r\ncache-control: max-age=60", 30, Hit),
    asking(
        "4.1 by what is another",
        "vary: accept\r\ncache-control: max-age=60",
        ("accept", "text/plain"),
        Miss,
    ),
    asking("4.1 whatever it is", "vary: x-a\r\ncache-control: max-age=60", ("x-a", "1"), Miss),
    // The directives of the request.
    asking(
        "5.2.1.4 no-cache",
        "cache-control: max-age=60",
        ("cache-control", "no-cache"),
        Revalidated,
    ),
    asking("5.2.1.5 no-store", "cache-control: max-age=60", ("cache-control", "no-store"), Bypass),
    asking(
        "4.3 a validator of its own",
        "cache-control: max-age=60",
        ("if-none-match", "\"mine\""),
        Bypass,
    ),
    asking("3.3 a part", "cache-control: max-age=60", ("range", "bytes=0-1"), Bypass),
    asking(
        "3.5 a credential of its own",
        "cache-control: max-age=60",
        ("authorization", "Bearer x"),
        Bypass,
    ),
    // RFC 5861.
    case(
        "5861.3 in the time",
        "cache-control: max-age=9, stale-while-revalidate=60",
        30,
        CacheStatus::Stale,
    ),
    case(
        "5861.3 and not after it",
        "cache-control: max-age=9, stale-while-revalidate=9",
        30,
        Revalidated,
    ),
];

/// Headers with their dates, by the library's time.
fn headers(text: &str) -> String {
    let now = octowire::Client::builder().base_url("http://127.0.0.1:1").build().unwrap();
    let now = now.health().time;
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (seconds, after) = after.split_once('}').unwrap();
        let seconds: i64 = seconds.parse().unwrap();
        let time = now + chrono::TimeDelta::seconds(seconds);
        result.push_str(before);
        result.push_str(&time.format("%a, %d %b %Y %H:%M:%S GMT").to_string());
        rest = after;
    }
    result + rest
}

#[test]
fn each_rule_is_kept() {
    for case in CASES {
        // The clock is moved for one case alone.
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().start_paused(true).build().unwrap().block_on(keep(case));
    }
}

async fn keep(Case { rule, reported, asks, after, expected }: Case) {
    let _still = still().await;
    let reported = headers(reported);
    let server = Server::start(move |request| {
        let headers = format!("etag: \"1\"\r\n{reported}\r\n");
        let reply = match request.headers.get("if-none-match").map(String::as_str) {
            Some("\"1\"") => format!("HTTP/1.1 304 Not Modified\r\n{headers}\r\n").into_bytes(),
            _ => json_response("200 OK", &headers, "{}"),
        };
        async { Reply::Raw(reply) }
    })
    .await;
    let cache = CacheConfig::default().default_policy(CachePolicy::respect_server());
    let client = server.default_client_builder().cache(cache).build().unwrap();
    let call = || client.request(Method::GET, "/x").header("x-same", "same");
    assert_eq!(call().send::<Value>().await.unwrap().meta().cache_status(), Miss, "{rule}");
    advance(Duration::from_secs(after)).await;
    let mut second = call();
    if let Some((name, value)) = asks {
        second = second.header(name, value);
    }
    let second = second.send::<Value>().await.unwrap();
    assert_eq!(second.meta().cache_status(), expected, "{rule}");
    assert_eq!(second.meta().status().as_u16(), 200, "{rule}");
}

#[tokio::test(start_paused = true)]
async fn a_304_updates_stored_headers_except_those_of_the_body() {
    let _still = still().await;
    let server = Server::start(|request| async move {
        Reply::Raw(match request.headers.contains_key("if-none-match") {
            true => b"HTTP/1.1 304 Not Modified\r\netag: \"2\"\r\ncache-control: max-age=600\r\n\
                x-new: new\r\nx-both: two\r\nx-both: three\r\ncontent-encoding: br\r\n\
                set-cookie: a=b\r\n\r\n"
                .to_vec(),
            false => json_response("200 OK", "etag: \"1\"\r\nx-old: old\r\nx-both: one\r\n", "[1]"),
        })
    })
    .await;
    let cache = CacheConfig::default().default_policy(CachePolicy::respect_server());
    let client = server.default_client_builder().cache(cache).build().unwrap();
    let call = || client.request(Method::GET, "/x").send::<Vec<u8>>();
    for expected in [Miss, Revalidated, Hit] {
        let response = call().await.unwrap();
        assert_eq!((response.meta().cache_status(), &*response), (expected, &vec![1]));
        if expected == Miss {
            continue;
        }
        let headers = response.meta().headers();
        let all = |name| headers.get_all(name).iter().map(|one| one.to_str().unwrap()).collect();
        let all: [Vec<&str>; 4] = [all("etag"), all("x-old"), all("x-new"), all("x-both")];
        assert_eq!(all, [vec!["\"2\""], vec!["old"], vec!["new"], vec!["two", "three"]]);
        assert!(headers["content-type"].to_str().unwrap().contains("json"));
    }
}

#[tokio::test]
async fn a_304_whose_headers_forbid_storage_removes_the_stored_response() {
    // The third and the fifth repeat the token, which is hidden: a directive or a name can be missing.
    for rule in [
        "cache-control: no-store",
        "vary: *",
        "cache-control: private, max-age=60, ghs_repeatedInARule",
        "vary: accept",
        "vary: accept, ghs_repeatedInARule",
    ] {
        let server = Server::start(move |request| async move {
            Reply::Raw(match request.headers.contains_key("if-none-match") {
                true => {
                    json_response("304 Not Modified", &format!("etag: \"1\"\r\n{rule}\r\n"), "")
                }
                false => json_response("200 OK", "etag: \"1\"\r\n", "[1]"),
            })
        })
        .await;
        let builder = server.default_client_builder().token("ghs_repeatedInARule");
        let client = builder.cache(CacheConfig::default()).build().unwrap();
        let third = if rule == "vary: accept" { Revalidated } else { Miss };
        for expected in [Miss, Revalidated, third, Revalidated] {
            let response = client.request(Method::GET, "/x").send::<Vec<u8>>().await.unwrap();
            assert_eq!(
                (response.meta().cache_status(), &*response),
                (expected, &vec![1]),
                "{rule}"
            );
        }
    }
}

#[tokio::test]
async fn only_whole_responses_to_reads_are_stored() {
    for status in ["201 Created", "202 Accepted", "203 Other", "206 Partial"] {
        let server = Server::fixed_response(json_response(
            status,
            "cache-control: max-age=60\r\netag: \"1\"\r\n",
            "{}",
        ))
        .await;
        let cache = CacheConfig::default().default_policy(CachePolicy::respect_server());
        let client = server.default_client_builder().cache(cache).build().unwrap();
        for _ in 0..2 {
            let call = client.request(Method::GET, "/x").send::<Value>().await.unwrap();
            assert_eq!(call.meta().cache_status(), Miss, "{status}");
        }
        assert!(!server.requests()[1].headers.contains_key("if-none-match"));
    }
    let server =
        Server::fixed_response(json_response("200 OK", "cache-control: max-age=60\r\n", "{}"))
            .await;
    let cache = CacheConfig::default().default_policy(CachePolicy::respect_server());
    let client = server.default_client_builder().cache(cache).build().unwrap();
    for method in [Method::POST, Method::PUT, Method::HEAD] {
        let call = client.request(method.clone(), "/x").send_empty().await.unwrap();
        assert_eq!(call.meta().cache_status(), Bypass, "{method}");
    }
    assert_eq!(
        client.request(Method::GET, "/x").send::<Value>().await.unwrap().meta().cache_status(),
        Miss
    );
    let streamed = client.request(Method::GET, "/x").send_stream().await.unwrap();
    assert_eq!(streamed.meta().cache_status(), Bypass);
}
