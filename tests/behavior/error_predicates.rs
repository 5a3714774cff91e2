//! The predicates of an error hold for the statuses and bodies for which they are documented, and for no other.

use std::io::{BufRead, BufReader};
use std::sync::Arc;

use flate2::read::GzDecoder;
use http::Method;
use octowire::{Error, ErrorKind, OptionalExt as _};
use serde_json::Value;

use crate::support::{Received, Reply, Server, json_response};

/// The predicates of an error that hold.
fn predicates(error: &Error) -> Vec<&'static str> {
    let all = [
        ("unauthorized", error.is_unauthorized()),
        ("forbidden", error.is_forbidden()),
        ("rate limited", error.is_rate_limited()),
        ("not found", error.is_not_found()),
        ("conflict", error.is_conflict()),
        ("validation failed", error.is_validation_failed()),
        ("exists", error.already_exists()),
    ];
    all.into_iter().filter(|(_, holds)| *holds).map(|(name, _)| name).collect()
}

/// The errors of calls that receive these responses.
async fn errors(responses: Vec<Vec<u8>>) -> Vec<Error> {
    let count = responses.len();
    let responses = Arc::new(responses);
    let server = Server::start(move |request: Received| {
        let case = usize::try_from(request.number("case").unwrap()).unwrap();
        let reply = responses[case].clone();
        async { Reply::Raw(reply) }
    })
    .await;
    let mut errors = Vec::new();
    for case in 0..count {
        // A client discards a token that was rejected.
        let call = server.client().request(Method::GET, "/thing").query("case", case);
        errors.push(call.send::<Value>().await.unwrap_err());
    }
    errors
}

fn html(status: &str) -> Vec<u8> {
    let page = "<html><title>Label already exists</title></html>";
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n{page}",
        page.len()
    )
    .into_bytes()
}

