//! Redirect loops: no request of an attempt is sent twice.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use octowire::{ErrorKind, RetryPolicy};
use serde_json::json;

use crate::support::{Received, Reply, Server, json_response};

/// A server whose paths `/0`, `/1`, … redirect to the next, and the last to the path `/{back}`.
async fn circle(status: &'static str, length: u64, back: u64) -> Server {
    Server::start(move |request: Received| {
        let path = request.target.split('?').next().unwrap_or_default();
        let step: u64 = path.trim_start_matches('/').parse().unwrap();
        let next = if step + 1 == length { back } else { step + 1 };
        let location = format!("location: /{next}\r\n");
        async move { Reply::Raw(json_response(status, &location, "")) }
    })
    .await
}

#[tokio::test]
async fn a_redirect_loop_ends_before_its_second_round() {
    let writes = [Method::POST, Method::PATCH, Method::PUT, Method::DELETE];
    for method in writes.into_iter().chain([Method::GET]) {
        for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
            for (length, back) in [(1, 0), (2, 0), (3, 0), (5, 2), (10, 0), (10, 9)] {
                let server = circle(status, length, back).await;
                // A client as users have it: nothing of this is tried again.
                let client = server.default_client_builder().token("t0ken").build().unwrap();
                let mut call = client.request(method.clone(), "/0");
                if method != Method::GET {
                    call = call.json(&json!({ "a": 1 }));
                }
                let error = call.send_empty().await.unwrap_err();
                let what = format!("{method} {status} {length} {back}: {error}");
                assert_eq!(error.kind(), ErrorKind::Redirect, "{what}");
                assert!(error.to_string().contains("redirect loop"), "{what}");
                assert_eq!(server.requests().len() as u64, length, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_fragment_makes_no_other_request() {
    let server = Server::start(|request: Received| async move {
        let location = format!("location: /x#{}\r\n", request.target.len());
        Reply::Raw(json_response("308 Permanent", &location, ""))
    })
    .await;
    let call = server.client().request(Method::POST, "/x");
    assert_eq!(call.send_empty().await.unwrap_err().kind(), ErrorKind::Redirect);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn another_method_is_another_request() {
    // POST /thing, see /thing.
    let server = Server::start(|request: Received| async move {
        Reply::Raw(match &*request.method {
            "POST" => json_response("303 See Other", "location: /thing\r\n", ""),
            _ => json_response("200 OK", "", "{}"),
        })
    })
    .await;
    server.client().request(Method::POST, "/thing").send_empty().await.unwrap();
    assert_eq!(server.requests().len(), 2);
}

/// A gateway that redirects `/x` by way of other paths back to `/x`, with a cookie somewhere on the way, as often as
/// this; then it answers.
async fn cookie_gateway(way: &'static [&'static str], cookie_at: usize, rounds: usize) -> Server {
    let visits = AtomicUsize::new(0);
    Server::start(move |request: Received| {
        let at = way.iter().position(|path| *path == request.target).unwrap();
        let round = if at == 0 { visits.fetch_add(1, Ordering::SeqCst) } else { 0 };
        let cookie = if at == cookie_at { "set-cookie: session=1; path=/\r\n" } else { "" };
        let next = way[(at + 1) % way.len()];
        let reply = match round < rounds {
            true => json_response("302 Found", &format!("location: {next}\r\n{cookie}"), ""),
            false => json_response("200 OK", "", "{}"),
        };
        async { Reply::Raw(reply) }
    })
    .await
}

/// A client whose HTTP client the application gives, which can have a cookie store.
fn with_http_client(server: &Server) -> octowire::Client {
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    server
        .default_client_builder()
        .http_client(http.build().unwrap())
        .token("t0ken")
        .build()
        .unwrap()
}

const WAYS: [(&[&str], usize); 4] =
    [(&["/x"], 0), (&["/x", "/login"], 0), (&["/x", "/login"], 1), (&["/x", "/a", "/b"], 2)];

#[tokio::test]
async fn a_redirect_back_with_a_new_cookie_is_followed_once_more() {
    for (way, cookie_at) in WAYS {
        for method in [Method::GET, Method::HEAD] {
            let server = cookie_gateway(way, cookie_at, 1).await;
            let call = with_http_client(&server).request(method.clone(), "/x");
            call.send_empty().await.unwrap();
            assert_eq!(server.requests().len(), way.len() + 1, "{method} {way:?}");
            // A server that always redirects again is a loop.
            let server = cookie_gateway(way, cookie_at, usize::MAX).await;
            let call = with_http_client(&server).request(method.clone(), "/x");
            let error = call.send_empty().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Redirect, "{method} {way:?}");
            assert!(error.to_string().contains("cookie"), "{error}");
            assert_eq!(server.requests().len(), 2 * way.len(), "{method} {way:?}");
        }
    }
}

#[tokio::test]
async fn a_client_without_a_cookie_store_does_not_follow_a_cookie_redirect() {
    for (way, cookie_at) in WAYS {
        let server = cookie_gateway(way, cookie_at, 1).await;
        let client = server.default_client_builder().token("t0ken").build().unwrap();
        let error = client.request(Method::GET, "/x").send_empty().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Redirect, "{way:?}");
        let text = error.to_string();
        assert!(text.contains("cookie") && text.contains("http_client"), "{text}");
        assert_eq!(server.requests().len(), way.len(), "{way:?}");
    }
}

#[tokio::test]
async fn a_write_is_never_sent_again_for_a_cookie() {
    for method in [Method::POST, Method::PATCH, Method::PUT, Method::DELETE] {
        for (way, cookie_at) in WAYS {
            let server = cookie_gateway(way, cookie_at, 1).await;
            let call = with_http_client(&server).request(method.clone(), "/x");
            let error = call.json(&json!({ "a": 1 })).send_empty().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Redirect, "{method} {way:?}: {error}");
            assert_eq!(server.requests().len(), way.len(), "{method} {way:?}");
        }
    }
}

#[tokio::test]
async fn a_cookie_from_before_the_request_is_no_reason_to_send_it_again() {
    // The path `/x` sets it; the circle is of `/a` and `/b`, which do not.
    let server = Server::start(|request: Received| {
        let headers = match &*request.target {
            "/x" => "location: /a\r\nset-cookie: a=1\r\n",
            "/a" => "location: /b\r\n",
            _ => "location: /a\r\n",
        };
        async move { Reply::Raw(json_response("302 Found", headers, "")) }
    })
    .await;
    let error = with_http_client(&server).request(Method::GET, "/x").send_empty().await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Redirect);
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn each_attempt_follows_redirects_from_the_start() {
    let server = Server::start(|request: Received| async move {
        Reply::Raw(match &*request.target {
            "/from" => json_response("307 Temporary", "location: /to\r\n", ""),
            _ => json_response("503 Unavailable", "", ""),
        })
    })
    .await;
    let retry =
        RetryPolicy::default().max_attempts(3).backoff(Default::default(), Default::default());
    let client = server.default_client_builder().retry(retry).build().unwrap();
    let error = client.request(Method::GET, "/from").send_empty().await.unwrap_err();
    assert_eq!(error.status().unwrap(), 503, "{error}");
    assert_eq!(server.requests().len(), 6);
}

#[tokio::test]
async fn a_chain_without_a_circle_is_bounded() {
    let server = Server::start(|request: Received| async move {
        let step: u64 = request.target.trim_start_matches('/').parse().unwrap();
        let location = format!("location: /{}\r\n", step + 1);
        Reply::Raw(json_response("307 Temporary", &location, ""))
    })
    .await;
    let error = server.client().request(Method::POST, "/0").send_empty().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Redirect);
    assert_eq!(server.requests().len(), 11);
}
