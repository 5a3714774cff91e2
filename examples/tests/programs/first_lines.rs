//! Calls as an application first writes them: each compiles, and does what its author means.

use std::fs;
use std::path::Path;

use octowire::auth::App;
use octowire::chrono::{TimeDelta, Utc};
use octowire::testing::MockGitHub;
use octowire::webhooks::{Delivery, Verifier};
use octowire::{Body, Client};
use serde_json::{Value, json};

use crate::pull_request_bot::{AnySignature, opened};

/// The body of the last request.
fn sent(mock: &MockGitHub) -> Value {
    mock.requests().pop().unwrap().json()
}

#[tokio::test]
async fn an_enum_is_compared_with_text() {
    let mock = MockGitHub::start().await;
    let repo = mock.client().repo("octocat", "hello-world");

    let pull = repo.pulls().get().pull_number(1347).send().await.unwrap();
    assert!(pull.state == "open" && pull.state != "closed");
}

#[tokio::test]
async fn a_response_is_iterated() {
    let mock = MockGitHub::start().await;
    mock.seed_list("issues/list-for-repo", 2);
    let repo = mock.client().repo("octocat", "hello-world");

    let issues = repo.issues().list_for_repo().send().await.unwrap();
    let mut numbers = Vec::new();
    for issue in &issues {
        numbers.push(issue.number);
    }
    for issue in issues {
        assert!(numbers.contains(&issue.number));
    }
    assert_eq!(numbers, [2, 1]);
}

#[tokio::test]
async fn the_clock_of_chrono_is_there() {
    let mock = MockGitHub::start().await;
    let repo = mock.client().repo("octocat", "hello-world");

    let last_week = Utc::now() - TimeDelta::days(7);
    repo.issues().list_for_repo().since(last_week).send().await.unwrap();

    let since = mock.requests()[0].query_parameter("since").map(str::to_owned);
    let time = octowire::chrono::DateTime::parse_from_rfc3339(&since.unwrap()).unwrap();
    assert_eq!(time.timestamp(), last_week.timestamp());
}

#[tokio::test]
async fn an_empty_list_removes_all_labels() {
    let mock = MockGitHub::start().await;
    let repo = mock.client().repo("octocat", "hello-world");
    let issue = repo.issues().create().title("It leaks").labels(["bug"]).send().await.unwrap();

    let call = repo.issues().update().issue_number(issue.number).labels([]);
    assert!(call.send().await.unwrap().labels.is_empty());
}

#[tokio::test]
async fn an_object_with_any_properties_is_json() {
    let mock = MockGitHub::start().await;
    let repo = mock.client().repo("octocat", "hello-world").repos();

    let payload = json!({ "environment": "staging", "steps": [1, 2] });
    repo.create_deployment().ref_("main").payload(payload.clone()).send().await.unwrap();
    assert_eq!(sent(&mock)["payload"], payload);

    let event = repo.create_dispatch_event().event_type("deploy");
    event.client_payload(json!({ "environment": "staging" })).send().await.unwrap();
    assert_eq!(sent(&mock)["client_payload"], json!({ "environment": "staging" }));
}

#[tokio::test]
async fn a_file_is_uploaded_from_its_path() {
    let mock = MockGitHub::start().await;
    let repo = mock.client().repo("octocat", "hello-world");
    let name = format!("first-lines-{}.zip", std::process::id());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, "an archive").unwrap();

    let upload = repo.repos().upload_release_asset().release_id(1).name("app.zip");
    let asset = upload.body(Body::file(&path)).send().await;

    fs::remove_file(path).unwrap();
    assert_eq!(asset.unwrap().name, "example.zip");
    assert_eq!(mock.requests()[0].body(), "an archive");
}

#[tokio::test]
async fn the_installation_of_an_event_selects_the_client() {
    let app = App::with_signer("Iv23liABCDEF", AnySignature).unwrap();
    let github = Client::builder().auth(app).build().unwrap();
    let request = opened().sign("a secret", "http://localhost/").unwrap();
    let verifier = Verifier::new("a secret").unwrap();
    let delivery = Delivery::verify(&verifier, request.headers(), request.body().clone()).unwrap();

    let event = delivery.event().unwrap();
    let github = github.installation(event.installation().unwrap()).unwrap();
    assert_eq!(github.identity(), "installation:42");
}

#[tokio::test]
async fn the_id_of_a_thread_is_passed_on() {
    let mock = MockGitHub::start().await;
    let github = mock.client();

    // GitHub returns it as text, and describes the parameter as a number.
    let threads = github.activity().list_notifications_for_authenticated_user().send().await;
    for thread in threads.unwrap() {
        github.activity().mark_thread_as_read().thread_id(thread.id).send().await.unwrap();
    }
    github.activity().mark_thread_as_read().thread_id(2).send().await.unwrap();

    let paths: Vec<_> = mock.requests().iter().map(|request| request.path().to_owned()).collect();
    assert_eq!(paths, ["/notifications", "/notifications/threads/1", "/notifications/threads/2"]);
}

#[tokio::test]
async fn a_label_of_an_issue_has_a_name() {
    let mock = MockGitHub::start().await;
    let repo = mock.client().repo("octocat", "hello-world");
    let created = repo.issues().create().title("It leaks").labels(["bug", "ui"]);
    let number = created.send().await.unwrap().number;

    let issue = repo.issues().get().issue_number(number).send().await.unwrap();
    let names: Vec<_> = issue.labels.iter().filter_map(|label| label.name()).collect();
    assert_eq!(names, ["bug", "ui"]);
}
