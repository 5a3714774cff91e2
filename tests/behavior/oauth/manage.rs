//! An application manages its users' tokens.

use super::{CLIENT_ID, Login, SECRET, app};
use crate::support::json_response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use octowire::auth::{AccessToken, AuthFailure, OAuthApp};
use serde_json::json;

fn token() -> AccessToken {
    AccessToken::new("gho_hunter2").unwrap()
}

#[tokio::test]
async fn tokens_are_checked_reset_and_revoked() {
    let login = Login::start().await;
    // Even a client with a token of its own shows the application's credentials.
    let client = login.server.client();
    let valid = json!({
        "id": 1, "token": "gho_hunter3", "scopes": ["repo"], "user": { "login": "octocat", "id": 583231 },
        "expires_at": "2030-01-01T00:00:00Z",
    });
    for _ in 0..2 {
        login.script_json(&valid);
    }
    for _ in 0..2 {
        login.script(json_response("204 No Content", "", ""));
    }
    let checked = app().check(&client, &token()).await.unwrap().unwrap();
    assert_eq!((checked.login.as_deref(), checked.user_id), (Some("octocat"), Some(583231)));
    assert_eq!(checked.scopes, ["repo"]);
    assert!(checked.expires_at.is_some());
    let new = app().reset(&client, &token()).await.unwrap();
    assert_eq!(new.expose_secret(), "gho_hunter3");
    assert!(new.expires_at().is_some() && new.scopes().unwrap() == ["repo"]);
    assert!(app().revoke(&client, &token()).await.unwrap());
    assert!(app().revoke_grant(&client, &token()).await.unwrap());

    let sent: Vec<_> = login.server.requests();
    let lines: Vec<_> = sent.iter().map(|r| format!("{} {}", r.method, r.target)).collect();
    assert_eq!(
        lines,
        [
            format!("POST /applications/{CLIENT_ID}/token"),
            format!("PATCH /applications/{CLIENT_ID}/token"),
            format!("DELETE /applications/{CLIENT_ID}/token"),
            format!("DELETE /applications/{CLIENT_ID}/grant"),
        ]
    );
    let basic = format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:{SECRET}")));
    for request in sent {
        assert_eq!(request.headers["authorization"], basic);
        assert_eq!(request.headers["content-type"], "application/json");
        assert_eq!(request.body, br#"{"access_token":"gho_hunter2"}"#);
    }
}

#[tokio::test]
async fn a_token_that_is_not_valid_is_no_error_to_ask_about() {
    let login = Login::start().await;
    let client = login.client();
    assert!(app().check(&client, &token()).await.unwrap().is_none());
    assert!(!app().revoke(&client, &token()).await.unwrap());
    assert!(!app().revoke_grant(&client, &token()).await.unwrap());
    assert!(app().reset(&client, &token()).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_wrong_secret_or_none_is_named() {
    let login = Login::start().await;
    let client = login.client();
    let public = OAuthApp::public_client(CLIENT_ID).unwrap();
    let error = public.check(&client, &token()).await.unwrap_err();
    assert_eq!(error.auth_failure(), Some(AuthFailure::Missing));
    assert!(login.server.requests().is_empty());
    login.script(json_response("401 Unauthorized", "", r#"{"message":"Bad credentials"}"#));
    let error = app().revoke(&client, &token()).await.unwrap_err();
    assert_eq!(error.auth_failure(), Some(AuthFailure::ClientRejected));
}

#[tokio::test]
async fn a_response_that_does_not_decode_keeps_its_token_to_itself() {
    let login = Login::start().await;
    for body in [r#"{"token":"gho_hunter2","scopes":7}"#, r#"{"token":"gho_hunter2"#] {
        login.script(json_response("200 OK", "", body));
        let error = app().reset(&login.client(), &token()).await.unwrap_err();
        assert!(error.body().is_none() && !format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}
