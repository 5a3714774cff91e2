//! GraphQL goes down the same path, and its errors are errors.

use crate::support::{Server, json as answer};
use http::Method;
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
    let server = Server::saying(answer("200 OK", "x-github-request-id: R1\r\n", body)).await;
    let answer = server.client().graphql::<Data>("{ user { name } }", ());
    answer.await.map(octowire::Response::into_inner)
}

#[tokio::test]
async fn a_query_goes_out_with_its_variables_and_its_data_comes_back() {
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
    assert_eq!(data.operation(), "POST /graphql");
}

#[tokio::test]
async fn an_enterprise_server_has_its_own_path() {
    let server = Server::saying(answer("200 OK", "", r#"{"data":{}}"#)).await;
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

#[tokio::test]
async fn a_rate_limit_in_a_200_is_a_rate_limit() {
    let error = ask(r#"{"errors":[{"type":"RATE_LIMITED","message":"slow down"}]}"#).await;
    let error = error.unwrap_err();
    assert!(error.is_rate_limited() && error.is_retryable());
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
async fn a_refused_call_is_an_api_error() {
    let body = r#"{"message":"Bad credentials"}"#;
    let server = Server::saying(answer("401 Unauthorized", "", body)).await;
    let error = server.client().graphql::<Data>("{}", ()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Api);
    assert_eq!(error.operation(), Some("POST /graphql"));
}
