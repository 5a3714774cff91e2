//! Every failure returns an error of the right kind with advice.

use std::error::Error as _;
use std::time::Duration;

use crate::support::{Server, json_response};
use futures_util::stream;
use http::Method;
use octowire::{Body, Client, Error, ErrorKind};
use serde::Deserialize;
use serde_json::Value;

async fn get(server: &Server) -> Result<Value, Error> {
    let call = server.client().request(Method::GET, "/thing?q=hush");
    call.send::<Value>().await.map(|response| response.into_inner())
}

/// The error of a GET that is answered with these bytes.
async fn error(bytes: impl Into<Vec<u8>>) -> Error {
    let error = get(&Server::fixed_response(bytes).await).await.unwrap_err();
    let line = error.to_string();
    assert!(!line.contains('\n'), "{line}");
    assert!(!line.contains("hush"), "{line}");
    assert!(line.starts_with("GET /thing: "), "{line}");
    error
}

#[tokio::test]
async fn a_404_names_the_request_the_cause_and_the_documentation() {
    let error = error(json_response(
        "404 Not Found",
        "x-github-request-id: 8F2A:1B\r\n",
        r#"{"message":"Not Found","documentation_url":"https://docs.github.com/rest","status":"404"}"#,
    ))
    .await;
    assert_eq!(error.kind(), ErrorKind::Api);
    assert!(error.is_not_found() && !error.is_retryable());
    assert_eq!(error.status().unwrap(), 404);
    assert_eq!(error.request_id(), Some("8F2A:1B"));
    assert_eq!(error.operation(), Some("GET /thing"));
    let api = error.api().unwrap();
    assert_eq!(api.message, "Not Found");
    assert_eq!(api.documentation_url.as_deref(), Some("https://docs.github.com/rest"));
    assert_eq!(
        error.to_string(),
        "GET /thing: GitHub returned 404 Not Found: \"Not Found\" (request id 8F2A:1B); a private \
         resource that the token cannot access also returns 404; see https://docs.github.com/rest"
    );
}

#[tokio::test]
async fn a_422_names_the_fields() {
    let error = error(json_response(
        "422 Unprocessable Entity",
        "",
        r#"{"message":"Validation Failed","errors":[{"resource":"Issue","field":"title","code":"missing_field"},"and more"]}"#,
    ))
    .await;
    let details = &error.api().unwrap().errors;
    assert_eq!(details[0].field.as_deref(), Some("title"));
    assert_eq!(details[0].value["resource"], "Issue");
    assert_eq!(details[1].message.as_deref(), Some("and more"));
    let line = error.to_string();
    assert!(line.contains("[title: missing_field, and more]"), "{line}");
}

#[tokio::test]
async fn a_403_distinguishes_a_rate_limit_from_a_missing_permission() {
    let limited = error(json_response(
        "403 Forbidden",
        "retry-after: 60\r\nx-ratelimit-limit: 5000\r\nx-ratelimit-remaining: 9\r\n\
         x-ratelimit-reset: 1700000000\r\nx-ratelimit-resource: core\r\n",
        r#"{"message":"You have exceeded a secondary rate limit"}"#,
    ))
    .await;
    assert!(limited.is_rate_limited() && limited.is_retryable());
    assert_eq!(limited.retry_after(), Some(Duration::from_secs(60)));
    assert_eq!(limited.rate_limit().unwrap().remaining, 9);
    assert!(limited.to_string().contains("retry in 60 s"), "{limited}");

    let forbidden = error(json_response(
        "403 Forbidden",
        "x-accepted-github-permissions: issues=write\r\n",
        r#"{"message":"Resource not accessible by integration"}"#,
    ))
    .await;
    assert!(!forbidden.is_rate_limited() && !forbidden.is_retryable());
    assert!(forbidden.to_string().contains("issues=write"), "{forbidden}");
}

