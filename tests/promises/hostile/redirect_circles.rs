//! Redirects that run in a circle: no request of an attempt is sent twice.

use http::Method;
use octowire::{ErrorKind, RetryPolicy};
use serde_json::json;

use crate::support::{Received, Reply, Server, json as answer};

/// A server whose paths `/0`, `/1`, … redirect to the next, and the last to the path `/{back}`.
async fn circle(status: &'static str, length: u64, back: u64) -> Server {
    Server::start(move |request: Received| {
        let path = request.target.split('?').next().unwrap_or_default();
        let step: u64 = path.trim_start_matches('/').parse().unwrap();
        let next = if step + 1 == length { back } else { step + 1 };
        let location = format!("location: /{next}\r\n");
        async move { Reply::Raw(answer(status, &location, "")) }
    })
    .await
}

#[tokio::test]
async fn a_circle_is_left_when_it_would_be_gone_round_again() {
    let writes = [Method::POST, Method::PATCH, Method::PUT, Method::DELETE];
    for method in writes.into_iter().chain([Method::GET]) {
        for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
            for (length, back) in [(1, 0), (2, 0), (3, 0), (5, 2), (10, 0), (10, 9)] {
                let server = circle(status, length, back).await;
                // A client as users have it: nothing of this is tried again.
                let client = server.unattended().token("t0ken").build().unwrap();
                let mut call = client.request(method.clone(), "/0");
                if method != Method::GET {
                    call = call.json(&json!({ "a": 1 }));
                }
                let error = call.send_empty().await.unwrap_err();
                let what = format!("{method} {status} {length} {back}: {error}");
                assert_eq!(error.kind(), ErrorKind::Redirect, "{what}");
                assert!(error.to_string().contains("circle"), "{what}");
                assert_eq!(server.requests().len() as u64, length, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_fragment_makes_no_other_request() {
    let server = Server::start(|request: Received| async move {
        let location = format!("location: /x#{}\r\n", request.target.len());
        Reply::Raw(answer("308 Permanent", &location, ""))
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
            "POST" => answer("303 See Other", "location: /thing\r\n", ""),
            _ => answer("200 OK", "", "{}"),
        })
    })
    .await;
    server.client().request(Method::POST, "/thing").send_empty().await.unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn each_attempt_follows_redirects_anew() {
    let server = Server::start(|request: Received| async move {
        Reply::Raw(match &*request.target {
            "/from" => answer("307 Temporary", "location: /to\r\n", ""),
            _ => answer("503 Unavailable", "", ""),
        })
    })
    .await;
    let retry = RetryPolicy::default().attempts(3).delays(Default::default(), Default::default());
    let client = server.unattended().retry(retry).build().unwrap();
    let error = client.request(Method::GET, "/from").send_empty().await.unwrap_err();
    assert_eq!(error.status().unwrap(), 503, "{error}");
    assert_eq!(server.requests().len(), 6);
}

#[tokio::test]
async fn a_chain_without_a_circle_is_bounded() {
    let server = Server::start(|request: Received| async move {
        let step: u64 = request.target.trim_start_matches('/').parse().unwrap();
        let location = format!("location: /{}\r\n", step + 1);
        Reply::Raw(answer("307 Temporary", &location, ""))
    })
    .await;
    let error = server.client().request(Method::POST, "/0").send_empty().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Redirect);
    assert_eq!(server.requests().len(), 11);
}
