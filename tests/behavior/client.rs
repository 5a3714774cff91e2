//! Requests that a client sends, and data that it never sends.

use std::time::Duration;

use crate::support::{Reply, Server, json_response};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use http::Method;
use octowire::{Body, ByteStream, Client, Error, ErrorKind, Items, Pages, ResponseFuture};
use serde_json::{Value, json};

#[tokio::test]
async fn a_request_has_the_headers_that_github_requires() {
    let server = httpmock::MockServer::start_async().await;
    let mock = server
        .mock_async(|when, then| {
            when.method("GET")
                .path("/user")
                .query_param("q", "a b&c")
                .header("authorization", "Bearer t0ken")
                .header("accept", "application/vnd.github+json")
                .header("x-github-api-version", "2022-11-28")
                .header("user-agent", concat!("octowire/", env!("CARGO_PKG_VERSION")))
                .header("accept-encoding", "gzip")
                .header("x-team", "blue");
            then.status(200)
                .header("x-github-request-id", "R1")
                .header("x-ratelimit-limit", "5000")
                .header("x-ratelimit-remaining", "4998")
                .header("x-ratelimit-used", "2")
                .header("x-ratelimit-reset", "1700000000")
                .header("x-ratelimit-resource", "core")
                .json_body(json!({ "login": "octocat" }));
        })
        .await;
    let client = Client::builder()
        .base_url(server.base_url())
        .token("t0ken")
        .default_header("x-team", "blue")
        .build()
        .unwrap();
    let call = client.request(Method::GET, "/user").query("q", "a b&c");
    let user = call.send::<Value>().await.unwrap();
    mock.assert_async().await;
    assert_eq!(user["login"], "octocat");
    assert_eq!(user.meta().status(), 200);
    assert_eq!(user.meta().request_id(), Some("R1"));
    assert_eq!(user.meta().operation(), "GET /user");
    assert_eq!(user.meta().url().path(), "/user");
    let limit = user.meta().rate_limit().unwrap();
    assert_eq!((limit.limit, limit.remaining, limit.used), (5000, 4998, 2));
    assert_eq!(limit.resource.as_deref(), Some("core"));
    assert_eq!(user.map(|user| user["login"].clone()).into_inner(), "octocat");
}

#[tokio::test]
async fn options_of_a_call_win_over_the_clients() {
    let server = Server::fixed_response(json_response("200 OK", "", "{}")).await;
    let call = server.client().request(Method::POST, "/x").json(&json!({ "a": 1 }));
    call.accept("application/vnd.github.raw+json")
        .header("authorization", "Bearer other")
        .header("content-type", "application/json; v=2")
        .send_empty()
        .await
        .unwrap();
    let request = &server.requests()[0];
    assert_eq!(request.headers["accept"], "application/vnd.github.raw+json");
    assert_eq!(request.headers["authorization"], "Bearer other");
    assert_eq!(request.headers["content-type"], "application/json; v=2");
    assert_eq!(request.body, br#"{"a":1}"#);
}

#[tokio::test]
async fn a_put_without_a_body_says_so() {
    let server = Server::fixed_response("HTTP/1.1 204 No Content\r\n\r\n").await;
    for (method, length) in [
        (Method::PUT, Some("0")),
        (Method::POST, Some("0")),
        (Method::PATCH, Some("0")),
        (Method::GET, None),
        (Method::DELETE, None),
    ] {
        let call = server.client().request(method.clone(), "/user/starred/o/r");
        call.send_empty().await.unwrap();
        let requests = server.requests();
        let request = requests.last().unwrap();
        let sent = request.headers.get("content-length").map(String::as_str);
        assert_eq!(sent, length, "{method}");
        assert!(!request.headers.contains_key("content-type"));
    }
}

#[tokio::test]
async fn nothing_is_sent_before_the_future_is_polled() {
    let server = Server::fixed_response(json_response("200 OK", "", "{}")).await;
    let call = server.client().request(Method::GET, "/x").send_empty();
    drop(server.client().request(Method::GET, "/y").send_empty());
    drop(server.client().request(Method::GET, "/z").pages::<Value>());
    tokio::task::yield_now().await;
    assert!(server.requests().is_empty());
    call.await.unwrap();
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn dropping_the_future_ends_the_call() {
    use std::sync::Arc;
    use tokio::io::AsyncReadExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let arrived = Arc::new(tokio::sync::Notify::new());
    let notify = Arc::clone(&arrived);
    let connection = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut bytes = [0; 4096];
        assert!(socket.read(&mut bytes).await.unwrap() > 0);
        notify.notify_one();
        socket.read(&mut bytes).await
    });
    let client = Client::builder().base_url(url).build().unwrap();
    let mut call = client.request(Method::GET, "/x").send_empty();
    tokio::select! {
        _ = &mut call => panic!("the server sends no response"),
        () = arrived.notified() => drop(call),
    }
    let read = connection.await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "the connection was closed: {read:?}");
}

