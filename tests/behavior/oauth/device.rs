//! The device flow, with a controlled clock.

use std::time::Duration;

use super::{CLIENT_ID, Login, quiet, until};
use crate::support::{FrozenClock, json_response};
use octowire::Error;
use octowire::auth::{AccessToken, AuthFailure, DeviceAuthorization, OAuthApp};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::advance;

const SECOND: Duration = Duration::from_secs(1);

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn device_response(login: &Login) -> Value {
    json!({
        "device_code": "device-hunter2",
        "user_code": "WDJB-MJHT",
        "verification_uri": format!("{}/login/device", login.server.url),
        "expires_in": 900,
        "interval": 5,
    })
}

async fn begin(login: &Login, body: &Value) -> Result<DeviceAuthorization, Error> {
    login.script_json(body);
    let app = OAuthApp::public_client(CLIENT_ID).unwrap();
    app.device_flow(&login.client()).scopes(["repo", "gist"]).start().await
}

type Wait = JoinHandle<Result<AccessToken, Error>>;

async fn wait(login: &Login, body: &Value) -> Wait {
    let code = begin(login, body).await.unwrap();
    let wait = tokio::spawn(code.wait());
    quiet().await;
    wait
}

/// Moves the clock until just before this time, when nothing happens, and to it, when GitHub is
/// asked once.
async fn asks_after(login: &Login, time: Duration, next: impl Into<Option<Value>>) {
    let before = login.forms().len();
    if let Some(next) = next.into() {
        login.script_json(&next);
    }
    advance(time - SECOND / 10).await;
    quiet().await;
    assert_eq!(login.forms().len(), before, "nothing is asked before {time:?}");
    advance(SECOND / 5).await;
    until("a question", || login.forms().len() > before).await;
    quiet().await;
    assert_eq!(login.forms().len(), before + 1);
}

fn pending() -> Value {
    json!({ "error": "authorization_pending" })
}

fn granted() -> Value {
    json!({ "access_token": "ghu_hunter2", "token_type": "bearer", "scope": "repo,gist" })
}

#[tokio::test(start_paused = true)]
async fn a_user_signs_in_on_another_device() {
    let _held = FrozenClock::new();
    let login = Login::start().await;
    let code = begin(&login, &device_response(&login)).await.unwrap();
    assert_eq!(code.user_code(), "WDJB-MJHT");
    assert_eq!(code.verification_uri().path(), "/login/device");
    assert!(code.verification_uri_complete().is_none());
    assert_eq!((code.expires_in(), code.interval()), (seconds(900), seconds(5)));
    let asked = super::form(&login.server.requests()[0]);
    assert_eq!((&*asked["client_id"], &*asked["scope"]), (CLIENT_ID, "repo gist"));

    let wait = tokio::spawn(code.wait());
    quiet().await;
    asks_after(&login, seconds(5), pending()).await;
    asks_after(&login, seconds(5), pending()).await;
    asks_after(&login, seconds(5), granted()).await;
    let token = wait.await.unwrap().unwrap();
    assert_eq!(token.expose_secret(), "ghu_hunter2");
    assert_eq!(token.scopes().unwrap(), ["repo", "gist"]);
    let form = &login.forms()[0];
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:device_code");
    assert_eq!(form["device_code"], "device-hunter2");
    assert!(!form.contains_key("client_secret"));
}

