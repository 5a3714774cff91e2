//! Files in responses and requests, and responses that are not JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use octowire::testing::MockGitHub;
use octowire::{Client, ErrorKind, Request};
use serde_json::{Value, json};

use crate::support::{Server, json_response};

/// The request for a file of the mock's repository.
fn readme(github: &Client) -> Request {
    let call = github.repos().get_content().owner("octocat").repo("hello-world");
    call.path("README.md").into_request()
}

/// The JSON of a file of which GitHub sends this content.
fn file_json(encoding: &str, content: &str) -> String {
    json!({
        "type": "file", "encoding": encoding, "size": 2_000_000, "name": "a.bin", "path": "a.bin",
        "content": content, "sha": "0", "url": "https://api.github.com/x", "git_url": "x",
        "html_url": "x", "download_url": "x", "_links": { "git": "x", "html": "x", "self": "x" },
    })
    .to_string()
}

#[tokio::test]
async fn a_file_and_a_blob_are_decoded() {
    let mock = MockGitHub::start().await;
    let github = mock.client();
    let call = github.repos().get_content().owner("octocat").repo("hello-world");
    let content = call.path("docs/README.md").send().await.unwrap();
    let file = content.file().unwrap();
    assert_eq!(file.path, "docs/README.md");
    assert!(file.content.contains('\n'), "GitHub breaks lines");
    let text = file.text().unwrap();
    assert!(text.starts_with("# hello-world\n"), "{text}");
    assert_eq!(file.bytes().unwrap(), text);
    assert_eq!(usize::try_from(file.size), Ok(text.len()));

    let readme = github.repos().get_readme().owner("octocat").repo("hello-world").send();
    assert_eq!(readme.await.unwrap().text().unwrap(), text);
    let call = github.git().get_blob().owner("octocat").repo("hello-world");
    let blob = call.file_sha("3a0f86fb8db8eea7ccbb9a95f325ddbedfb25e15").send().await.unwrap();
    assert_eq!(blob.text().unwrap(), "Content of the blob");
}

