//! GraphQL calls use the same policies, and GraphQL errors become errors.

use std::time::Duration;

use crate::support::{Server, json_response};
use http::Method;
use octowire::rate_limit::RateLimitPolicy;
use octowire::{Client, Error, ErrorKind};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
struct Data {
    user: User,
}

#[derive(Debug, Deserialize)]
struct User {
    name: String,
}

async fn ask(body: &str) -> Result<Data, Error> {
    let server =
        Server::fixed_response(json_response("200 OK", "x-github-request-id: R1\r\n", body)).await;
    let response = server.client().graphql::<Data>("{ user { name } }", ());
    response.await.map(octowire::Response::into_inner)
}

#[tokio::test]
async fn a_graphql_query_sends_its_variables_and_returns_its_data() {
    let server = httpmock::MockServer::start_async().await;
    let mock = server
        .mock_async(|when, then| {
            when.method("POST")
                .path("/graphql")
                .header("authorization", "Bearer t0ken")
                .header("content-type", "application/json")
                .json_body(json!({ "query": "query($n: Int!)", "variables": { "n": 1 } }));
            then.status(200).json_body(json!({ "data": { "user": { "name": "Mona" } } }));
        })
        .await;
    let builder = Client::builder().base_url(server.base_url());
    let client = builder.token("t0ken").build().unwrap();
    let data = client.graphql::<Data>("query($n: Int!)", json!({ "n": 1 }));
    let data = data.await.unwrap();
    mock.assert_async().await;
    assert_eq!(data.user.name, "Mona");
    assert_eq!(data.meta().operation(), "POST /graphql");
}