#[tokio::test(start_paused = true)]
async fn slow_down_really_slows() {
    let _held = FrozenClock::new();
    let login = Login::start().await;
    let wait = wait(&login, &device_response(&login)).await;
    asks_after(&login, seconds(5), json!({ "error": "slow_down" })).await;
    asks_after(&login, seconds(10), pending()).await;
    // GitHub may name the new interval, and one that is shorter is none.
    asks_after(&login, seconds(10), json!({ "error": "slow_down", "interval": 25 })).await;
    asks_after(&login, seconds(25), json!({ "error": "slow_down", "interval": 1 })).await;
    asks_after(&login, seconds(30), granted()).await;
    assert!(wait.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn failures_that_pass_are_waited_out() {
    let _held = FrozenClock::new();
    let login = Login::start().await;
    let wait = wait(&login, &device_response(&login)).await;
    login.script(json_response("502 Bad Gateway", "", ""));
    asks_after(&login, seconds(5), None).await;
    // A connection that ends early.
    login.script(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n".to_vec());
    asks_after(&login, seconds(10), None).await;
    // Nothing comes, until the attempt times out.
    advance(seconds(30)).await;
    quiet().await;
    login.script(json_response("503 Busy", "retry-after: 45\r\n", ""));
    asks_after(&login, seconds(20), None).await;
    asks_after(&login, seconds(45), pending()).await;
    asks_after(&login, seconds(5), granted()).await;
    assert!(wait.await.unwrap().is_ok());
}

/// The statuses after which any other request is repeated.
#[tokio::test(start_paused = true)]
async fn temporary_statuses_of_the_token_endpoint_are_retried() {
    for status in ["408 Timeout", "425 Too Early", "429 Slow", "500 Oops", "504 Timeout"] {
        let _held = FrozenClock::new();
        let login = Login::start().await;
        let wait = wait(&login, &device_response(&login)).await;
        login.script(json_response(status, "", ""));
        asks_after(&login, seconds(5), None).await;
        asks_after(&login, seconds(10), granted()).await;
        assert!(wait.await.unwrap().is_ok(), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_life_of_the_code_bounds_the_wait() {
    let _held = FrozenClock::new();
    let login = Login::start().await;
    let mut body = device_response(&login);
    body["expires_in"] = json!(12);
    let wait = wait(&login, &body).await;
    asks_after(&login, seconds(5), pending()).await;
    asks_after(&login, seconds(5), pending()).await;
    advance(seconds(2)).await;
    let error = wait.await.unwrap().unwrap_err();
    assert_eq!(error.auth_failure(), Some(AuthFailure::DeviceCodeExpired));
    assert_eq!(login.forms().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_network_outage_ends_the_device_flow_when_the_code_expires() {
    let _held = FrozenClock::new();
    let login = Login::start().await;
    let mut body = device_response(&login);
    body["expires_in"] = json!(20);
    let wait = wait(&login, &body).await;
    // Never answered in full.
    login.script(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n".to_vec());
    asks_after(&login, seconds(5), None).await;
    advance(seconds(15)).await;
    let error = wait.await.unwrap().unwrap_err();
    assert_eq!(error.auth_failure(), Some(AuthFailure::DeviceCodeExpired));
}

#[tokio::test(start_paused = true)]
async fn a_rejection_ends_the_wait() {
    let _held = FrozenClock::new();
    for (code, failure) in [
        ("access_denied", AuthFailure::Denied),
        ("expired_token", AuthFailure::DeviceCodeExpired),
        ("incorrect_device_code", AuthFailure::CodeRejected),
        ("unsupported_grant_type", AuthFailure::OAuth),
    ] {
        let login = Login::start().await;
        let wait = wait(&login, &device_response(&login)).await;
        asks_after(&login, seconds(5), json!({ "error": code })).await;
        let error = wait.await.unwrap().unwrap_err();
        assert_eq!(error.auth_failure(), Some(failure), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_the_wait_ends_it() {
    let _held = FrozenClock::new();
    let login = Login::start().await;
    let wait = wait(&login, &device_response(&login)).await;
    asks_after(&login, seconds(5), pending()).await;
    wait.abort();
    advance(seconds(60)).await;
    quiet().await;
    assert_eq!(login.forms().len(), 1);
}

#[tokio::test]
async fn a_device_flow_that_cannot_start_returns_the_cause() {
    let login = Login::start().await;
    let mut no_page = device_response(&login);
    no_page["verification_uri"] = json!("javascript:alert(1)");
    for (body, failure) in [
        (json!({ "error": "device_flow_disabled" }), AuthFailure::DeviceFlowDisabled),
        (json!({ "error": "incorrect_client_credentials" }), AuthFailure::ClientRejected),
        (json!({ "user_code": "WDJB-MJHT" }), AuthFailure::OAuth),
        (no_page, AuthFailure::OAuth),
    ] {
        let error = begin(&login, &body).await.unwrap_err();
        assert_eq!(error.auth_failure(), Some(failure), "{body}");
    }
    // The response of GitHub to an unknown client id.
    let app = OAuthApp::public_client(CLIENT_ID).unwrap();
    let error = app.device_flow(&login.client()).start().await.unwrap_err();
    assert_eq!(error.auth_failure(), Some(AuthFailure::ClientRejected));
}

#[tokio::test]
async fn missing_device_flow_fields_have_the_defaults_of_rfc_8628() {
    let login = Login::start().await;
    let mut body = device_response(&login);
    body.as_object_mut().unwrap().retain(|name, _| name != "interval" && name != "expires_in");
    body["verification_uri_complete"] =
        json!("https://github.com/login/device?user_code=WDJB-MJHT");
    let code = begin(&login, &body).await.unwrap();
    assert_eq!((code.expires_in(), code.interval()), (seconds(900), seconds(5)));
    assert_eq!(code.verification_uri_complete().unwrap().query(), Some("user_code=WDJB-MJHT"));
    body["interval"] = json!(0);
    body["expires_in"] = json!(u64::MAX);
    let code = begin(&login, &body).await.unwrap();
    assert_eq!((code.expires_in(), code.interval()), (seconds(86400), seconds(1)));
}
