//! Redirects keep what they should, and lead nowhere unsafe.

use std::time::Duration;

use crate::support::{Reply, Server, json as answer};
use futures_util::stream;
use http::Method;
use octowire::{Body, ErrorKind};
use serde_json::{Value, json};

/// A server that redirects `/from` to `/to` with this status.
async fn redirecting(status: &'static str) -> Server {
    Server::start(move |request| async move {
        Reply::Raw(match request.target.as_str() {
            "/from" => answer(status, "location: /to\r\n", ""),
            _ => answer("200 OK", "", r#"{"arrived":true}"#),
        })
    })
    .await
}

#[tokio::test]
async fn a_renamed_repository_is_found() {
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        let server = redirecting(status).await;
        let call = server.client().request(Method::GET, "/from");
        let found = call.send::<Value>().await.unwrap();
        assert_eq!(found["arrived"], true);
        assert_eq!(found.url().path(), "/to");
        assert_eq!(found.operation(), "GET /from");
        let token = &server.requests()[1].headers["authorization"];
        assert_eq!(token, "Bearer t0ken");
    }
}

#[tokio::test]
async fn method_and_body_are_kept_by_307_and_dropped_by_303() {
    for (status, method, kept) in [
        ("307 Temporary", "PATCH", true),
        ("308 Permanent", "PATCH", true),
        ("303 See Other", "GET", false),
    ] {
        let server = redirecting(status).await;
        let call = server.client().request(Method::PATCH, "/from");
        call.json(&json!({ "a": 1 })).send_empty().await.unwrap();
        let last = &server.requests()[1];
        assert_eq!(last.method, method, "{status}");
        assert_eq!(last.body == br#"{"a":1}"#, kept, "{status}");
        assert_eq!(last.headers.contains_key("content-type"), kept, "{status}");
        if !kept {
            assert!(!last.headers.contains_key("content-length"));
        }
    }
}

#[tokio::test]
async fn a_streamed_body_is_not_replayed_empty() {
    let server = redirecting("307 Temporary").await;
    let chunks = stream::iter(["ab"].map(Ok::<_, std::io::Error>));
    let call = server.client().request(Method::POST, "/from");
    let call = call.body("text/plain", Body::stream(chunks, Some(2)));
    let error = call.send_empty().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(error.to_string().contains("can not be replayed"), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_is_repeated_has_time_anew() {
    // The attempt's 30 s are for the time without progress, and 25 s is not too long.
    let server = Server::start(|request| async move {
        tokio::time::sleep(Duration::from_secs(25)).await;
        Reply::Raw(match request.target.as_str() {
            "/from" => answer("307 Temporary", "location: /to\r\n", ""),
            _ => answer("201 Created", "", "{}"),
        })
    })
    .await;
    let call = server.client().request(Method::POST, "/from");
    let body = vec![b'x'; 100_000];
    call.body("application/zip", Body::from(body)).send_empty().await.unwrap();
    assert_eq!(server.requests()[1].body.len(), 100_000);
}

#[tokio::test]
async fn a_body_does_not_go_to_another_server() {
    let stranger = Server::saying(answer("200 OK", "", "{}")).await;
    let location = format!("location: {}/x\r\n", stranger.url);
    let server = Server::saying(answer("307 Temporary", &location, "")).await;
    let call = server.client().request(Method::POST, "/from");
    let error = call.json(&json!({ "a": 1 })).send_empty().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UntrustedUrl);
    assert!(stranger.requests().is_empty());
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let server = Server::saying(answer("302 Found", "location: /from\r\n", "")).await;
    let call = server.client().request(Method::GET, "/from");
    let error = call.send_empty().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Redirect);
    assert_eq!(server.requests().len(), 11);
}

#[tokio::test]
async fn a_redirect_that_leads_nowhere_is_an_error() {
    for location in ["ftp://x/", "http://[", "http://user:pw@127.0.0.1/"] {
        let header = format!("location: {location}\r\n");
        let server = Server::saying(answer("302 Found", &header, "")).await;
        let call = server.client().request(Method::GET, "/from");
        let error = call.send_empty().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Redirect, "{location}: {error}");
    }
    let server = Server::saying(answer("302 Found", "", "")).await;
    let call = server.client().request(Method::GET, "/from");
    let error = call.send_empty().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Api);
    assert_eq!(error.status().unwrap(), 302);
}
