//! The web flow.

use super::{CALLBACK, CLIENT_ID, Login, SECRET, app};
use crate::support::{Server, json_response};
use octowire::auth::{AuthFailure, OAuthApp, PendingAuthorization};
use octowire::{Error, ErrorKind};
use secrecy::ExposeSecret;
use serde_json::json;

#[tokio::test]
async fn a_user_signs_in_by_the_browser() {
    let login = Login::start().await;
    // Neither the client's token nor its headers are for the login page.
    let client = login.server.builder().token("ghp_own").default_header("x-key", "k");
    let client = client.build().unwrap();
    let sign_in = app().web_flow(&client).scopes(["repo", "gist"]).login("octocat");
    let sign_in = sign_in.allow_signup(false).prompt("select_account").start().unwrap();
    let page = sign_in.url().clone();
    assert_eq!(
        page.as_str().split('?').next(),
        Some(&*format!("{}/login/oauth/authorize", login.server.url))
    );
    let query = page.query().unwrap();
    for part in [
        "response_type=code",
        &format!("client_id={CLIENT_ID}"),
        "scope=repo+gist",
        "login=octocat",
        "allow_signup=false",
        "prompt=select_account",
        "redirect_uri=http%3A%2F%2F127.0.0.1%3A9999%2Fcallback",
    ] {
        assert!(query.split('&').any(|found| found == part), "{part} in {query}");
    }
    let token = sign_in.exchange(&client, login.agree(&page)).await.unwrap();
    assert!(token.expose_secret().starts_with("ghu_hunter2"));
    let hours = token.expires_at().unwrap().elapsed().unwrap_err().duration().as_secs() / 60;
    assert_eq!(hours, 8 * 60 - 1);
    assert!(token.refresh_token().unwrap().expose_secret().starts_with("ghr_hunter2"));
    let days = token.refresh_token_expires_at().unwrap().elapsed().unwrap_err().duration();
    assert_eq!(days.as_secs() / 86400, 183);
    assert!(token.scopes().unwrap().is_empty());
    let request = &login.server.requests()[0];
    assert_eq!(request.headers["accept"], "application/json");
    assert!(!request.headers.contains_key("authorization"));
    assert!(!request.headers.contains_key("x-key"));
    let form = &login.forms()[0];
    assert!((43..=128).contains(&form["code_verifier"].len()));
    assert_eq!(form["client_secret"], SECRET);
}

#[tokio::test]
async fn a_response_as_a_form_is_read_as_well() {
    let login = Login::start().await;
    let body = "access_token=gho_x&scope=repo%2Cgist&token_type=Bearer";
    login.script(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-www-form-urlencoded; charset=utf-8\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    ));
    let sign_in = app().web_flow(&login.client()).start().unwrap();
    let callback = login.agree(sign_in.url());
    let token = sign_in.exchange(&login.client(), callback).await.unwrap();
    assert_eq!(token.expose_secret(), "gho_x");
    assert_eq!(token.scopes().unwrap(), ["repo", "gist"]);
    assert!(token.expires_at().is_none() && token.refresh_token().is_none());
}

#[tokio::test]
async fn a_sign_in_waits_in_the_users_session() {
    let login = Login::start().await;
    let sign_in = app().web_flow(&login.client()).scopes(["repo"]).start().unwrap();
    let page = sign_in.url().clone();
    let session = sign_in.into_session();
    let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    assert!(session.expose_secret().bytes().all(plain), "it goes into a cookie");

    // Another application, or a process with other settings, cannot use the session.
    let stranger = OAuthApp::new("Iv23liOTHER", SECRET).unwrap();
    let changed = format!("{}AA", &session.expose_secret()[2..]);
    for error in [
        PendingAuthorization::from_session(&stranger, session.clone()).unwrap_err(),
        PendingAuthorization::from_session(&app(), changed).unwrap_err(),
        PendingAuthorization::from_session(&app(), "").unwrap_err(),
        PendingAuthorization::from_session(&app(), "hunter2 {}").unwrap_err(),
    ] {
        assert_eq!(error.auth_failure(), Some(AuthFailure::StateMismatch));
    }

    // The redirect URI stays the one of the start, also if the application's has changed.
    let external = app().redirect_uri("https://example.com/new").unwrap();
    let resumed = PendingAuthorization::from_session(&external, session).unwrap();
    assert_eq!(*resumed.url(), page);
    let callback = login.agree(&page);
    let query = callback.split_once('?').unwrap().1;
    assert!(resumed.exchange(&login.client(), query).await.is_ok());
}