/// The status, the headers and the body of a response, and the predicates of its error.
type Case = (&'static str, &'static str, &'static str, &'static [&'static str]);

#[tokio::test]
async fn each_status_and_body_has_the_documented_predicates() {
    const INVALID: &str = r#"{"message":"Validation Failed","errors":[{"resource":"Issue","code":"missing_field","field":"title"}]}"#;
    const LABEL: &str = r#"{"message":"Validation Failed","errors":[{"resource":"Label","code":"already_exists","field":"name"}]}"#;
    const REPOSITORY: &str = r#"{"message":"Repository creation failed.","errors":[{"resource":"Repository","code":"custom","field":"name","message":"name already exists on this account"}]}"#;
    const TEMPLATE: &str = r#"{"message":"Could not clone: Name already exists on this account"}"#;
    const HOOK: &str = r#"{"message":"Validation Failed","errors":[{"resource":"Hook","code":"custom","message":"Invalid config attribute: content-type"},{"resource":"Hook","code":"custom","message":"Hook already exists on this repository"}]}"#;
    const KEY: &str = r#"{"message":"Validation Failed","errors":[{"resource":"PublicKey","code":"custom","field":"key","message":"key is already in use"}]}"#;
    const REFERENCE: &str = r#"{"message":"Reference already exists"}"#;
    const VARIABLE: &str = r#"{"message":"Already exists - Variable already exists"}"#;
    const LIMIT: &str = r#"{"message":"You have exceeded a secondary rate limit."}"#;
    const PERMISSION: &str = r#"{"message":"Resource not accessible by integration"}"#;
    const EXHAUSTED: &str = "x-ratelimit-remaining: 0\r\n";
    let cases: &[Case] = &[
        ("401 Unauthorized", "", r#"{"message":"Bad credentials"}"#, &["unauthorized"]),
        ("401 Unauthorized", EXHAUSTED, "", &["unauthorized"]),
        ("403 Forbidden", "", PERMISSION, &["forbidden"]),
        // The message decides, and only without one the headers.
        ("403 Forbidden", EXHAUSTED, PERMISSION, &["forbidden"]),
        ("403 Forbidden", "", "", &["forbidden"]),
        ("403 Forbidden", EXHAUSTED, "", &["rate limited"]),
        ("403 Forbidden", "retry-after: 60\r\n", "{}", &["rate limited"]),
        ("403 Forbidden", "", LIMIT, &["rate limited"]),
        ("403 Forbidden", "", REFERENCE, &["forbidden"]),
        ("429 Too Many Requests", "", LIMIT, &["rate limited"]),
        ("429 Too Many Requests", "", PERMISSION, &["rate limited"]),
        ("404 Not Found", "", r#"{"message":"Not Found"}"#, &["not found"]),
        ("410 Gone", "", "", &["not found"]),
        ("409 Conflict", "", r#"{"message":"Merge conflict"}"#, &["conflict"]),
        ("409 Conflict", "", "", &["conflict"]),
        ("409 Conflict", "", INVALID, &["conflict"]),
        ("409 Conflict", "", VARIABLE, &["conflict", "exists"]),
        ("422 Unprocessable", "", INVALID, &["validation failed"]),
        ("422 Unprocessable", "", KEY, &["validation failed"]),
        ("422 Unprocessable", "", LIMIT, &["validation failed"]),
        ("422 Unprocessable", EXHAUSTED, INVALID, &["validation failed"]),
        ("422 Unprocessable", "", LABEL, &["validation failed", "exists"]),
        ("422 Unprocessable", "", REPOSITORY, &["validation failed", "exists"]),
        ("422 Unprocessable", "", TEMPLATE, &["validation failed", "exists"]),
        ("422 Unprocessable", "", HOOK, &["validation failed", "exists"]),
        ("422 Unprocessable", "", REFERENCE, &["validation failed", "exists"]),
        // Not GitHub's error.
        ("422 Unprocessable", "", "", &[]),
        ("422 Unprocessable", "", "{}", &[]),
        ("422 Unprocessable", "", "[]", &[]),
        ("422 Unprocessable", "", "it already exists", &[]),
        ("422 Unprocessable", "", r#"{"error":"invalid_request"}"#, &[]),
        ("400 Bad Request", "", LABEL, &[]),
        ("404 Not Found", "", LABEL, &["not found"]),
        ("451 Unavailable", "", REFERENCE, &[]),
        ("500 Oops", "", LABEL, &[]),
    ];
    let reply = |(status, headers, body, _): &Case| json_response(status, headers, body);
    let errors = errors(cases.iter().map(reply).collect()).await;
    for ((status, headers, body, expected), error) in cases.iter().zip(&errors) {
        assert_eq!(error.kind(), ErrorKind::Api, "{status} {body}");
        assert_eq!(predicates(error), *expected, "{status} {headers:?} {body}");
        // Only what is not found is no error of an optional result.
        match Err::<(), _>(error.clone()).optional() {
            Ok(value) => assert!(value.is_none() && error.is_not_found(), "{status} {body}"),
            Err(same) => {
                assert!(!error.is_not_found(), "{status} {body}");
                assert_eq!(same.to_string(), error.to_string());
            }
        }
    }
    assert_eq!(Ok::<_, Error>(1).optional().unwrap(), Some(1));
}

#[tokio::test]
async fn a_page_of_a_proxy_is_no_validation_error() {
    let pages = ["409 Conflict", "422 Unprocessable"].map(html);
    let errors = errors(Vec::from(pages)).await;
    assert_eq!(predicates(&errors[0]), ["conflict"]);
    assert!(predicates(&errors[1]).is_empty());
}

#[tokio::test]
async fn an_error_without_a_response_has_none_of_the_predicates() {
    let server = Server::fixed_response("").await;
    let client = server.client();
    let unsent = client.request(Method::GET, "ftp://x").send::<Value>().await.unwrap_err();
    let broken = client.request(Method::GET, "/thing").send::<Value>().await.unwrap_err();
    for error in [unsent, broken] {
        assert!(predicates(&error).is_empty(), "{error}");
    }
}

/// A recorded rejection: the status, the path, and the body.
type Recording = (u16, String, Value);

fn recorded_rejections() -> Vec<Recording> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/responses.jsonl.gz");
    let lines = BufReader::new(GzDecoder::new(std::fs::File::open(path).unwrap())).lines();
    let read = |line: std::io::Result<String>| {
        let mut line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let status = u16::try_from(line["status"].as_u64().unwrap()).unwrap();
        (status, line["path"].as_str().unwrap().to_owned(), line["body"].take())
    };
    lines.map(read).filter(|(status, ..)| *status >= 400).collect()
}

#[tokio::test]
async fn recorded_rejections_have_the_predicates_of_their_status_and_text() {
    let recordings = recorded_rejections();
    let reply = |(status, _, body): &Recording| {
        json_response(&format!("{status} Rejected"), "", &body.to_string())
    };
    let errors = errors(recordings.iter().map(reply).collect()).await;
    let mut existing = 0;
    for ((status, path, body), error) in recordings.iter().zip(&errors) {
        let exists = body.to_string().contains("already");
        let expected: &[&str] = match status {
            401 => &["unauthorized"],
            403 => &["forbidden"],
            404 => &["not found"],
            422 if exists => &["validation failed", "exists"],
            422 => &["validation failed"],
            _ => &[],
        };
        assert_eq!(predicates(error), expected, "{status} {path} {body}");
        existing += usize::from(error.already_exists());
    }
    println!("{} recorded rejections, of which {existing} are of what exists", recordings.len());
    assert!(recordings.len() >= 80 && existing == 5, "{} {existing}", recordings.len());
}