#[tokio::test]
async fn another_server_is_never_called() {
    let foreign = Server::fixed_response(json_response("200 OK", "", "{}")).await;
    let server = Server::fixed_response(json_response("200 OK", "", "{}")).await;
    let call = server.client().request(Method::GET, format!("{}/x", foreign.url));
    let error = call.send_empty().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UntrustedUrl);
    assert!(error.to_string().contains(&foreign.url), "{error}");
    assert!(foreign.requests().is_empty() && server.requests().is_empty());
    let own = server.client().request(Method::GET, format!("{}/x?y=1", server.url));
    own.send_empty().await.unwrap();
    assert_eq!(server.requests()[0].target, "/x?y=1");
}

#[tokio::test]
async fn an_invalid_parameter_value_fails_the_call_and_is_named() {
    let server = Server::fixed_response(json_response("200 OK", "", "{}")).await;
    for (call, part) in [
        (server.client().request(Method::GET, "/x").header("x-a", "b\nc"), "x-a"),
        (server.client().request(Method::GET, "/x").header("x a", "b"), "header name"),
        (server.client().request(Method::GET, "/x").accept("\u{7f}"), "accept"),
        (server.client().request(Method::GET, "/x").body("a\n", "b"), "content type"),
        (server.client().request(Method::GET, "/x#y"), "%23"),
    ] {
        let error = call.send_empty().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn invalid_settings_are_rejected() {
    let own = reqwest::Client::new;
    let second = Duration::from_secs(1);
    let builder = Client::builder;
    for (builder, part) in [
        (builder().base_url("api.github.com"), "base_url"),
        (builder().upload_url("nonsense"), "upload_url"),
        (builder().api_version("v3"), "YYYY-MM-DD"),
        (builder().user_agent(" "), "user_agent"),
        (builder().user_agent("a\nb"), "user_agent"),
        (builder().token(""), "token"),
        (builder().default_header("x a", "b"), "default_header"),
        (builder().default_header("authorization", "b"), "token()"),
        (builder().token_from_env("OCTOWIRE_NO_SUCH_VARIABLE"), "OCTOWIRE_NO_SUCH_VARIABLE"),
        (builder().http_client(own()).connect_timeout(second), "http_client"),
        (
            builder().http_client(own()).proxy(reqwest::Proxy::all("http://127.0.0.1:1").unwrap()),
            "http_client",
        ),
    ] {
        let error = builder.build().unwrap_err();
        let credential = matches!(part, "token" | "OCTOWIRE_NO_SUCH_VARIABLE");
        let kind = if credential { ErrorKind::Authentication } else { ErrorKind::Configuration };
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(builder().http_client(own()).build().is_ok());
}

#[tokio::test]
async fn an_upload_is_streamed_with_its_length_and_not_sent_twice() {
    let server = Server::fixed_response(json_response("201 Created", "", "{}")).await;
    let chunks = stream::iter(["ab", "cd", "e"].map(Ok::<_, std::io::Error>));
    let request = server.client().request(Method::POST, "/assets");
    let request = request.body("application/zip", Body::stream(chunks, Some(5)));
    request.clone().send_empty().await.unwrap();
    let sent = &server.requests()[0];
    assert_eq!(sent.body, b"abcde");
    assert_eq!(sent.headers["content-length"], "5");
    assert_eq!(sent.headers["content-type"], "application/zip");
    let error = request.send_empty().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(error.to_string().contains("cannot be resent"), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn an_upload_of_another_length_than_it_said_fails() {
    for said in [4, 6] {
        let server = Server::fixed_response(json_response("201 Created", "", "{}")).await;
        let chunks = stream::iter(["ab", "cd", "e"].map(Ok::<_, std::io::Error>));
        let request = server.client().request(Method::POST, "/assets");
        let request = request.body("application/zip", Body::stream(chunks, Some(said)));
        let error = request.send_empty().await.unwrap_err();
        let chain = chain(&error);
        assert!(chain.contains(&format!("declared as {said} bytes")), "{chain}");
    }
}

fn chain(error: &Error) -> String {
    let mut chain = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        chain.push_str(&format!(" <- {error}"));
        source = error.source();
    }
    chain
}

#[tokio::test(start_paused = true)]
async fn an_upload_may_take_as_long_as_it_makes_progress() {
    let server = Server::fixed_response(json_response("201 Created", "", "{}")).await;
    let slow = |pause: u64, server: &Server| {
        let chunks = stream::iter(0..10).then(move |_| async move {
            tokio::time::sleep(Duration::from_secs(pause)).await;
            Ok::<_, std::io::Error>(Bytes::from_static(b"x"))
        });
        let request = server.client().request(Method::POST, "/assets");
        request.body("text/plain", Body::stream(chunks, Some(10)))
    };
    slow(20, &server).send_empty().await.unwrap();
    assert_eq!(server.requests()[0].body.len(), 10);
    let stalled = slow(31, &server).send_empty().await.unwrap_err();
    assert!(stalled.is_timeout());
    let bounded = slow(20, &server).timeout(Duration::from_secs(100));
    assert!(bounded.send_empty().await.unwrap_err().is_timeout());
}

#[tokio::test]
async fn a_download_is_streamed_and_a_broken_one_is_an_error() {
    let body = "x".repeat(300_000);
    let server = Server::fixed_response(json_response("200 OK", "", &body)).await;
    let get = || server.client().request(Method::GET, "/archive").send_stream();
    let mut size = 0;
    let mut archive = get().await.unwrap();
    while let Some(chunk) = archive.try_next().await.unwrap() {
        size += chunk.len();
    }
    assert_eq!(size, body.len());
    assert_eq!(get().await.unwrap().text(300_000).await.unwrap(), body);
    let error = get().await.unwrap().bytes(299_999).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BodyTooLarge);

    let broken = Server::fixed_response("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").await;
    let call = broken.client().request(Method::GET, "/archive");
    let mut archive = call.send_stream().await.unwrap();
    assert_eq!(archive.try_next().await.unwrap().unwrap(), "abc");
    let error = archive.try_next().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert_eq!(error.operation(), Some("GET /archive"));
    assert!(archive.next().await.is_none());

    let missing = Server::fixed_response(json_response("404 Not Found", "", "{}")).await;
    let call = missing.client().request(Method::GET, "/archive");
    assert!(call.send_stream().await.unwrap_err().is_not_found());
}

#[tokio::test(start_paused = true)]
async fn a_download_that_stalls_is_a_timeout() {
    let server = Server::silent_after("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").await;
    let call = server.client().request(Method::GET, "/archive");
    let mut archive = call.send_stream().await.unwrap();
    assert_eq!(archive.try_next().await.unwrap().unwrap(), "abc");
    // A slow reader is no stalling sender.
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(archive.next().now_or_never().is_none());
    assert!(archive.try_next().await.unwrap_err().is_timeout());
}

#[tokio::test]
async fn a_client_is_shared_by_many_calls_at_once() {
    let server = Server::start(|request| async move {
        Reply::Raw(json_response("200 OK", "", &format!("{:?}", request.target)))
    })
    .await;
    let client = server.client();
    let calls = (0..50).map(|n| {
        let call = client.request(Method::GET, format!("/{n}"));
        tokio::spawn(call.send::<String>())
    });
    for (n, call) in calls.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap().into_inner(), format!("/{n}"));
    }
}

#[test]
fn futures_and_streams_can_be_spawned() {
    fn check<T: Send + 'static>() {}
    fn unpin<T: Unpin>() {}
    check::<ResponseFuture<Value>>();
    check::<Items<Value>>();
    check::<Pages<Value>>();
    check::<ByteStream>();
    check::<Body>();
    unpin::<Items<std::marker::PhantomPinned>>();
    unpin::<Pages<std::marker::PhantomPinned>>();
    fn shared<T: Send + Sync + Clone>() {}
    shared::<Client>();
    shared::<octowire::Request>();
}