#[tokio::test]
async fn an_authorization_code_is_valid_once_and_for_one_flow() {
    let login = Login::start().await;
    let sign_in = app().web_flow(&login.client()).start().unwrap();
    let callback = login.agree(sign_in.url());
    let session = sign_in.into_session();
    let resume = || PendingAuthorization::from_session(&app(), session.clone()).unwrap();
    resume().exchange(&login.client(), &callback).await.unwrap();
    let again = resume().exchange(&login.client(), &callback).await.unwrap_err();
    assert_eq!(again.auth_failure(), Some(AuthFailure::CodeRejected));

    // A code that was stolen on its way is of no use: the thief has another verifier.
    let victim = app().web_flow(&login.client()).start().unwrap();
    let stolen = login.agree(victim.url());
    let code = stolen.split(['?', '&']).find(|part| part.starts_with("code=")).unwrap();
    let thief = app().web_flow(&login.client()).start().unwrap();
    let pairs = thief.url().query_pairs().into_owned();
    let (_, state) = pairs.into_iter().find(|(name, _)| name == "state").unwrap();
    let forged = format!("{code}&state={state}");
    let error = thief.exchange(&login.client(), forged).await.unwrap_err();
    assert_eq!(error.auth_failure(), Some(AuthFailure::CodeRejected));
}

#[tokio::test]
async fn a_wrong_callback_sends_nothing() {
    let login = Login::start().await;
    let sign_in = app().web_flow(&login.client()).start().unwrap();
    let callback = login.agree(sign_in.url());
    let session = sign_in.into_session();
    let state = callback.split_once("state=").unwrap().1;
    for (query, failure) in [
        ("code=x&state=wrong".to_owned(), AuthFailure::StateMismatch),
        ("code=x&state=".to_owned(), AuthFailure::StateMismatch),
        ("code=x".to_owned(), AuthFailure::StateMismatch),
        ("error=access_denied".to_owned(), AuthFailure::StateMismatch),
        (String::new(), AuthFailure::StateMismatch),
        (format!("code=x&state={}", &state[1..]), AuthFailure::StateMismatch),
        (format!("state={state}"), AuthFailure::InvalidCallback),
        (format!("code=&state={state}"), AuthFailure::InvalidCallback),
        (format!("code=x&code=y&state={state}"), AuthFailure::InvalidCallback),
        (format!("code=x&state={state}&state={state}"), AuthFailure::InvalidCallback),
        (format!("error=access_denied&state={state}"), AuthFailure::Denied),
        (format!("error=access_denied&code=x&state={state}"), AuthFailure::Denied),
        (format!("error=redirect_uri_mismatch&state={state}"), AuthFailure::RedirectUriMismatch),
        (format!("error=application_suspended&state={state}"), AuthFailure::ApplicationSuspended),
        (format!("error=something_new&state={state}"), AuthFailure::OAuth),
    ] {
        let sign_in = PendingAuthorization::from_session(&app(), session.clone()).unwrap();
        let error = sign_in.exchange(&login.client(), format!("{CALLBACK}?{query}")).await;
        let error = error.unwrap_err();
        assert_eq!(error.auth_failure(), Some(failure), "{query}");
        assert_eq!(error.kind(), ErrorKind::Authentication);
        assert!(error.to_string().contains("; "), "it says what to do: {error}");
    }
    assert!(login.server.requests().is_empty());
}

#[tokio::test]
async fn an_authorization_code_is_sent_only_to_its_own_server() {
    let (login, other) = (Login::start().await, Login::start().await);
    let sign_in = app().web_flow(&login.client()).start().unwrap();
    let callback = login.agree(sign_in.url());
    let error = sign_in.exchange(&other.client(), callback).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UntrustedUrl);
    assert!(other.server.requests().is_empty());
}

#[tokio::test]
async fn the_web_flow_without_a_secret_is_rejected_before_the_user_leaves() {
    let login = Login::start().await;
    let public = OAuthApp::public_client(CLIENT_ID).unwrap();
    let error = public.web_flow(&login.client()).start().unwrap_err();
    assert_eq!(error.auth_failure(), Some(AuthFailure::Missing));
    assert!(error.to_string().contains("OAuthApp::device"), "{error}");
}

/// The error of an exchange that is answered with these bytes.
async fn refused(bytes: Vec<u8>) -> Error {
    let server = Server::fixed_response(bytes).await;
    let client = server.builder().build().unwrap();
    let sign_in = app().web_flow(&client).start().unwrap();
    let pairs = sign_in.url().query_pairs().into_owned();
    let (_, state) = pairs.into_iter().find(|(name, _)| name == "state").unwrap();
    let callback = format!("{CALLBACK}?code=abc&state={state}");
    sign_in.exchange(&client, callback).await.unwrap_err()
}

