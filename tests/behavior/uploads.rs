//! Files as request bodies.

use std::fs::{self, File};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;
use octowire::{Body, ErrorKind, RetryPolicy};

use crate::support::{Folder, Reply, Server, json_response};

/// A folder with a file `a.zip` of several chunks, and its content.
fn file(name: &str) -> (Folder, Vec<u8>) {
    let folder = Folder::created(name);
    let content: Vec<u8> = (0..200_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    fs::write(folder.0.join("a.zip"), &content).unwrap();
    (folder, content)
}

/// A server whose first answer is this one, and whose later ones are good.
async fn answering_first_with(first: Vec<u8>) -> Server {
    let answered = Arc::new(AtomicUsize::new(0));
    Server::start(move |_| {
        let is_first = answered.fetch_add(1, Ordering::Relaxed) == 0;
        let good = json_response("201 Created", "", "{}");
        let reply = Reply::Raw(if is_first { first.clone() } else { good });
        async { reply }
    })
    .await
}

#[tokio::test]
async fn a_file_is_sent_with_its_length_also_after_a_redirect_and_for_a_retry() {
    let (folder, content) = file("uploads-sent");
    let path = folder.0.join("a.zip");
    let at_once = RetryPolicy::default().backoff(Duration::ZERO, Duration::ZERO);
    for first in [
        json_response("307 Temporary", "location: /other\r\n", ""),
        json_response("503 Unavailable", "", "{}"),
    ] {
        for body in [Body::file(&path), Body::from(File::open(&path).unwrap())] {
            assert_eq!(body.length(), None);
            let server = answering_first_with(first.clone()).await;
            let client = server.builder().retry(at_once.clone()).build().unwrap();
            let call = client.request(Method::PUT, "/assets").body("application/zip", body.clone());
            call.send_empty().await.unwrap();
            let requests = server.requests();
            assert_eq!(requests.len(), 2);
            for request in requests {
                assert!(request.body == content, "{} bytes", request.body.len());
                assert_eq!(request.headers["content-length"], "200000");
                assert_eq!(request.headers["content-type"], "application/zip");
            }
            assert_eq!(body.length(), Some(200_000));
        }
    }
}

#[tokio::test]
async fn a_file_is_the_body_of_a_release_asset() {
    let (folder, content) = file("uploads-asset");
    let server = Server::fixed_response(json_response("201 Created", "", "{}")).await;
    let client = server.builder().upload_url(&server.url).build().unwrap();
    let call = client.repos().upload_release_asset().owner("o").repo("r").release_id(1);
    let call = call.name("a.zip").body(Body::file(folder.0.join("a.zip")));
    call.into_request().send_empty().await.unwrap();
    let requests = server.requests();
    assert_eq!(requests[0].target, "/repos/o/r/releases/1/assets?name=a.zip");
    assert!(requests[0].body == content);
}

#[tokio::test]
async fn an_empty_file_is_sent_with_a_length_of_0() {
    let (folder, _) = file("uploads-empty");
    let path = folder.0.join("a.zip");
    fs::write(&path, "").unwrap();
    let server = Server::fixed_response(json_response("201 Created", "", "{}")).await;
    let call = server.client().request(Method::POST, "/assets");
    call.body("application/zip", Body::file(path)).send_empty().await.unwrap();
    let requests = server.requests();
    assert_eq!(requests[0].headers["content-length"], "0");
    assert!(requests[0].body.is_empty());
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_fails_the_call_before_it_is_sent() {
    let (folder, _) = file("uploads-missing");
    let server = Server::fixed_response(json_response("201 Created", "", "{}")).await;
    for path in [folder.0.join("missing.zip"), folder.0.clone()] {
        let call = server.client().request(Method::POST, "/assets");
        let call = call.body("application/zip", Body::file(&path));
        let error = call.send_empty().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::File);
        assert!(!error.is_retryable());
        let shown = error.to_string();
        let expected = format!("POST /assets: cannot open the file {path:?}: ");
        assert!(shown.starts_with(&expected), "{shown}");
    }
    assert!(server.requests().is_empty());
}

#[test]
fn the_debug_form_of_a_file_has_neither_its_path_nor_its_content() {
    let shown = format!("{:?}", Body::file("private/a.zip"));
    assert_eq!(shown, r#"Body { content: "File", length: None }"#);
}