#[tokio::test]
async fn an_html_502_is_an_api_error_that_may_pass() {
    let page = "<html><body><h1>502</h1>\nUnicorn!</body></html>";
    let error = error(format!(
        "HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n{page}",
        page.len()
    ))
    .await;
    assert_eq!(error.kind(), ErrorKind::Api);
    assert!(error.is_retryable());
    assert_eq!(error.body().unwrap(), page.as_bytes());
    let line = error.to_string();
    assert!(line.contains("HTML page instead of JSON"), "{line}");
    assert!(line.contains("githubstatus.com"), "{line}");
}

#[tokio::test]
async fn an_error_without_a_body_keeps_its_status() {
    let error = error("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(error.status().unwrap(), 503);
    assert!(error.is_retryable());
    assert!(error.to_string().contains("with an empty body"), "{error}");
}

#[tokio::test]
async fn an_error_with_a_truncated_body_keeps_its_status() {
    let error = error("HTTP/1.1 500 Oops\r\ncontent-length: 50\r\n\r\n{\"mess").await;
    assert_eq!(error.kind(), ErrorKind::Api);
    assert_eq!(error.status().unwrap(), 500);
}

#[tokio::test]
async fn a_truncated_body_is_a_transport_error() {
    for bytes in [
        "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"a\":1}",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7\r\n{\"a\":1}\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7\r\n{\"a\"",
    ] {
        let error = error(bytes).await;
        assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
        assert!(error.is_retryable());
        assert!(error.source().is_some());
        assert!(error.to_string().contains("connection closed before"), "{error}");
    }
}

/// `{"a":1}`, compressed.
const GZIPPED: &[u8] = &[
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 171, 86, 74, 84, 178, 50, 172, 5, 0, 175, 172, 27, 86, 7, 0,
    0, 0,
];

#[tokio::test]
async fn a_truncated_gzip_body_is_a_transport_error() {
    for (length, works) in [(GZIPPED.len(), true), (GZIPPED.len() - 10, false)] {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\n\r\n"
        );
        let bytes = [head.as_bytes(), &GZIPPED[..length]].concat();
        if works {
            let value = get(&Server::fixed_response(bytes).await).await.unwrap();
            assert_eq!(value["a"], 1);
        } else {
            assert_eq!(error(bytes).await.kind(), ErrorKind::Transport);
        }
    }
}

#[tokio::test]
async fn a_connection_that_ends_before_the_response_is_a_transport_error() {
    for bytes in ["", "HTTP/1.1 200 OK\r\ncontent-le", "SSH-2.0-OpenSSH_9\r\n"] {
        let error = error(bytes).await;
        assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_transport_error() {
    let client =
        Client::builder().base_url("http://127.0.0.1:1").retry(octowire::RetryPolicy::disabled());
    let call = client.build().unwrap().request(Method::GET, "/thing");
    let error = call.send_empty().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert!(error.is_retryable());
    assert!(error.to_string().contains("connection to the server failed"), "{error}");
}

#[tokio::test]
async fn a_body_to_send_that_fails_is_the_callers_and_not_worth_a_retry() {
    use std::io;
    for (said, chunks, expected) in [
        (None, vec![Ok("ab"), Err(io::Error::other("disk gone"))], "stream failed"),
        (Some(9), vec![Ok("ab"), Err(io::Error::other("disk gone"))], "stream failed"),
        (Some(9), vec![Ok("ab")], "declared as 9 bytes long, but has only 2"),
        (Some(1), vec![Ok("ab")], "declared as 1 bytes long, but has at least 2"),
    ] {
        let server = Server::fixed_response(json_response("201 Created", "", "{}")).await;
        let call = server.client().request(Method::POST, "/thing");
        let body = Body::stream(stream::iter(chunks), said);
        let error = call.body("text/plain", body).send_empty().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error:?}");
        assert!(!error.is_retryable());
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.operation(), Some("POST /thing"));
        let source = error.source().unwrap();
        let own = source.downcast_ref::<io::Error>().map(ToString::to_string);
        assert_eq!(own.is_some(), expected == "stream failed", "{source:?}");
    }
}

#[tokio::test]
async fn a_body_to_send_that_fails_is_the_callers_over_http2_too() {
    // Settings, and then nothing: the client resets the stream, and tells no reason.
    let server = Server::silent_after([0, 0, 0, 4, 0, 0, 0, 0, 0]).await;
    let http = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let client = server.builder().http_client(http).build().unwrap();
    let chunks = stream::iter([Ok("ab"), Err(std::io::Error::other("disk gone"))]);
    let call = client.request(Method::POST, "/thing");
    let call = call.body("text/plain", Body::stream(chunks, Some(9)));
    let error = call.send_empty().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error:?}");
    assert_eq!(error.source().unwrap().to_string(), "disk gone");
}

