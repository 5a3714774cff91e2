//! No secret is shown, at any failure of a flow.

use std::error::Error as _;
use std::fmt::Debug;
use std::time::Duration;

use super::{CALLBACK, CLIENT_ID, Login, SECRET, app, get_user};
use crate::support::{Reply, Server, json_response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use octowire::auth::{
    AccessToken, ClientCredentials, MemoryTokenStore, OAuthApp, PendingAuthorization, TokenPolicy,
    UserToken,
};
use octowire::{ClientBuilder, Error};

/// All that a program could log.
#[derive(Default)]
struct Shown(String);

impl Shown {
    fn value(&mut self, value: &impl Debug) {
        self.0.push_str(&format!("{value:?} {value:#?}\n"));
    }

    fn error(&mut self, error: &Error) {
        self.value(error);
        self.0.push_str(&format!("{error} {:?} {:?}\n", error.body(), error.api()));
        let mut source = error.source();
        while let Some(error) = source {
            self.0.push_str(&format!("{error} {error:?}\n"));
            if let Some(error) = error.downcast_ref::<Error>() {
                self.0.push_str(&format!("{:?} {:?}\n", error.body(), error.api()));
            }
            source = error.source();
        }
    }
}

/// Answers that quote all that was sent, as a debugging proxy might, each in another way.
async fn echo(way: usize) -> Server {
    Server::start(move |request| async move {
        let form = url::form_urlencoded::parse(&request.body);
        let sent: Vec<_> = form.map(|(name, value)| format!("{name} is {value}")).collect();
        let text = format!("{} {:?}", sent.join(", "), request.headers).replace(['"', '\\'], "'");
        let token = "ghu_hunter2";
        Reply::Last(match way {
            0 => json_response(
                "200 OK",
                "",
                &format!(r#"{{"error":"odd","error_description":"{text}"}}"#),
            ),
            1 => {
                json_response("400 Bad", "", &format!(r#"{{"error":"{text}","message":"{text}"}}"#))
            }
            2 => json_response("500 Oops", "", &text),
            3 => json_response(
                "200 OK",
                "",
                &format!(r#"{{"access_token":"{token}","token_type":"{token}"}}"#),
            ),
            4 => json_response(
                "200 OK",
                "",
                &format!(r#"{{"access_token":"{token}\n{token}","token_type":"bearer"}}"#),
            ),
            5 => {
                json_response("200 OK", "", &format!(r#"{{"access_token":"{token}","token_type":"#))
            }
            6 => json_response("302 Found", "location: https://evil.example/?hunter2\r\n", &text),
            _ => format!("HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{text}").into_bytes(),
        })
    })
    .await
}

const WAYS: usize = 8;

#[tokio::test]
async fn a_failed_flow_shows_no_secret() {
    let mut shown = Shown::default();
    for way in 0..WAYS {
        let server = echo(way).await;
        let client = server.builder().build().unwrap();

        let sign_in = app().web_flow(&client).scopes(["repo"]).start().unwrap();
        let pairs = sign_in.url().query_pairs().into_owned();
        let (_, state) = pairs.into_iter().find(|(name, _)| name == "state").unwrap();
        let session = sign_in.into_session();
        for callback in [
            format!("{CALLBACK}?code=code-hunter2&state={state}"),
            format!("{CALLBACK}?code=code-hunter2&code=hunter2&state={state}"),
            format!("{CALLBACK}?code=code-hunter2&state=hunter2"),
        ] {
            let sign_in = PendingAuthorization::from_session(&app(), session.clone()).unwrap();
            shown.value(&sign_in);
            shown.error(&sign_in.exchange(&client, callback).await.unwrap_err());
        }
        assert!(!shown.0.contains(&state), "{}", shown.0);
        shown.value(&session);
        shown.error(&PendingAuthorization::from_session(&app(), "aHVudGVyMg hunter2").unwrap_err());

        let request = app().device_flow(&client);
        shown.value(&request);
        shown.error(&request.start().await.unwrap_err());

        let ended = AccessToken::new("ghu_hunter2").unwrap().expires_in(Default::default());
        let ended = ended.with_refresh_token("ghr_hunter2", None);
        let user = UserToken::new(app(), ended.clone());
        shown.value(&user);
        failing(&mut shown, impatient(&server).auth(user)).await;

        let url = format!("{}/token", server.url);
        for source in [
            ClientCredentials::new(&url, "id", "hunter2").unwrap(),
            ClientCredentials::new(&url, "id", "hunter2").unwrap().credentials_in_body(),
        ] {
            shown.value(&source);
            failing(&mut shown, impatient(&server).auth(source)).await;
        }
    }
    assert!(shown.0.contains("500"), "{}", shown.0);
    let encoded = STANDARD.encode("id:hunter2");
    assert!(!shown.0.contains(&encoded), "{}", shown.0);
    assert!(!shown.0.contains("hunter2"), "{}", around(&shown.0));
}

/// Failures are retried immediately.
fn impatient(server: &Server) -> ClientBuilder {
    server.builder().token_policy(TokenPolicy::default().backoff(Duration::ZERO, Duration::ZERO))
}

/// Calls a client whose token cannot be fetched.
async fn failing(shown: &mut Shown, builder: ClientBuilder) {
    let client = builder.build().unwrap();
    shown.value(&client);
    shown.error(&client.access_token().await.unwrap_err());
    shown.value(&client);
}

#[tokio::test]
async fn a_successful_flow_shows_no_secret() {
    let mut shown = Shown::default();
    let login = Login::start().await;
    let client = login.client();
    let request = app().web_flow(&client);
    shown.value(&request);
    let sign_in = request.start().unwrap();
    let callback = login.agree(sign_in.url());
    let token = sign_in.exchange(&client, callback).await.unwrap();
    shown.value(&token);
    let store = MemoryTokenStore::new();
    let user = login.server.builder().token_store(store.clone()).auth(UserToken::new(app(), token));
    shown.value(&user);
    let user = user.build().unwrap();
    get_user(&user).await.unwrap();
    shown.value(&user);
    shown.value(&store);
    shown.value(&app());
    login.script(json_response(
        "200 OK",
        "",
        r#"{"device_code":"hunter2","user_code":"USER-hunter2","verification_uri":"https://x/"}"#,
    ));
    let code =
        OAuthApp::new(CLIENT_ID, SECRET).unwrap().device_flow(&client).start().await.unwrap();
    shown.value(&code);
    assert!(shown.0.contains(CLIENT_ID), "{}", shown.0);
    assert!(!shown.0.contains("hunter2"), "{}", around(&shown.0));
}

/// The place in a long text where the secret shows.
fn around(text: &str) -> &str {
    let at = text.find("hunter2").unwrap_or_default();
    text.get(at.saturating_sub(600)..(at + 100).min(text.len())).unwrap_or(text)
}