#[tokio::test]
async fn an_enterprise_server_has_its_own_path() {
    let server = Server::fixed_response(json_response("200 OK", "", r#"{"data":{}}"#)).await;
    let base_url = format!("{}/api/v3", server.url);
    let client = Client::builder().base_url(base_url).build().unwrap();
    client.graphql::<Value>("{}", ()).await.unwrap();
    client.request(Method::GET, "/user").send_empty().await.unwrap();
    let targets: Vec<_> = server.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/api/graphql", "/api/v3/user"]);
}

#[tokio::test]
async fn errors_are_errors_and_partial_data_is_kept() {
    // `user` is null, which the type does not allow: GraphQL's error is the one to report.
    let error = ask(r#"{"data":{"user":null,"other":1},"errors":[
            {"type":"NOT_FOUND","path":["user",0,"x"],"locations":[{"line":1,"column":3}],
             "message":"Could not resolve to a User"},
            {"message":"And another"}]}"#)
    .await
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GraphQl);
    assert!(!error.is_retryable());
    assert_eq!(error.request_id(), Some("R1"));
    let failure = error.graphql().unwrap();
    assert_eq!(failure.errors[0].kind.as_deref(), Some("NOT_FOUND"));
    assert_eq!(failure.errors[0].path, [json!("user"), json!(0), json!("x")]);
    assert_eq!(failure.errors[0].locations[0].column, 3);
    assert_eq!(failure.errors[1].message, "And another");
    assert_eq!(failure.data.as_ref().unwrap()["other"], 1);
    let line = error.to_string();
    assert!(
        line.contains(r#"NOT_FOUND: "Could not resolve to a User" at user.0.x, "And another""#),
        "{line}"
    );
}

const LEFT: &str = "x-ratelimit-limit: 5000\r\nx-ratelimit-remaining: 12\r\n\
                    x-ratelimit-reset: 1700000000\r\nx-ratelimit-resource: graphql\r\n";
const NONE_LEFT: &str = "x-ratelimit-limit: 5000\r\nx-ratelimit-remaining: 0\r\n\
                         x-ratelimit-reset: 1700000000\r\nx-ratelimit-resource: graphql\r\n";

/// The result of a response with this status, these headers and this body.
async fn failed(status: &str, headers: &str, body: &str) -> Error {
    let server = Server::fixed_response(json_response(status, headers, body)).await;
    server.client().graphql::<Data>("{ user { name } }", ()).await.unwrap_err()
}

#[tokio::test]
async fn every_form_of_a_graphql_rate_limit_is_recognized() {
    const SECONDARY: &str = r#"{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again.","documentation_url":"https://docs.github.com/graphql/overview/rate-limits-and-node-limits-for-the-graphql-api#secondary-rate-limits"}"#;
    for (status, headers, body) in [
        ("200 OK", LEFT, r#"{"errors":[{"type":"RATE_LIMITED","message":"slow down"}]}"#),
        (
            "200 OK",
            LEFT,
            r#"{"errors":[{"type":"RATE_LIMIT","code":"graphql_rate_limit","message":"API rate limit already exceeded for user ID 1."}]}"#,
        ),
        (
            "200 OK",
            LEFT,
            r#"{"data":null,"errors":[{"message":"API rate limit exceeded for user ID 1."}]}"#,
        ),
        ("200 OK", NONE_LEFT, r#"{"errors":[{"message":"Come back later."}]}"#),
        ("200 OK", "retry-after: 60\r\n", r#"{"errors":[{"message":"Come back later."}]}"#),
        ("200 OK", LEFT, SECONDARY),
        ("200 OK", NONE_LEFT, r#"{"message":"Come back later."}"#),
        ("403 Forbidden", LEFT, SECONDARY),
        ("403 Forbidden", NONE_LEFT, r#"{"message":"Come back later."}"#),
        ("429 Too Many Requests", LEFT, SECONDARY),
    ] {
        let error = failed(status, headers, body).await;
        assert!(error.is_rate_limited() && error.is_retryable(), "{status}, {body}: {error}");
        assert!(error.to_string().contains("rate limit exceeded: "), "{error}");
    }
    let error = failed("200 OK", &format!("retry-after: 60\r\n{LEFT}"), SECONDARY).await;
    assert_eq!(error.kind(), ErrorKind::GraphQl);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    assert_eq!(error.rate_limit().unwrap().remaining, 12);
    assert!(error.to_string().contains("secondary rate limit"), "{error}");
    assert!(error.to_string().contains("retry in 60 s"), "{error}");
}

#[tokio::test]
async fn other_errors_are_no_rate_limits_even_on_the_last_point() {
    for body in [
        r#"{"errors":[{"type":"NOT_FOUND","path":["repository"],"message":"Could not resolve to a Repository with the name 'o/rate limit'."}]}"#,
        r#"{"errors":[{"message":"Field 'rate limit' doesn't exist","locations":[{"line":1,"column":3}]}]}"#,
        r#"{"data":{"user":null},"errors":[{"type":"FORBIDDEN","message":"no"}]}"#,
    ] {
        let error = failed("200 OK", NONE_LEFT, body).await;
        assert_eq!(error.kind(), ErrorKind::GraphQl);
        assert!(!error.is_rate_limited() && !error.is_retryable(), "{body}: {error}");
    }
}

#[tokio::test]
async fn graphql_errors_of_any_shape_are_returned() {
    for strange in [
        r#"{"message":"broken","path":null,"locations":null,"type":null,"extensions":null}"#,
        r#"{"message":"broken","path":7,"locations":{"line":1},"type":7,"extensions":"x"}"#,
        r#"{"message":"broken","path":"user","locations":[null,{"line":"1","column":2}],"type":{}}"#,
        r#"{"message":"broken","path":[["a"],null],"locations":["1:2"],"type":["A"],"extensions":[]}"#,
        r#""broken""#,
    ] {
        for errors in [format!("[{strange}]"), strange.to_owned()] {
            for data in [r#"{"user":{"name":"Mona"}}"#, "null"] {
                let error = ask(&format!(r#"{{"data":{data},"errors":{errors}}}"#)).await;
                let error = error.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::GraphQl, "{errors}: {error}");
                assert_eq!(error.graphql().unwrap().errors[0].message, "broken");
                assert_eq!(error.graphql().unwrap().data.is_some(), data != "null");
            }
        }
    }
    let error = ask(r#"{"errors":[{"message":null,"type":7},null]}"#).await.unwrap_err();
    assert_eq!(error.graphql().unwrap().errors[0].kind.as_deref(), Some("7"));
    assert_eq!(error.graphql().unwrap().errors.len(), 2);
}

#[tokio::test]
async fn data_of_another_shape_is_a_decode_error_with_its_path() {
    let error = ask(r#"{"data":{"user":{"name":7}}}"#).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert_eq!(error.json_path(), Some("$.data.user.name"));
    for body in ["{}", r#"{"data":null}"#, "[]", ""] {
        let error = ask(body).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode, "{body}: {error}");
    }
}

#[tokio::test]
async fn an_empty_list_of_errors_is_none() {
    let data = ask(r#"{"data":{"user":{"name":"Mona"}},"errors":[]}"#).await;
    assert_eq!(data.unwrap().user.name, "Mona");
}

#[tokio::test]
async fn a_rejected_call_is_an_api_error() {
    let body = r#"{"message":"Bad credentials"}"#;
    let server = Server::fixed_response(json_response("401 Unauthorized", "", body)).await;
    let error = server.client().graphql::<Data>("{}", ()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Api);
    assert_eq!(error.operation(), Some("POST /graphql"));
}

/// GitHub refuses all the time, by a 200 or a 403, and says when to come back, or does not: the number of
/// refusals ends the call, or the longest wait, which is for all of them together.
#[tokio::test(start_paused = true)]
async fn an_always_rejected_query_ends_at_the_first_retry_bound() {
    const MINUTE: Duration = Duration::from_secs(60);
    let rejection = r#"{"message":"You have exceeded a secondary rate limit."}"#;
    for (status, headers, requests, waits) in [
        ("200 OK", "retry-after: 1\r\n", 8, 0..1_u64),
        ("403 Forbidden", "retry-after: 1\r\n", 9, 0..1),
        // 1, 2, 4, 8, 16 and 32 minutes: the next wait would be too long.
        ("200 OK", "", 7, 62..71),
        ("403 Forbidden", "", 7, 62..71),
    ] {
        let server = Server::fixed_response(json_response(status, headers, rejection)).await;
        let client = server
            .default_client_builder()
            .rate_limits(RateLimitPolicy::default())
            .build()
            .unwrap();
        let began = tokio::time::Instant::now();
        let error = client.graphql::<Value>("{ viewer { login } }", ()).await.unwrap_err();
        assert!(error.is_rate_limited(), "{error}");
        let minutes = began.elapsed().as_secs() / MINUTE.as_secs();
        assert!(waits.contains(&minutes), "{status} {headers}: {minutes} minutes");
        assert_eq!(server.requests().len(), requests, "{status} {headers}");
    }
}
