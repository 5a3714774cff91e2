//! A gateway's own tokens, by the client credentials grant.

use std::time::Duration;

use super::{form, get_user};
use crate::support::{FrozenClock, Reply, Server, json_response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use octowire::Error;
use octowire::auth::{AuthFailure, ClientCredentials};
use tokio::time::advance;

/// A server that gives tokens of its own at `/token`, and answers everything else as GitHub.
async fn gateway(token: &'static str) -> Server {
    Server::start(move |request| async move {
        Reply::Raw(match request.target.as_str() {
            "/token" => json_response("200 OK", "", token),
            _ => json_response("200 OK", "", r#"{"login":"octocat"}"#),
        })
    })
    .await
}

fn credentials(server: &Server) -> ClientCredentials {
    ClientCredentials::new(format!("{}/token", server.url), "ci:bot", "secret hunter2%").unwrap()
}

const HOUR: &str = r#"{"access_token":"gateway-hunter2","token_type":"BEARER","expires_in":3600}"#;
const ENDLESS: &str = r#"{"access_token":"gateway-hunter2","token_type":"bearer"}"#;

#[tokio::test]
async fn a_gateway_token_is_sent_besides_the_token_of_github() {
    let server = gateway(HOUR).await;
    let source = credentials(&server).scope("read write").audience("github");
    let client = server.builder().token("ghp_own").gateway("x-gateway", source).build().unwrap();
    for _ in 0..3 {
        get_user(&client).await.unwrap();
    }
    let requests = server.requests();
    let targets: Vec<_> = requests.iter().map(|request| &*request.target).collect();
    assert_eq!(targets, ["/token", "/user", "/user", "/user"]);
    assert_eq!(requests[1].headers["x-gateway"], "Bearer gateway-hunter2");
    assert_eq!(requests[1].headers["authorization"], "Bearer ghp_own");
    let sent = form(&requests[0]);
    assert_eq!(sent["grant_type"], "client_credentials");
    assert_eq!((&*sent["scope"], &*sent["audience"]), ("read write", "github"));
    assert_eq!(sent.len(), 3);
    // RFC 6749, section 2.3.1: both are form-encoded first.
    let basic = format!("Basic {}", STANDARD.encode("ci%3Abot:secret+hunter2%25"));
    assert_eq!(requests[0].headers["authorization"], basic);
}

#[tokio::test]
async fn a_gateway_that_authenticates_itself_gets_only_its_own_token() {
    let server = gateway(HOUR).await;
    let client = server.builder().auth(credentials(&server).credentials_in_body()).build().unwrap();
    get_user(&client).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests[1].headers["authorization"], "Bearer gateway-hunter2");
    assert!(!requests[0].headers.contains_key("authorization"));
    let sent = form(&requests[0]);
    assert_eq!((&*sent["client_id"], &*sent["client_secret"]), ("ci:bot", "secret hunter2%"));
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_before_its_end_and_one_without_an_end_is_kept() {
    let _held = FrozenClock::new();
    for (token, count) in [(HOUR, 2), (ENDLESS, 1)] {
        let server = gateway(token).await;
        let client = server.builder().auth(credentials(&server)).build().unwrap();
        get_user(&client).await.unwrap();
        advance(Duration::from_secs(3600)).await;
        get_user(&client).await.unwrap();
        let issued_tokens = server.requests().iter().filter(|r| r.target == "/token").count();
        assert_eq!(issued_tokens, count, "{token}");
    }
}

async fn error(bytes: Vec<u8>) -> Error {
    let server = Server::fixed_response(bytes).await;
    let client = server.builder().auth(credentials(&server)).build().unwrap();
    let error = get_user(&client).await.unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    error
}

#[tokio::test]
async fn a_rejection_is_attributed_to_the_token_server() {
    let invalid = r#"{"error":"invalid_client","error_description":"who is secret hunter2%?"}"#;
    for (bytes, failure) in [
        (json_response("401 Unauthorized", "", invalid), AuthFailure::ClientRejected),
        (json_response("401 Unauthorized", "", ""), AuthFailure::ClientRejected),
        (json_response("400 Bad", "", r#"{"error":"invalid_scope"}"#), AuthFailure::OAuth),
        (json_response("200 OK", "", r#"{"access_token":"hunter2"}"#), AuthFailure::OAuth),
        (
            json_response("200 OK", "", r#"{"access_token":"hunter2","token_type":"hunter2"}"#),
            AuthFailure::OAuth,
        ),
    ] {
        let error = error(bytes).await;
        assert_eq!(error.auth_failure(), Some(failure), "{error}");
        assert!(error.to_string().contains("the token server"), "{error}");
        assert!(error.status().is_none(), "the call itself was not refused");
    }
}
