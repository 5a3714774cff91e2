//! With authentication, the mock server accepts the tokens that GitHub would accept.

use std::time::Duration;

use octowire::auth::{App, Installation};
use octowire::testing::MockGitHub;
use octowire::{Client, RetryPolicy};

use crate::support::github_app::Key;

fn app(mock: &MockGitHub) -> Client {
    let app = App::new("Iv23liABC", Key::generate().pem).unwrap();
    let builder = mock.client_builder().auth(app.installation(Installation::id(7)));
    builder.retry(RetryPolicy::disabled()).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_app_fetches_a_token_and_refreshes_it_before_it_expires() {
    let mock = MockGitHub::start().await;
    let github = app(&mock);
    let read = || github.repos().get().owner("acme").repo("rocket").send();
    for _ in 0..3 {
        read().await.unwrap();
    }
    assert_eq!(mock.count("apps/create-installation-access-token"), 1);
    tokio::time::advance(Duration::from_secs(2 * 3600)).await;
    for _ in 0..3 {
        read().await.unwrap();
    }
    assert_eq!(mock.count("apps/create-installation-access-token"), 2);
}

#[tokio::test]
async fn an_authenticated_mock_server_rejects_invalid_credentials() {
    let mock = MockGitHub::builder().require_token().start().await;
    let http = reqwest::Client::new();
    let url = mock.base_url();
    for (path, token, said) in [
        ("/user", None, "Requires authentication"),
        ("/user", Some("nonsense"), "Bad credentials"),
        ("/app", Some("nonsense"), "A JSON web token could not be decoded"),
        ("/app", Some("a.e30.c"), "'Issuer' claim"),
        ("/app", Some("a.eyJpc3MiOjEsImlhdCI6MSwiZXhwIjoyfQ.c"), "is in the past"),
    ] {
        let mut request = http.get(format!("{url}{path}"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401, "{path} {token:?}");
        let body: serde_json::Value = response.json().await.unwrap();
        assert!(body["message"].as_str().unwrap().contains(said), "{body}");
    }
    assert!(app(&mock).as_app().unwrap().apps().get_authenticated().send().await.is_ok());
}