#[tokio::test]
async fn every_documented_oauth_error_gives_advice() {
    for (code, failure, advice) in [
        ("incorrect_client_credentials", AuthFailure::ClientRejected, "settings page"),
        ("invalid_client", AuthFailure::ClientRejected, "settings page"),
        ("redirect_uri_mismatch", AuthFailure::RedirectUriMismatch, "register it"),
        ("bad_verification_code", AuthFailure::CodeRejected, "sign in again"),
        ("invalid_grant", AuthFailure::CodeRejected, "sign in again"),
        ("unverified_user_email", AuthFailure::EmailUnverified, "settings/emails"),
        ("bad_refresh_token", AuthFailure::RefreshTokenRejected, "sign in again"),
        ("application_suspended", AuthFailure::ApplicationSuspended, "Support"),
        ("access_denied", AuthFailure::Denied, "user's request"),
        ("expired_token", AuthFailure::DeviceCodeExpired, "new code"),
        ("token_expired", AuthFailure::DeviceCodeExpired, "new code"),
        ("incorrect_device_code", AuthFailure::CodeRejected, "restart"),
        ("device_flow_disabled", AuthFailure::DeviceFlowDisabled, "Enable Device Flow"),
        ("unsupported_grant_type", AuthFailure::OAuth, "source"),
    ] {
        let json = json!({ "error": code, "error_description": "So\nit is.", "error_uri": "/x" });
        let form = format!("error={code}&error_description=So+it+is.");
        for bytes in [
            json_response("200 OK", "x-github-request-id: R1\r\n", &json.to_string()),
            json_response("400 Bad Request", "x-github-request-id: R1\r\n", &json.to_string()),
            json_response("200 OK", "x-github-request-id: R1\r\n", &form),
        ] {
            let error = refused(bytes).await;
            assert_eq!(error.auth_failure(), Some(failure), "{error}");
            assert_eq!(error.kind(), ErrorKind::Authentication);
            assert!(error.to_string().contains(advice), "{error}");
            assert!(!error.is_retryable() && error.status().is_none() && error.body().is_none());
            let source = std::error::Error::source(&error).unwrap();
            let source = source.downcast_ref::<Error>().unwrap();
            assert_eq!(source.request_id(), Some("R1"));
            let line = source.to_string();
            assert!(line.contains(code) && line.contains("\"So it is.\""), "{line}");
        }
    }
}

#[tokio::test]
async fn a_response_without_a_token_is_an_error_that_explains_itself() {
    let token = r#"{"access_token":"gho_hunter2","token_type":"mac"}"#;
    let page = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>";
    for (bytes, failure, retryable, part) in [
        (page.to_vec(), AuthFailure::OAuth, false, "an HTML page instead of a token"),
        (json_response("200 OK", "", ""), AuthFailure::OAuth, false, "base_url"),
        (json_response("200 OK", "", "{}"), AuthFailure::OAuth, false, "instead of a token"),
        (
            json_response("200 OK", "", r#"{"access_token":""}"#),
            AuthFailure::OAuth,
            false,
            "instead",
        ),
        (
            json_response("200 OK", "", r#"{"access_token":"gho_hun"#),
            AuthFailure::OAuth,
            false,
            "instead",
        ),
        (json_response("200 OK", "", token), AuthFailure::OAuth, false, "type \"mac\""),
        (
            json_response("404 Not Found", "", r#"{"error":"Not Found"}"#),
            AuthFailure::ClientRejected,
            false,
            "client id",
        ),
        (
            json_response("302 Found", "location: /x\r\n", ""),
            AuthFailure::OAuth,
            false,
            "redirects",
        ),
        (json_response("500 Oops", "", "gho_hunter2"), AuthFailure::OAuth, true, "try again"),
        (json_response("429 Slow", "", "{}"), AuthFailure::OAuth, true, "try again"),
        (json_response("403 Forbidden", "", "no"), AuthFailure::OAuth, false, "403"),
        (
            json_response("403 Forbidden", "retry-after: 60\r\n", "{}"),
            AuthFailure::OAuth,
            true,
            "403",
        ),
        (
            json_response(
                "403 Forbidden",
                "",
                r#"{"message":"You have exceeded a secondary rate limit."}"#,
            ),
            AuthFailure::OAuth,
            true,
            "403",
        ),
        (
            json_response(
                "403 Forbidden",
                "retry-after: 60\r\nx-ratelimit-remaining: 0\r\n",
                r#"{"message":"Sorry. Your account was suspended"}"#,
            ),
            AuthFailure::OAuth,
            false,
            "403",
        ),
    ] {
        let error = refused(bytes).await;
        assert_eq!(error.auth_failure(), Some(failure), "{error}");
        assert_eq!(error.is_retryable(), retryable, "{error}");
        assert!(error.to_string().contains(part), "{error}");
        assert!(!format!("{error:?}").contains("hun"), "{error:?}");
    }
    let broken = refused(b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{\"acc".to_vec()).await;
    assert_eq!(broken.kind(), ErrorKind::Transport);
}
