//! What bodies carry, as it is set property by property.

use octowire::types::IssuesSetLabelsBodyVariant1LabelsItem as Label;
use serde_json::{Value, json};

use crate::support::{Server, json as answer};

/// The JSON that was sent last.
fn sent(server: &Server) -> Value {
    let requests = server.requests();
    serde_json::from_slice(&requests.last().unwrap().body).unwrap()
}

#[tokio::test]
async fn labels_are_set_by_name_and_as_objects_with_the_same_setter() {
    let server = Server::saying(answer("200 OK", "", "[]")).await;
    let client = server.client();
    let issues = client.issues();
    let call = || issues.set_labels().owner("o").repo("r").issue_number(1);
    call().labels(["bug", "p1"]).send().await.unwrap();
    assert_eq!(sent(&server), json!({ "labels": ["bug", "p1"] }));
    call().labels([Label::new("bug")]).send().await.unwrap();
    assert_eq!(sent(&server), json!({ "labels": [{ "name": "bug" }] }));
}

#[tokio::test]
async fn what_is_missing_is_named_with_the_setter_that_there_is() {
    let client = octowire::Client::builder().build().unwrap();
    let error = client.git().get_ref().owner("o").repo("r").send().await.unwrap_err();
    let shown = error.to_string();
    assert!(shown.contains(r#"path parameter "ref" was not set; call .ref_(…)"#), "{shown}");
    let tag = client.git().create_tag().owner("o").repo("r").tag("v1").message("m").object("0");
    let shown = tag.send().await.unwrap_err().to_string();
    assert!(shown.contains(r#"body property "type" was not set; call .type_(…)"#), "{shown}");
}

#[tokio::test]
async fn an_update_of_nothing_is_refused_unless_it_is_said() {
    let server = Server::saying(answer("200 OK", "", "{}")).await;
    let client = server.client();
    let call = || client.apps().update_webhook_config_for_app();
    let error = call().send().await.unwrap_err();
    assert_eq!(error.kind(), octowire::ErrorKind::InvalidRequest);
    let shown = error.to_string();
    assert!(
        shown.contains(
            "apps/update-webhook-config-for-app: the body, which GitHub requires, was not set; \
             set a property of it, as by .url(…), or all of it by .json(…)"
        ),
        "{shown}"
    );
    assert!(server.requests().is_empty());
    call().into_request().json(&json!({})).send_empty().await.unwrap();
    assert_eq!(sent(&server), json!({}));
    call().json(octowire::types::AppsUpdateWebhookConfigForAppBody::new()).send().await.unwrap();
    assert_eq!(sent(&server), json!({}));
}

#[tokio::test]
async fn a_creation_with_nothing_of_its_own_is_sent_as_an_empty_object() {
    let server = Server::saying(answer("201 Created", "", "{}")).await;
    let client = server.client();
    let call = client.repos().create_deployment_protection_rule();
    call.owner("o").repo("r").environment_name("e").into_request().send_empty().await.unwrap();
    assert_eq!(sent(&server), json!({}));
    assert_eq!(server.requests()[0].headers["content-type"], "application/json");
}

#[tokio::test]
async fn a_body_that_is_not_required_is_left_out() {
    let server = Server::saying(answer("200 OK", "", "{}")).await;
    let call = server.client().pulls().merge().owner("o").repo("r").pull_number(1);
    call.into_request().send_empty().await.unwrap();
    assert!(server.requests()[0].body.is_empty());
}