#[tokio::test]
async fn a_path_that_is_no_file_is_an_error_that_names_the_variant() {
    let server = Server::fixed_response(json_response("200 OK", "", "[]")).await;
    let call = server.client().repos().get_content().owner("o").repo("r").path("docs");
    let error = call.send().await.unwrap().file().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(error.to_string().contains("not a file, but the variant `Directory`"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_too_large_for_json_is_an_error_that_names_the_raw_media_type() {
    let server = Server::fixed_response(json_response("200 OK", "", &file_json("none", ""))).await;
    let call = server.client().repos().get_content().owner("o").repo("r").path("a.bin");
    let content = call.send().await.unwrap();
    let error = content.file().unwrap().bytes().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    let shown = error.to_string();
    assert!(shown.contains("(2000000 bytes)"), "{shown}");
    assert!(shown.contains(".into_request().raw().send_stream()"), "{shown}");
}

#[tokio::test]
async fn a_file_that_is_no_text_has_bytes() {
    let encoded = STANDARD.encode([0xff, 0x00]);
    let body = json_response("200 OK", "", &file_json("base64", &encoded));
    let server = Server::fixed_response(body).await;
    let call = server.client().repos().get_content().owner("o").repo("r").path("a.bin");
    let content = call.send().await.unwrap();
    let file = content.file().unwrap();
    assert_eq!(file.bytes().unwrap(), [0xff, 0x00][..]);
    assert!(file.text().unwrap_err().to_string().contains("not UTF-8"));
}

#[tokio::test]
async fn bytes_are_sent_as_base64_with_the_encoding_where_there_is_one() {
    let server = Server::fixed_response(json_response("200 OK", "", "{}")).await;
    let client = server.client();
    let sent = || -> Value {
        let requests = server.requests();
        serde_json::from_slice(&requests.last().unwrap().body).unwrap()
    };
    let call = client.repos().create_or_update_file_contents().owner("o").repo("r").path("a.bin");
    let call = call.message("m").content_bytes([0xff_u8, 0xfe, 0xfd, 0xfc]);
    call.into_request().send_empty().await.unwrap();
    assert_eq!(sent(), json!({ "message": "m", "content": "//79/A==" }));

    let call = client.git().create_blob().owner("o").repo("r").encoding("utf-8");
    call.content_bytes("text").into_request().send_empty().await.unwrap();
    assert_eq!(sent(), json!({ "content": "dGV4dA==", "encoding": "base64" }));
}

#[tokio::test]
async fn each_media_type_is_requested_by_its_name() {
    let server = Server::fixed_response(json_response("200 OK", "", "text")).await;
    let call = || server.client().request(Method::GET, "/x");
    for (request, name) in [
        (call().diff(), "application/vnd.github.diff"),
        (call().patch(), "application/vnd.github.patch"),
        (call().raw(), "application/vnd.github.raw+json"),
        (call().html(), "application/vnd.github.html+json"),
    ] {
        let text = request.send_text().await.unwrap();
        assert_eq!((text.as_str(), text.meta().status().as_u16()), ("text", 200));
        assert_eq!(server.requests().last().unwrap().headers["accept"], name);
    }
}

#[tokio::test]
async fn diffs_and_files_of_operations_are_text() {
    let mock = MockGitHub::start().await;
    let github = mock.client();
    let pull = || github.pulls().get().owner("octocat").repo("hello-world").pull_number(1347);
    for request in [pull().into_request().diff(), pull().into_request().patch()] {
        assert!(request.send_text().await.unwrap().starts_with("diff --git "));
    }
    let text = readme(&github).raw().send_text().await.unwrap();
    assert!(text.starts_with("# hello-world"), "{}", *text);
    assert_eq!(*readme(&github).raw().send_bytes().await.unwrap(), *text);
    assert!(readme(&github).html().send_text().await.unwrap().contains("<h1>"));
    // JSON is still what the call itself returns.
    assert!(readme(&github).send::<Value>().await.unwrap()["content"].is_string());
}

#[tokio::test]
async fn text_is_utf_8_or_an_error() {
    let response = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n\xff\xfe".to_vec();
    let server = Server::fixed_response(response).await;
    let call = || server.client().request(Method::GET, "/x").raw();
    let error = call().send_text().await.unwrap_err();
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Decode, 200));
    assert_eq!(error.operation(), Some("GET /x"));
    assert!(error.to_string().contains("not UTF-8 text; read the body as bytes"), "{error}");
    assert_eq!(*call().send_bytes().await.unwrap(), [0xff, 0xfe][..]);
}

#[tokio::test]
async fn a_call_has_its_own_limit_of_a_body() {
    let server = Server::fixed_response(json_response("200 OK", "", "0123456789")).await;
    for (client_limit, limit, fits) in
        [(64, None, true), (9, None, false), (64, Some(9), false), (9, Some(10), true)]
    {
        let client = server.builder().max_body_bytes(client_limit).build().unwrap();
        let mut call = client.request(Method::GET, "/x");
        if let Some(limit) = limit {
            call = call.max_body_bytes(limit);
        }
        match call.send_text().await {
            Ok(text) => assert!(fits && *text == "0123456789", "{client_limit} {limit:?}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::BodyTooLarge);
                assert!(!fits && error.to_string().contains("exceeds 9 bytes"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn an_error_is_read_whatever_the_limit_of_the_call() {
    let body = r#"{"message":"Not Found"}"#;
    let server = Server::fixed_response(json_response("404 Not Found", "", body)).await;
    let call = server.client().request(Method::GET, "/x").max_body_bytes(1);
    let error = call.send_text().await.unwrap_err();
    assert_eq!(error.api().unwrap().message, "Not Found");
}

#[tokio::test]
async fn a_stored_response_and_a_read_in_flight_do_not_exceed_the_limit_of_a_call() {
    let mock = MockGitHub::start().await;
    let github = mock.client();
    // Both at the same time: the limit of one call is not that of the other.
    let (limited, whole) = tokio::join!(
        readme(&github).raw().max_body_bytes(3).send_text(),
        readme(&github).raw().send_text(),
    );
    assert_eq!(limited.unwrap_err().kind(), ErrorKind::BodyTooLarge);
    let whole = whole.unwrap().into_inner();
    // From here on, the response is stored.
    let limited = readme(&github).raw().max_body_bytes(3).send_text().await;
    assert_eq!(limited.unwrap_err().kind(), ErrorKind::BodyTooLarge);
    let fits = readme(&github).raw().max_body_bytes(whole.len()).send_text().await;
    assert_eq!(*fits.unwrap(), whole);
}