#[tokio::test]
async fn a_success_in_html_points_to_the_base_url() {
    let error = error(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<html></html>",
    )
    .await;
    assert_eq!(error.kind(), ErrorKind::Decode);
    let line = error.to_string();
    assert!(line.contains("base_url") && line.contains("send_stream()"), "{line}");
}

#[tokio::test]
async fn a_success_that_is_not_json_names_its_format_and_the_method_that_reads_it() {
    for (content_type, body, format) in [
        ("application/vnd.github.diff; charset=utf-8", "diff --git a/x b/x\n", "vnd.github.diff"),
        ("application/gzip", "\u{1f}\0", "application/gzip"),
        ("text/plain; charset=utf-8", "{Hello", "text/plain"),
        ("application/vnd.github.raw+json", "# Title", "text"),
        ("application/json", "Hello", "text"),
        ("application/json", "PK\0", "binary data"),
    ] {
        let response = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let error = error(response.clone()).await;
        assert_eq!(error.kind(), ErrorKind::Decode, "{content_type}");
        assert_eq!((error.json_path(), error.is_retryable()), (None, false));
        let line = error.to_string();
        assert!(line.contains(&format!("{format} instead of JSON")), "{line}");
        assert!(line.contains("send_stream()") && !line.contains("base_url"), "{line}");
        // As the error says.
        let call = Server::fixed_response(response).await.client().request(Method::GET, "/thing");
        let mut stream = call.send_stream().await.unwrap().into_inner();
        assert_eq!(stream.text(100).await.unwrap(), body);
    }
    // JSON with a fault has a place.
    let error = error(json_response("200 OK", "", r#"{"a":1,"b":}"#)).await;
    assert!(error.json_path().is_some(), "{error}");
    assert!(!error.to_string().contains("send_stream"), "{error}");
}

/// Also in a property that the type ignores, in a key, and at a place where the body is cut off.
#[tokio::test]
async fn a_body_that_is_not_utf8_is_a_decode_error_at_its_place() {
    #[derive(Debug, Deserialize)]
    struct Lists {
        #[serde(rename = "a")]
        _a: Vec<String>,
    }
    for (body, path) in [
        (r#"{"a":["x","?"]}"#, "$.a[1]"),
        (r#"{"a":["x"],"b":{"c":"?"}}"#, "$.b.c"),
        (r#"{"a":["x"],"?":1}"#, "$[\"\u{fffd}\"]"),
        (r#"{"a":["x","?"#, "$.a[1]"),
    ] {
        let mut bytes = json_response("200 OK", "", body);
        let place = bytes.len() - body.len() + body.find('?').unwrap();
        bytes[place] = 0xe2;
        let server = Server::fixed_response(bytes).await;
        let call = server.client().request(Method::GET, "/thing");
        let error = call.send::<Lists>().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
        assert_eq!(error.json_path(), Some(path), "{body}");
        assert!(!error.is_retryable() && error.to_string().contains("invalid UTF-8"), "{error}");
    }
}

#[tokio::test]
async fn a_body_of_another_shape_names_the_path_and_is_available() {
    #[derive(Debug, Deserialize)]
    struct Item {
        #[serde(rename = "user")]
        _user: String,
    }
    let body = r#"[{"user":"a"},{"user":null}]"#;
    let server =
        Server::fixed_response(json_response("200 OK", "x-github-request-id: R1\r\n", body)).await;
    let call = server.client().request(Method::GET, "/thing");
    let error = call.send::<Vec<Item>>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert_eq!(error.json_path(), Some("$[1].user"));
    assert_eq!(error.body().unwrap(), body.as_bytes());
    assert_eq!(error.request_id(), Some("R1"));
    assert!(!error.is_retryable());
    assert!(error.source().is_some());
    assert!(error.to_string().contains("at $[1].user: invalid type: null"), "{error}");
}

#[tokio::test]
async fn an_empty_body_is_null_to_an_option_and_an_error_to_others() {
    const EMPTY: &str = "HTTP/1.1 204 No Content\r\n\r\n";
    let server = Server::fixed_response(EMPTY).await;
    let request = server.client().request(Method::GET, "/thing");
    let nothing = request.clone().send::<Option<Vec<u8>>>().await.unwrap();
    assert!(nothing.is_none());
    request.clone().send_empty().await.unwrap();
    let error = request.send::<Vec<u8>>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(error.to_string().contains("empty body"), "{error}");
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_rejected() {
    let body = format!("\"{}\"", "x".repeat(100_000));
    let server = Server::fixed_response(json_response("200 OK", "", &body)).await;
    for (bound, fits) in [(100_002, true), (100_001, false), (10, false)] {
        let client = server.builder().max_body_bytes(bound).build().unwrap();
        let response = client.request(Method::GET, "/thing").send::<String>().await;
        match response {
            Ok(text) => assert!(fits && text.len() == 100_000),
            Err(error) => {
                assert!(!fits);
                assert_eq!(error.kind(), ErrorKind::BodyTooLarge);
            }
        }
    }
}

#[tokio::test]
async fn an_excessive_content_length_is_not_allocated() {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", u64::MAX - 7);
    let server = Server::fixed_response(head + &"x".repeat(100_000)).await;
    let client = server.builder().max_body_bytes(usize::MAX).build().unwrap();
    let error = client.request(Method::GET, "/thing").send_empty().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
}

#[tokio::test]
async fn a_304_error_is_not_modified_and_keeps_the_headers() {
    const UNCHANGED: &str = "HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\
        x-ratelimit-limit: 5000\r\nx-ratelimit-remaining: 4999\r\n\
        x-ratelimit-reset: 1700000000\r\n\r\n";
    let server = Server::fixed_response(UNCHANGED).await;
    let call = server.client().request(Method::GET, "/thing").header("if-none-match", "\"x\"");
    let error = call.send::<Value>().await.unwrap_err();
    assert_eq!(server.requests()[0].headers["if-none-match"], "\"x\"");
    assert!(error.is_not_modified() && !error.is_retryable());
    assert_eq!(error.kind(), ErrorKind::Api);
    assert_eq!(error.status().unwrap(), 304);
    assert_eq!(error.headers().unwrap()["etag"], "\"x\"");
    assert_eq!(error.rate_limit().unwrap().remaining, 4999);
    assert_eq!(
        error.to_string(),
        "GET /thing: GitHub returned 304 Not Modified; the copy from the earlier response, whose \
         ETag or date this request carries, is still current"
    );
    let missing = self::error("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
    assert!(!missing.is_not_modified());
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_runs_into_the_timeout_that_is_shortest() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{";
    let seconds = Duration::from_secs;
    for (bytes, attempt, call, expected) in [("", 5, 7, "5s"), ("", 7, 5, "5s"), (HEAD, 4, 9, "4s")]
    {
        let server = Server::silent_after(bytes).await;
        let builder = server.builder().attempt_timeout(seconds(attempt));
        let client = builder.call_timeout(seconds(call)).build().unwrap();
        let response = client.request(Method::GET, "/thing").send_empty();
        let error = response.await.unwrap_err();
        assert!(error.is_timeout() && error.is_retryable());
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_may_have_a_timeout_of_its_own() {
    let server = Server::silent_after("").await;
    let call = server.client().request(Method::GET, "/thing");
    let error = call.timeout(Duration::from_secs(2)).send_empty();
    let error = error.await.unwrap_err();
    assert!(error.to_string().contains("timed out after 2s"), "{error}");
}
