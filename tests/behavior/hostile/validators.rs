//! A validator of a server never prevents later requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::Method;
use octowire::cache::{CacheConfig, CachePolicy};
use octowire::{Client, Error, ErrorKind};
use serde_json::Value;

use crate::support::{Received, Reply, Server, json_response};

fn client(server: &Server) -> Client {
    let cache = CacheConfig::memory(1 << 20).default_policy(CachePolicy::revalidate());
    server.default_client_builder().cache(cache).token("t0ken").build().unwrap()
}

async fn get(client: &Client) -> Result<Value, Error> {
    let got = client.request(Method::GET, "/x").send::<Value>().await;
    got.map(|got| got.into_inner())
}

fn is_conditional(request: &Received) -> bool {
    request.headers.contains_key("if-none-match")
        || request.headers.contains_key("if-modified-since")
}

#[tokio::test]
async fn a_validator_that_is_too_long_is_not_sent() {
    for (name, length) in
        [("etag", 60_000), ("etag", 8_000), ("etag", 1_025), ("last-modified", 60_000)]
    {
        let server = Server::start(move |request: Received| async move {
            if is_conditional(&request) {
                return Reply::Raw(json_response("431 Too Large", "", ""));
            }
            let header = format!("{name}: \"{}\"\r\n", "x".repeat(length - 2));
            Reply::Raw(json_response("200 OK", &header, "[1]"))
        })
        .await;
        let client = client(&server);
        for call in 1..4 {
            assert_eq!(get(&client).await.unwrap()[0], 1, "{name} {length}");
            assert_eq!(server.requests().len(), call, "{name} {length}: one request a call");
        }
        assert!(!server.requests().iter().any(is_conditional), "{name} {length}");
    }
}

#[tokio::test]
async fn a_validator_of_usual_length_is_sent() {
    let tag = format!("W/\"{}\"", "x".repeat(200));
    let header = format!("etag: {tag}\r\n");
    let server = Server::start(move |request: Received| {
        let reply = match request.headers.get("if-none-match") {
            Some(_) => json_response("304 Not Modified", &header, ""),
            None => json_response("200 OK", &header, "[1]"),
        };
        async { Reply::Raw(reply) }
    })
    .await;
    let client = client(&server);
    for _ in 0..3 {
        assert_eq!(get(&client).await.unwrap()[0], 1);
    }
    let requests = server.requests();
    assert_eq!(requests.iter().filter(|request| is_conditional(request)).count(), 2);
    assert!(requests[1].headers["if-none-match"].starts_with(&tag));
}

/// A server that answers plain requests with a tag of this length, and conditional ones with this status.
async fn rejecting_conditions(status: &'static str, length: usize) -> Server {
    Server::start(move |request: Received| async move {
        Reply::Raw(match is_conditional(&request) {
            true => json_response(status, "", ""),
            false => {
                json_response("200 OK", &format!("etag: \"{}\"\r\n", "x".repeat(length)), "[1]")
            }
        })
    })
    .await
}

#[tokio::test]
async fn a_condition_that_is_rejected_is_left_out_from_then_on() {
    for (status, length) in [
        ("431 Too Large", 1),
        ("431 Too Large", 1_000),
        ("412 Precondition Failed", 1),
        ("400 Bad Request", 300),
        ("400 Bad Request", 1_000),
    ] {
        let server = rejecting_conditions(status, length).await;
        let client = client(&server);
        for _ in 0..6 {
            assert_eq!(get(&client).await.unwrap()[0], 1, "{status} {length}");
        }
        let conditions: Vec<bool> = server.requests().iter().map(is_conditional).collect();
        // The second call alone takes two requests.
        let expected = [false, true, false, false, false, false, false];
        assert_eq!(conditions, expected, "{status} {length}");
        // Another path can have another response.
        let call = || client.request(Method::GET, "/y").send::<Value>();
        call().await.unwrap();
        call().await.unwrap();
        let conditions: Vec<bool> = server.requests()[7..].iter().map(is_conditional).collect();
        assert_eq!(conditions, [false, true, false], "{status} {length}");
    }
}

#[tokio::test]
async fn a_bad_request_with_a_short_condition_is_one_and_is_sent_once() {
    for length in [1, 80, 250] {
        let server = rejecting_conditions("400 Bad Request", length).await;
        let client = client(&server);
        get(&client).await.unwrap();
        assert_eq!(get(&client).await.unwrap_err().status().unwrap(), 400, "{length}");
        assert_eq!(server.requests().len(), 2, "{length}");
    }
}

#[tokio::test]
async fn a_request_that_is_rejected_without_a_condition_as_well_fails_and_stays_conditional() {
    for status in ["431 Too Large", "400 Bad Request", "412 Precondition Failed"] {
        let stored = Arc::new(AtomicBool::new(false));
        let server = Server::start(move |_: Received| {
            let first = !stored.swap(true, Ordering::Relaxed);
            let etag = format!("etag: \"{}\"\r\n", "x".repeat(300));
            let reply = if first {
                json_response("200 OK", &etag, "[1]")
            } else {
                json_response(status, "", "")
            };
            async { Reply::Raw(reply) }
        })
        .await;
        let client = client(&server);
        assert_eq!(get(&client).await.unwrap()[0], 1);
        for _ in 0..2 {
            let error = get(&client).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Api, "{error}");
            assert_eq!(error.status().unwrap().as_str(), &status[..3]);
        }
        // The second call does not prove that the condition is at fault.
        let conditions: Vec<bool> = server.requests().iter().map(is_conditional).collect();
        assert_eq!(conditions, [false, true, false, true, false], "{status}");
        // Nothing is stored for this one, so that there is no condition to leave out.
        let call = client.request(Method::GET, "/x").header("accept-language", "fr");
        assert_eq!(call.send::<Value>().await.unwrap_err().kind(), ErrorKind::Api);
        assert_eq!(server.requests().len(), 6, "{status}");
    }
}

#[tokio::test]
async fn a_304_to_a_request_without_a_condition_is_an_error() {
    let first = Arc::new(AtomicBool::new(true));
    let server = Server::start(move |request: Received| {
        let reply = match (first.swap(false, Ordering::Relaxed), is_conditional(&request)) {
            (true, _) => json_response("200 OK", "etag: \"a\"\r\n", "[1]"),
            (false, true) => json_response("412 Precondition Failed", "", ""),
            (false, false) => json_response("304 Not Modified", "etag: \"a\"\r\n", ""),
        };
        async { Reply::Raw(reply) }
    })
    .await;
    let client = client(&server);
    assert_eq!(get(&client).await.unwrap()[0], 1);
    // The first of these is asked again without its condition, and the next ones have none.
    for _ in 0..2 {
        let error = get(&client).await.unwrap_err();
        assert!(error.to_string().contains("unconditional"), "{error}");
    }
    let conditions: Vec<bool> = server.requests().iter().map(is_conditional).collect();
    assert_eq!(conditions, [false, true, false, false]);
}

#[tokio::test]
async fn other_errors_of_a_conditional_request_are_not_retried_without_the_condition() {
    for status in ["403 Forbidden", "404 Not Found", "422 Unprocessable"] {
        let server = rejecting_conditions(status, 300).await;
        let client = client(&server);
        get(&client).await.unwrap();
        assert_eq!(get(&client).await.unwrap_err().status().unwrap().as_str(), &status[..3]);
        assert_eq!(server.requests().len(), 2, "{status}");
    }
}
