//! Redirects keep the required headers and bodies, and lead to no unsafe target.

use std::time::Duration;

use crate::support::{Reply, Server, json_response};
use futures_util::stream;
use http::Method;
use octowire::cache::{CachePolicy, CacheStatus};
use octowire::{Body, ErrorKind};
use serde_json::{Value, json};

/// A server that redirects `/from` to `/to` with this status.
async fn redirecting(status: &'static str) -> Server {
    Server::start(move |request| async move {
        Reply::Raw(match request.target.as_str() {
            "/from" => json_response(status, "location: /to\r\n", ""),
            _ => json_response("200 OK", "", r#"{"arrived":true}"#),
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
        assert_eq!(found.meta().url().path(), "/to");
        assert_eq!(found.meta().operation(), "GET /from");
        let token = &server.requests()[1].headers["authorization"];
        assert_eq!(token, "Bearer t0ken");
    }
}

#[tokio::test]
async fn the_url_of_a_response_is_that_of_its_last_request() {
    const ETAG: &str = "etag: \"1\"\r\n";
    let server = Server::start(|request| async move {
        Reply::Raw(match request.target.as_str() {
            "/from?page=2" => json_response("302 Found", "location: /to?x=1\r\n", ""),
            _ if request.headers.contains_key("if-none-match") => {
                json_response("304 Not Modified", ETAG, "")
            }
            _ => json_response("200 OK", ETAG, "[]"),
        })
    })
    .await;
    for (path, expected) in [("/list?page=2", "/list?page=2"), ("/from?page=2", "/to?x=1")] {
        let client = server.default_client_builder().token("t0ken").build().unwrap();
        let call = || client.request(Method::GET, path);
        let streamed = call().send_stream().await.unwrap().map(drop);
        let empty = call().cache(CachePolicy::no_store()).send_empty().await.unwrap();
        let mut responses = vec![streamed, empty];
        for policy in
            [CachePolicy::revalidate(), CachePolicy::revalidate(), CachePolicy::one_hour()]
        {
            let response = call().cache(policy).send::<Value>().await.unwrap();
            responses.push(response.map(drop));
        }
        let urls: Vec<_> =
            responses.iter().map(|response| response.meta().url().as_str()).collect();
        assert_eq!(urls, vec![format!("{}{expected}", server.url); 5]);
        let statuses: Vec<_> =
            responses.iter().map(|response| response.meta().cache_status()).collect();
        let [bypass, miss] = [CacheStatus::Bypass, CacheStatus::Miss];
        assert_eq!(statuses[..3], [bypass, bypass, miss], "{path}");
        assert_eq!(statuses[3..], [CacheStatus::Revalidated, CacheStatus::Hit], "{path}");
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
    assert!(error.to_string().contains("cannot be resent"), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_retried_upload_has_its_full_timeout_again() {
    // The attempt's 30 s are for the time without progress, and 25 s is not too long.
    let server = Server::start(|request| async move {
        tokio::time::sleep(Duration::from_secs(25)).await;
        Reply::Raw(match request.target.as_str() {
            "/from" => json_response("307 Temporary", "location: /to\r\n", ""),
            _ => json_response("201 Created", "", "{}"),
        })
    })
    .await;
    let call = server.client().request(Method::POST, "/from");
    let body = vec![b'x'; 100_000];
    call.body("application/zip", Body::from(body)).send_empty().await.unwrap();
    assert_eq!(server.requests()[1].body.len(), 100_000);
}

#[tokio::test]
async fn a_body_is_not_sent_to_another_server() {
    let stranger = Server::fixed_response(json_response("200 OK", "", "{}")).await;
    let location = format!("location: {}/x\r\n", stranger.url);
    let server = Server::fixed_response(json_response("307 Temporary", &location, "")).await;
    let call = server.client().request(Method::POST, "/from");
    let error = call.json(&json!({ "a": 1 })).send_empty().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UntrustedUrl);
    assert!(stranger.requests().is_empty());
}

#[tokio::test]
async fn a_redirect_that_leads_nowhere_is_an_error() {
    for location in ["ftp://x/", "http://[", "http://user:pw@127.0.0.1/"] {
        let header = format!("location: {location}\r\n");
        let server = Server::fixed_response(json_response("302 Found", &header, "")).await;
        let call = server.client().request(Method::GET, "/from");
        let error = call.send_empty().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Redirect, "{location}: {error}");
    }
    let server = Server::fixed_response(json_response("302 Found", "", "")).await;
    let call = server.client().request(Method::GET, "/from");
    let error = call.send_empty().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Api);
    assert_eq!(error.status().unwrap(), 302);
}

/// A server that redirects to another one, which answers with this.
async fn sending_away(headers: &'static str, response: Vec<u8>) -> (Server, Server) {
    let other = Server::fixed_response(response).await;
    let location = format!("location: {}/file\r\n{headers}", other.url);
    let server = Server::fixed_response(json_response("302 Found", &location, "")).await;
    (server, other)
}

#[tokio::test]
async fn a_rejection_of_an_external_host_is_no_rate_limit_of_github() {
    let rejection = json_response("429 Too Many Requests", "retry-after: 3600\r\n", "");
    let (server, _other) = sending_away("", rejection).await;
    let client = server.default_client_builder().build().unwrap();
    let get = || client.request(Method::GET, "/repos/o/r/zipball/main").send_stream();
    assert!(get().await.is_err());
    let error = get().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Api, "it was sent: {error}");
}

#[tokio::test]
async fn a_failure_of_an_external_host_is_no_outage_of_github() {
    let (server, _other) = sending_away("", json_response("503 Unavailable", "", "")).await;
    let client = server.default_client_builder().build().unwrap();
    for _ in 0..50 {
        let call = client.request(Method::GET, "/repos/o/r/zipball/main");
        assert_eq!(call.send_stream().await.unwrap_err().kind(), ErrorKind::Api);
    }
    assert_eq!(client.circuit_state(), octowire::CircuitState::Closed);
}

#[tokio::test]
async fn a_download_counts_as_github_said_when_it_redirected() {
    let limits = "x-ratelimit-limit: 60\r\nx-ratelimit-remaining: 0\r\n\
                  x-ratelimit-reset: 4000000000\r\nx-ratelimit-resource: core\r\n";
    let (server, _other) = sending_away(limits, json_response("200 OK", "", "zip")).await;
    let limits = octowire::rate_limit::RateLimitPolicy::disabled();
    let client = server.default_client_builder().rate_limits(limits).build().unwrap();
    let get = || client.request(Method::GET, "/repos/o/r/zipball/main").send_stream();
    get().await.unwrap();
    assert_eq!(get().await.unwrap_err().kind(), ErrorKind::RateLimit);
}

#[tokio::test]
async fn a_write_that_a_303_confirms_is_not_sent_again() {
    // No server listens on this port.
    let location = "location: http://127.0.0.1:1/done\r\n";
    let server = Server::fixed_response(json_response("303 See Other", location, "")).await;
    let call = server.default_client_builder().build().unwrap().request(Method::POST, "/things");
    call.json(&json!({})).send_empty().await.unwrap_err();
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn only_github_names_the_page_on_which_a_token_is_authorized() {
    const SSO: &str = "x-github-sso: required; url=https://evil.example/authorize\r\n";
    for (status, body) in [("403 Forbidden", "{}"), ("200 OK", "no JSON")] {
        let storage =
            Server::start(move |_| async move { Reply::Raw(json_response(status, SSO, body)) })
                .await;
        let location = format!("location: {}/file\r\n", storage.url);
        let github = Server::start(move |_| {
            let location = location.clone();
            async move { Reply::Raw(json_response("302 Found", &location, "")) }
        })
        .await;
        let call = github.client().request(Method::GET, "/from");
        let error = call.send::<Value>().await.unwrap_err();
        assert_eq!(storage.requests().len(), 1, "{error}");
        assert_eq!(error.sso_url(), None);
        assert!(!error.to_string().contains("evil.example"), "{error}");
        assert!(!error.to_string().contains("single sign-on"), "{error}");
    }
    // Responses of GitHub itself are trusted.
    let github =
        Server::start(|_| async { Reply::Raw(json_response("403 Forbidden", SSO, "{}")) }).await;
    let error = github.client().request(Method::GET, "/a").send::<Value>().await.unwrap_err();
    assert_eq!(error.sso_url(), Some("https://evil.example/authorize"));
}
