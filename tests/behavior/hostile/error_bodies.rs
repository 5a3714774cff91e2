//! The status of an error is kept for any failure of its body.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Method;
use octowire::cache::CacheConfig;
use octowire::rate_limit::RateLimitPolicy;
use octowire::{Client, ClientBuilder, Error, ErrorKind, RetryPolicy};
use serde_json::{Value, json};

use crate::support::hostile::{Frame, Http1, Http2, INTERNAL_ERROR, NO_ERROR, Step};

const MESSAGE: &str = r#"{"message":"No such thing"}"#;

/// So long that what does come is there by then on a busy machine.
const ATTEMPT: Duration = Duration::from_secs(4);

/// Short times, but otherwise a client as users have it.
fn client(builder: ClientBuilder) -> Client {
    let retry = RetryPolicy::default().backoff(Duration::from_millis(1), Duration::from_millis(2));
    let builder = builder.attempt_timeout(ATTEMPT).retry(retry);
    builder
        .rate_limits(RateLimitPolicy::disabled())
        .cache(CacheConfig::disabled())
        .token("t0ken")
        .build()
        .unwrap()
}

async fn get(client: &Client) -> Error {
    let began = Instant::now();
    let error = client.request(Method::GET, "/x").send::<Value>().await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(60), "{error}");
    error
}

/// The failure of a body after this many of its bytes.
fn endings() -> Vec<(&'static str, Vec<Step>)> {
    vec![
        ("stalls", vec![Step::Stall]),
        ("is closed", vec![Step::Close]),
        ("is reset", vec![Step::Reset]),
        ("dribbles", vec![Step::Dribble(b" ", Duration::from_millis(30))]),
    ]
}

#[tokio::test]
async fn a_body_that_does_not_come_costs_no_status() {
    let mut calls = Vec::new();
    for (status, requests) in [
        ("400 Bad Request", 1),
        ("401 Unauthorized", 1),
        ("403 Forbidden", 1),
        ("404 Not Found", 1),
        ("422 Unprocessable", 1),
        ("500 Internal Server Error", 4),
        ("503 Service Unavailable", 4),
    ] {
        for (how, ending) in endings() {
            for sent in [0, 12] {
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: 1000000\r\n\r\n");
                let mut steps =
                    vec![Step::Send([head.as_bytes(), &MESSAGE.as_bytes()[..sent]].concat())];
                steps.extend(ending.clone());
                let server = Http1::start(move |_, _| steps.clone()).await;
                // It takes a while to be built, which is not to be part of an attempt.
                let client = client(server.builder());
                calls.push(async move {
                    let error = get(&client).await;
                    let what = format!("{status}, {how} after {sent}: {error}");
                    assert_eq!(error.kind(), ErrorKind::Api, "{what}");
                    assert_eq!(error.status().unwrap().as_str(), &status[..3], "{what}");
                    assert_eq!(server.requests().len(), requests, "{what}");
                    let body = error.body().unwrap();
                    assert!(body.starts_with(&MESSAGE.as_bytes()[..sent]), "{what}: {body:?}");
                });
            }
        }
    }
    // Timeouts are waited for, by all at once.
    join_all(calls).await;
}

#[tokio::test]
async fn a_whole_message_before_a_stall_is_the_errors() {
    let head = "HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n";
    let sent = format!("{head}{:x}\r\n{MESSAGE}\r\n", MESSAGE.len()).into_bytes();
    let server = Http1::start(move |_, _| vec![Step::Send(sent.clone()), Step::Stall]).await;
    let error = get(&client(server.builder())).await;
    assert!(error.is_not_found(), "{error}");
    assert_eq!(error.api().unwrap().message, "No such thing");
}

#[tokio::test]
async fn a_rate_limit_without_its_body_is_one() {
    let head = "HTTP/1.1 403 Forbidden\r\nretry-after: 77\r\ncontent-length: 100\r\n\r\n";
    let steps = vec![Step::Send(head.into()), Step::Stall];
    let server = Http1::start(move |_, _| steps.clone()).await;
    let builder = server.builder().attempt_timeout(ATTEMPT);
    let limits = RateLimitPolicy::default().on_limit(octowire::rate_limit::LimitAction::FailFast);
    let client = builder.rate_limits(limits).token("t0ken").build().unwrap();
    let error = get(&client).await;
    assert!(error.is_rate_limited(), "{error}");
    assert_eq!(server.requests().len(), 1);
    // Calls after it wait as GitHub asks.
    let error = get(&client).await;
    assert_eq!(error.kind(), ErrorKind::RateLimit, "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_write_that_was_rejected_is_not_sent_again() {
    let head = "HTTP/1.1 500 Oops\r\ncontent-length: 100\r\n\r\n{";
    let steps = vec![Step::Send(head.into()), Step::Stall];
    let server = Http1::start(move |_, _| steps.clone()).await;
    let call = client(server.builder()).request(Method::POST, "/x").json(&json!({}));
    let error = call.send::<Value>().await.unwrap_err();
    assert_eq!(error.status().unwrap(), 500, "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_stream_that_is_reset_in_an_errors_body_costs_no_status() {
    for code in [NO_ERROR, INTERNAL_ERROR] {
        for part in [&b""[..], &MESSAGE.as_bytes()[..12]] {
            let frames = vec![
                Frame::Headers(404, Vec::new(), false),
                Frame::Data(part.to_vec(), false),
                Frame::Pause(Duration::from_millis(20)),
                Frame::Reset(code),
            ];
            let server = Http2::start(move |_| frames.clone()).await;
            let error = get(&client(server.builder())).await;
            assert!(error.is_not_found(), "{code}: {error}");
            assert_eq!(error.body().unwrap(), part, "{code}");
            assert_eq!(server.requests(), 1);
        }
    }
}

#[tokio::test]
async fn the_beginning_of_a_token_that_is_repeated_is_not_in_the_error() {
    const TOKEN: &str = "canary-0123456789abcdef";
    let body = format!("you sent: Bearer {}", &TOKEN[..15]);
    let head = format!("HTTP/1.1 404 Not Found\r\ncontent-length: 1000\r\n\r\n{body}");
    let steps = vec![Step::Send(head.into()), Step::Stall];
    let server = Http1::start(move |_, _| steps.clone()).await;
    let builder = server.builder().attempt_timeout(ATTEMPT);
    let error = get(&builder.token(TOKEN).build().unwrap()).await;
    assert_eq!(error.body().unwrap(), &b"you sent: Bearer "[..]);
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
}
